/** Each viewer has a layer of its own. */
import { describe, expect, it } from 'vitest';
import { AUTOMATIC } from './layer-choice.ts';
import { viewedFrames } from './testing/picture-check.ts';
import { videoEgress, videoIngress } from './testing/plans.ts';
import type { RtpSource } from './testing/rtp-source.ts';
import { type TestViewer, World } from './testing/world.ts';

const LOW = 0x11;
const MIDDLE = 0x22;
const HIGH = 0x33;
const SSRC = 0x5000;
const FRAME_MS = 1000 / 30;
const BYTES = new Map([
  [LOW, 100],
  [MIDDLE, 300],
  [HIGH, 900],
]);

/** Three layers that all flow, and send a keyframe when they are asked (or never, without `answers`). */
function stage(answers = true) {
  const world = new World();
  const publisher = world.publisher([videoIngress({ rids: ['l', 'm', 'h'], ssrcs: [] })]);
  const layer = (rid: string, ssrc: number): RtpSource =>
    publisher.source({ ssrc, payloadType: 96, extensions: { 4: Buffer.from('1'), 10: Buffer.from(rid) } });
  const layers = [layer('l', LOW), layer('m', MIDDLE), layer('h', HIGH)];
  let asked = 0;
  let frames = 0;
  const play = (count: number, without: readonly number[] = []): void => {
    for (let i = 0; i < count; i++, frames++) {
      const wanted = publisher.peer.plis.slice(asked);
      asked += wanted.length;
      for (const source of layers) {
        const { ssrc } = source.options;
        if (without.includes(ssrc)) continue;
        const isKeyframe = frames === 0 || (answers && wanted.includes(ssrc));
        for (const { datagram } of source.frame(isKeyframe, 2, BYTES.get(ssrc))) {
          publisher.media.receive(datagram, world.nowMs);
        }
        source.timestamp += 3000;
      }
      world.pass(FRAME_MS);
    }
  };
  const watch = (): TestViewer => {
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    return viewer;
  };
  return { world, publisher, play, watch };
}

const streams = (viewer: TestViewer): number[] => viewedFrames(viewer.peer, SSRC).map(({ stream }) => stream);
const wish = (rid: string) => ({ ...AUTOMATIC, rid });

/** Reports on a hundred packets more, of which so many were lost. */
function reporter({ media, peer }: TestViewer) {
  const block = { ssrc: SSRC, cumulativeLost: 0, highestSequence: 0, jitter: 0, lastSr: 0, delaySinceLastSr: 0 };
  return (fractionLost: number, nowMs: number): void => {
    block.highestSequence += 100;
    block.cumulativeLost += 100 * fractionLost;
    media.receive(
      peer.rtcp((rtcp) => rtcp.receiverReport(1, [{ ...block, fractionLost }])),
      nowMs,
    );
  };
}

describe('layers per viewer', () => {
  it('each gets the one that it chose, from a keyframe on that was asked for, everything continuous', () => {
    const { world, publisher, play, watch } = stage();
    const viewers = [watch(), watch(), watch()] as const;
    play(60);
    for (const viewer of viewers) expect(streams(viewer).at(-1)).toBe(HIGH);
    publisher.peer.plis.length = 0;

    viewers[0].media.setLayer('v', wish('l'), world.nowMs);
    viewers[1].media.setLayer('v', wish('m'), world.nowMs);
    play(30);

    expect(viewers.map((viewer) => streams(viewer).at(-1))).toEqual([LOW, MIDDLE, HIGH]);
    expect(viewers.map(({ media }) => media.stats(world.nowMs)[0]?.rid)).toEqual(['l', 'm', 'h']);
    // The third one was not sent a second keyframe for that.
    expect(streams(viewers[2]).filter((stream) => stream !== HIGH && stream !== LOW)).toEqual([]);

    viewers[0].media.setLayer('v', AUTOMATIC, world.nowMs);
    play(30);
    expect(streams(viewers[0]).at(-1)).toBe(HIGH);
    for (const viewer of viewers) expect(streams(viewer).length).toBeGreaterThanOrEqual(118);
  });

  it('ten viewers who change to one layer cost its publisher one request', () => {
    const { world, publisher, play, watch } = stage();
    const viewers = Array.from({ length: 10 }, watch);
    play(60);
    publisher.peer.plis.length = 0;

    for (const viewer of viewers) viewer.media.setLayer('v', wish('m'), world.nowMs);
    expect(publisher.peer.plis).toEqual([MIDDLE]);
  });

  it('the old layer goes on until the new one has a keyframe, and for good when none comes', () => {
    const { world, play, watch } = stage(false);
    const viewer = watch();
    play(60);
    const before = streams(viewer);
    const [shown] = before.slice(-1);

    viewer.media.setLayer('v', wish(shown === LOW ? 'h' : 'l'), world.nowMs);
    play(60);

    expect(streams(viewer).slice(before.length)).toEqual(Array(60).fill(shown));
  });

  it('a chosen layer that stops is stood in for, and comes back', () => {
    const { world, play, watch } = stage();
    const viewer = watch();
    play(60);
    viewer.media.setLayer('v', wish('m'), world.nowMs);
    play(30);
    expect(streams(viewer).at(-1)).toBe(MIDDLE);

    play(30, [MIDDLE]);
    expect(streams(viewer).at(-1)).toBe(HIGH);

    play(60);
    expect(streams(viewer).at(-1)).toBe(MIDDLE);
  });

  it('a choice outlives the track that it was made for', () => {
    const { world, publisher, play, watch } = stage();
    const viewer = watch();
    play(60);
    viewer.media.setLayer('v', wish('l'), world.nowMs);
    viewer.media.attach('v', null, world.nowMs);
    play(10);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    play(30);
    expect(streams(viewer).at(-1)).toBe(LOW);
  });

  it('goes down for the one whose line is bad, and up again when it is calm', () => {
    const { world, play, watch } = stage();
    const [good, bad] = [watch(), watch()];
    const [reportGood, reportBad] = [reporter(good), reporter(bad)];
    play(60);

    for (let second = 0; second < 10; second++) {
      reportGood(0, world.nowMs);
      reportBad(0.4, world.nowMs);
      play(30);
    }
    expect(streams(good).at(-1)).toBe(HIGH);
    expect(streams(bad).at(-1)).toBe(LOW);

    for (let second = 0; second < 40; second++) {
      reportBad(0, world.nowMs);
      play(30);
    }
    expect(streams(bad).at(-1)).toBe(HIGH);
  });

  it('who chose a layer gets it on a bad line as well', () => {
    const { world, play, watch } = stage();
    const viewer = watch();
    const report = reporter(viewer);
    play(60);
    viewer.media.setLayer('v', wish('h'), world.nowMs);
    for (let second = 0; second < 10; second++) {
      report(0.4, world.nowMs);
      play(30);
    }
    expect(streams(viewer).at(-1)).toBe(HIGH);
  });

  it('tells of layers that come and go, once for each change, and describes them', () => {
    const { world, publisher, play } = stage();
    const told: string[] = [];
    const media = world.forwarder.openEgress(
      {
        tracks: [videoEgress({ ssrc: 0x7000, rtxSsrc: 0x7001 })],
        keys: null,
        send: () => {},
        onAuthenticated: () => {},
        onLayers: (mid) => told.push(mid),
      },
      world.nowMs,
    );
    media.attach('v', publisher.track('1'), world.nowMs);
    play(60);
    const before = told.length;
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(6);
    play(60);
    expect(told.length).toBe(before);
    play(30, [HIGH]);
    expect(told.length).toBe(before + 1);

    const layers = publisher.track('1').describeLayers(world.nowMs);
    expect(layers.map(({ rid, bitrateBps }) => [rid, bitrateBps > 0])).toEqual([
      ['m', true],
      ['l', true],
      ['h', false],
    ]);
    expect(() => media.setLayer('x', AUTOMATIC, world.nowMs)).toThrow(RangeError);
    media.close();
  });
});
