/** Chromium decodes what the native engine sends, in all codecs and with losses on the way. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { UdpProxy } from '../support/udp-proxy.ts';
import { playsOn } from './support/media-stats.ts';
import { routeThrough, startPublishing } from './support/project-pages.ts';
import { freshRoom } from './support/until.ts';

const LOSS_RATE = 0.05;
const FRAMES = 90;

let vestibule: Vestibule;
let chromium: Chromium;

beforeAll(async () => {
  [vestibule, chromium] = await Promise.all([startVestibule({ env: { FANOUT_ENGINE: 'native' } }), launchChromium()]);
});

afterEach(async () => {
  await Promise.all(chromium.context.pages().map((page) => page.close()));
});

afterAll(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

test.each(['H264', 'VP8', 'VP9', 'AV1'] as const)('%s plays, and losses are repaired', async (codec) => {
  expect(vestibule.node.engine).toBe('native');
  const room = freshRoom();
  await using downstream = await UdpProxy.open(vestibule.node.addresses[0] ?? '', 21);
  const publisher = await chromium.context.newPage();
  await publisher.goto(`${vestibule.url}/web/publisher.html?room=${room}`);
  await startPublishing(publisher, { codec });
  const player = await chromium.context.newPage();
  await routeThrough(player, downstream);
  await player.goto(`${vestibule.url}/web/player.html?room=${room}`);
  await playsOn(player);

  downstream.impair({ lossRate: LOSS_RATE });
  const before = downstream.down.dropped;
  await playsOn(player, FRAMES, 20_000);

  expect(downstream.down.dropped).toBeGreaterThan(before);
});
