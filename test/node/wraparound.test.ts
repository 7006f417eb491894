/**
 * The end of the sequence numbers, with the rollover counters that go on, and of the timestamps, the source's and the
 * viewers', through both engines
 * and to viewers of both protections: each opens every packet, and none sees a seam.
 */
import { expect, onTestFinished, test } from 'vitest';
import type { FanoutEngine } from '../../media-node/forward/fanout-engine.ts';
import { loadAddon } from '../../media-node/forward/native/addon.ts';
import { NativeEngine } from '../../media-node/forward/native/native-engine.ts';
import { PortableEngine } from '../../media-node/forward/portable-engine.ts';
import { VIDEO } from '../support/client/pattern.ts';
import type { Publisher } from '../support/client/publisher.ts';
import type { Viewer } from '../support/client/viewer.ts';
import { until } from '../support/until.ts';
import { describeVideo, openBed } from './bed.ts';

const ROUND = 0x10000;
const FRAMES_PER_SECOND = 100;
/** Viewers' numbers start somewhere in the first half of the round: it ends within eight to sixteen seconds. */
const PACKETS_PER_SECOND = 4_000;
/** The publisher waits when it is further ahead of a viewer: a machine that is busy would drop thousands of datagrams. */
const MOST_ON_THE_WAY = 1_000;
/**
 * Who lost the rollover counter would open none from there on: that is told by the highest number and by what was
 * rejected.
 */
const LOSS_BOUND = 0.2;
/** So slow may a machine be: less than a thousand packets in a second. */
const DEADLINE_MS = 80_000;
/** Ten seconds: the publisher has waited as well; a seam is a hundred times as much. */
const LARGEST_STEP = 900_000;
const engines: [string, () => Promise<FanoutEngine>][] = [
  ['portable', () => Promise.resolve(new PortableEngine())],
  ['native', async () => new NativeEngine(await loadAddon())],
];

test.each(engines)(
  '%s: nobody sees where the numbers begin anew',
  async (_name, open) => {
    const bed = await openBed({ engine: await open() });
    const publisher = await bed.publish({
      audio: null,
      video: {
        ...VIDEO,
        codec: 'VP8',
        framesPerSecond: FRAMES_PER_SECOND,
        packetsPerSecond: PACKETS_PER_SECOND,
        bitrateBps: PACKETS_PER_SECOND * 60 * 8,
      },
      // The source's own rounds end at other moments than those of its viewers.
      firstSequence: ROUND - 20_000,
      firstTimestamp: 2 ** 32 - 90_000 * 3,
    });
    // A process that is flooded before anybody keeps its pace may have no room for handshakes.
    for (const layer of publisher.video.layers) layer.active = false;
    const viewers = await Promise.all([
      bed.play({ audio: null, srtpProfiles: ['AEAD_AES_128_GCM'] }),
      bed.play({ audio: null, srtpProfiles: ['AES_CM_128_HMAC_SHA1_80'] }),
    ]);
    onTestFinished(() => publisher.close());
    const keepPace = paceKeeper(publisher, viewers);
    await until(
      () => {
        keepPace();
        return viewers.every(({ video }) => video.highestSequence > ROUND + PACKETS_PER_SECOND);
      },
      () => viewers.map(describeVideo).join('\n'),
      DEADLINE_MS,
    );
    for (const viewer of viewers) {
      expect(viewer.video.missing / viewer.video.packets).toBeLessThan(LOSS_BOUND);
      expect(viewer.video).toMatchObject({ timestampRegressions: 0 });
      expect(viewer.session.transport.rejected).toBe(0);
      // Cached frames, with which a viewer is started, are closer together.
      expect(viewer.video.largestTimestampStep).toBeLessThan(LARGEST_STEP);
    }
  },
  DEADLINE_MS + 40_000,
);

/** Has the publisher wait for its viewers, and go on. */
function paceKeeper(publisher: Publisher, viewers: readonly Viewer[]): () => void {
  const [layer] = publisher.video.layers;
  if (layer === undefined) throw new Error('no layer');
  /** How far the numbers of the publisher and of a viewer are apart when nothing is on the way. */
  const apartAtRest = viewers.map(() => Number.POSITIVE_INFINITY);
  return () => {
    layer.active = viewers.every(({ video }, index) => {
      if (video.packets === 0) return true;
      const apart = layer.stream.nextSequence - video.highestSequence;
      const least = Math.min(apart, apartAtRest[index] ?? apart);
      apartAtRest[index] = least;
      return apart - least < MOST_ON_THE_WAY;
    });
  };
}
