/** libwebrtc without a browser (@roamhq/wrtc) publishes and plays; the player page watches the same room. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { playWithWrtc, publishWithWrtc } from '../support/wrtc-peer.ts';
import { playsOn } from './support/media-stats.ts';
import { watch } from './support/project-pages.ts';
import { freshRoom } from './support/until.ts';

/** Sockets of clients that a busy machine keeps waiting hold some fifty packets. */
const LOSS_BOUND = 0.2;

let vestibule: Vestibule;
let chromium: Chromium;

beforeAll(async () => {
  [vestibule, chromium] = await Promise.all([startVestibule(), launchChromium()]);
});

afterAll(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

test.each(['VP8', 'AV1'] as const)('%s and Opus from Node are played in Node and in Chromium', async (codec) => {
  const room = freshRoom();
  await using _publisher = await publishWithWrtc({ url: `${vestibule.url}/api/whip/publish/${room}`, codec });
  await using viewer = await playWithWrtc({ url: `${vestibule.url}/api/whep/play/${room}` });
  const player = await watch(chromium.context, vestibule.url, room);

  const [inNode, inChromium] = await Promise.all([viewer.grown('framesDecoded', 30), playsOn(player, 30)]);

  expect(inNode.packetsLost / inNode.packetsReceived).toBeLessThan(LOSS_BOUND);
  expect(inChromium.lost / inChromium.videoPackets).toBeLessThan(LOSS_BOUND);
  expect(inChromium).toMatchObject({ videoCodec: `video/${codec}`, audioCodec: 'audio/opus' });
});
