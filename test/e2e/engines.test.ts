/**
 * Chromium decodes all codecs and Opus through both engines: while sequence numbers and timestamps of the source wrap
 * around, with losses on the way, and among viewers of both protections that come and go.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SrtpProfile } from '../../media-node/transport/types.ts';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { publish } from '../support/client/publisher.ts';
import { play } from '../support/client/viewer.ts';
import { CLIP_CODECS, clip } from '../support/media/clips.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { UdpProxy } from '../support/udp-proxy.ts';
import { playsOn, received } from './support/media-stats.ts';
import { longestGapMs, measureGaps, routeThrough } from './support/project-pages.ts';
import { freshRoom, until } from './support/until.ts';

const LOSS_RATE = 0.03;
const FRAMES = 60;
const DEADLINE_MS = 30_000;
/** Where numbers begin anew and something goes wrong, a picture waits for a keyframe or for ever. */
const LONGEST_GAP_MS = 3_000;
/** So many packets and so long before the end of the numbers: both ends come while it plays. */
const FIRST_SEQUENCE = 0x10000 - 150;
const FIRST_TIMESTAMP = 2 ** 32 - 90_000 * 6;
const PROFILES: readonly SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];

let chromium: Chromium;

beforeAll(async () => {
  chromium = await launchChromium();
  // Made before any media flows: encoding takes the machine.
  for (const codec of CLIP_CODECS) await clip(codec);
}, 180_000);

afterEach(async () => {
  await Promise.all(chromium.context.pages().map((page) => page.close()));
});

afterAll(async () => {
  await chromium?.close();
});

describe.each(['portable', 'native'] as const)('%s', (engine) => {
  let vestibule: Vestibule;

  beforeAll(async () => {
    vestibule = await startVestibule({ env: { FANOUT_ENGINE: engine } });
  });

  afterAll(async () => {
    await vestibule?.stop();
  });

  test.each(CLIP_CODECS)('%s plays on', async (codec) => {
    expect(vestibule.node.engine).toBe(engine);
    const room = freshRoom();
    const playUrl = `${vestibule.url}/api/whep/play/${room}`;
    await using proxy = await UdpProxy.open(vestibule.node.addresses[0] ?? '', 33);
    const publisher = await publish({
      url: `${vestibule.url}/api/whip/publish/${room}`,
      media: await clip(codec),
      firstSequence: FIRST_SEQUENCE,
      firstTimestamp: FIRST_TIMESTAMP,
    });
    let come = 0;
    let leaving = false;
    const comeAndGo = async (srtpProfile: SrtpProfile): Promise<void> => {
      while (!leaving) {
        const viewer = await play({ url: playUrl, cheap: true, srtpProfiles: [srtpProfile], video: { [codec]: 96 } });
        come += 1;
        expect(viewer.session.transport.srtpProfile).toBe(srtpProfile);
        await viewer.close();
      }
    };
    try {
      const page = await chromium.context.newPage();
      await routeThrough(page, proxy);
      await page.goto(`${vestibule.url}/web/player.html?room=${room}`);
      await playsOn(page, 1, DEADLINE_MS);
      await measureGaps(page);
      proxy.impair({ lossRate: LOSS_RATE });
      const crowd = PROFILES.map(comeAndGo);
      try {
        await page.getByTestId('unmute').click();
        const after = await playsOn(page, FRAMES, DEADLINE_MS);
        expect(after.videoCodec.toUpperCase()).toBe(`VIDEO/${codec}`);
        await until('the tone is heard', async () => ((await received(page))?.audioEnergy ?? 0) > 0);
        // The source's numbers have begun anew by now, and what was lost came again.
        const sent = (): number => publisher.video.layers[0]?.stream.nextSequence ?? 0;
        while (sent() < 0x10000 + FRAMES) await playsOn(page, FRAMES, DEADLINE_MS);
        const end = await playsOn(page, FRAMES, DEADLINE_MS);
        expect(end.nacks).toBeGreaterThan(0);
        expect(end.repaired).toBeGreaterThan(0);
        expect(await longestGapMs(page)).toBeLessThan(LONGEST_GAP_MS);
      } finally {
        leaving = true;
        await Promise.all(crowd);
      }
      expect(proxy.down.dropped).toBeGreaterThan(0);
      expect(come).toBeGreaterThan(PROFILES.length);
    } finally {
      await publisher.close();
    }
  });
});
