/** Viewers who report what they really get: only what their own line does makes them go down. */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../test/support/udp-proxy.ts';
import { ReceptionStats } from '../rtcp/reception-stats.ts';
import { ViewerReport } from '../rtcp/viewer-report.ts';
import { LineMeter } from './layer-line.ts';
import { videoEgress, videoIngress } from './testing/plans.ts';
import { type RtpSource, readContent } from './testing/rtp-source.ts';
import { type TestViewer, World } from './testing/world.ts';

const LAYERS = [
  ['l', 0x11, 150],
  ['m', 0x22, 400],
  ['h', 0x33, 1000],
] as const;
const SSRC = 0x5000;
const FRAME_MS = 1000 / 30;
const PACKETS_PER_FRAME = 3;
const LOSS = 0.25;

/** Three layers, of which the way to the node loses a part. */
function stage(seed: number) {
  const world = new World();
  const random = seededRandom(seed);
  const publisher = world.publisher([videoIngress({ rids: ['l', 'm', 'h'], ssrcs: [] })]);
  const layers = LAYERS.map(([rid, ssrc, bytes]): [RtpSource, number] => [
    publisher.source({ ssrc, payloadType: 96, extensions: { 4: Buffer.from('1'), 10: Buffer.from(rid) } }),
    bytes,
  ]);
  /** What is lost is never repaired, or after a while. */
  const uplink = { loss: 0, repairMs: Number.POSITIVE_INFINITY };
  const missing: { datagram: Buffer; dueMs: number }[] = [];
  let asked = 0;
  let frames = 0;
  const viewers: (() => void)[] = [];
  const play = (seconds: number): void => {
    for (let left = seconds * 30; left > 0; left--, frames++) {
      const wanted = publisher.peer.plis.slice(asked);
      asked += wanted.length;
      for (const [source, bytes] of layers) {
        const isKeyframe = frames === 0 || wanted.includes(source.options.ssrc);
        for (const { datagram } of source.frame(isKeyframe, PACKETS_PER_FRAME, bytes)) {
          if (random() >= uplink.loss) publisher.media.receive(datagram, world.nowMs);
          else if (uplink.repairMs < Infinity) missing.push({ datagram, dueMs: world.nowMs + uplink.repairMs });
        }
        source.timestamp += 3000;
      }
      world.pass(FRAME_MS);
      while ((missing[0]?.dueMs ?? Infinity) <= world.nowMs) {
        publisher.media.receive(missing.shift()?.datagram ?? Buffer.alloc(0), world.nowMs);
      }
      for (const report of viewers) report();
    }
  };
  /** @param intervalMs between two reports @param delayMs of what is sent to it */
  const watch = (intervalMs: number, delayMs = 0) => {
    const viewer: TestViewer = world.viewer([videoEgress()]);
    const line = { loss: 0 };
    const onTheWay: { datagram: Buffer; dueMs: number }[] = [];
    viewer.link = (datagram) => {
      if (random() >= line.loss) onTheWay.push({ datagram, dueMs: world.nowMs + delayMs });
    };
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    const stats = new ReceptionStats(90_000);
    let read = 0;
    let dueMs = world.nowMs + intervalMs;
    viewers.push(() => {
      while (onTheWay[0] !== undefined && onTheWay[0].dueMs <= world.nowMs) {
        viewer.peer.receive(onTheWay.shift()?.datagram ?? Buffer.alloc(0));
      }
      for (; read < viewer.peer.rtp.length; read++) {
        const { ssrc, sequence, timestamp } = viewer.peer.rtp[read] ?? { ssrc: 0, sequence: 0, timestamp: 0 };
        if (ssrc === SSRC) stats.received(sequence, timestamp, world.nowMs);
      }
      if (world.nowMs < dueMs || stats.packets === 0) return;
      dueMs += intervalMs;
      const block = {
        ssrc: SSRC,
        fractionLost: 0,
        cumulativeLost: 0,
        highestSequence: 0,
        jitter: 0,
        lastSr: 0,
        delaySinceLastSr: 0,
      };
      stats.report(world.nowMs, block);
      viewer.media.receive(
        viewer.peer.rtcp((rtcp) => rtcp.receiverReport(1, [block])),
        world.nowMs,
      );
    });
    return { viewer, line, rid: () => viewer.media.stats(world.nowMs)[0]?.rid };
  };
  return { world, uplink, play, watch };
}

describe.each([500, 5_000])('a viewer that reports every %s ms', (intervalMs) => {
  it.each([
    [0, Infinity],
    [150, Infinity],
    [150, 100],
  ])(
    'stays at the best, %s ms away, while only the way to the node loses, repaired after %s ms',
    (delayMs, repairMs) => {
      const { uplink, play, watch } = stage(intervalMs);
      const viewer = watch(intervalMs, delayMs);
      play(10);
      expect(viewer.rid()).toBe('h');

      Object.assign(uplink, { loss: LOSS, repairMs });
      for (let second = 0; second < 20; second++) {
        play(1);
        expect(viewer.rid()).toBe('h');
      }
    },
  );

  it('goes down for its own losses beside those, and comes back while those last', () => {
    const { uplink, play, watch } = stage(intervalMs);
    const [bad, good] = [watch(intervalMs), watch(intervalMs)];
    uplink.loss = LOSS;
    play(10);

    bad.line.loss = LOSS;
    play(30);
    expect([bad.rid(), good.rid()]).toEqual(['l', 'h']);

    bad.line.loss = 0;
    play(60);
    expect([bad.rid(), good.rid()]).toEqual(['h', 'h']);
  });
});

it('what a larger layer lacks is not sent again once the line has made the viewer go down', () => {
  const { world, play, watch } = stage(1);
  const { viewer, line, rid } = watch(500);
  play(5);
  line.loss = LOSS;
  while (rid() === 'h') play(1 / 30);
  const numberOf = (stream: number): number =>
    viewer.peer.rtp.findLast((packet) => packet.ssrc === SSRC && readContent(packet.payload)?.stream === stream)
      ?.sequence ?? -1;
  const resent = (sequence: number): number => {
    const before = viewer.media.stats(world.nowMs)[0]?.retransmitted ?? 0;
    viewer.media.receive(
      viewer.peer.rtcp((rtcp) => rtcp.nack(1, SSRC, [sequence & 0xffff], 1)),
      world.nowMs,
    );
    return (viewer.media.stats(world.nowMs)[0]?.retransmitted ?? 0) - before;
  };
  play(0.1);
  const [, [, middle], [, high]] = LAYERS;
  expect([resent(numberOf(high)), resent(numberOf(middle))]).toEqual([0, 1]);
});

describe('the queue on the way', () => {
  const SECOND_NTP = 65_536;

  /** Second by second a sender report, and a viewer's report that refers to it, which comes so much later. */
  function queues(roundTripsMs: readonly number[]): number[] {
    const report = new ViewerReport(90_000);
    const meter = new LineMeter();
    const source = { holes: 0 };
    return roundTripsMs.map((roundTripMs, index) => {
      const second = index + 1;
      report.noteSenderReport(second * SECOND_NTP, second * 1000);
      const nowMs = second * 1000 + roundTripMs;
      report.noteReportBlock(0, 0, second * 100, 0, second * SECOND_NTP, 0, nowMs);
      meter.note(source, report, nowMs);
      return Math.round(meter.queueMs);
    });
  }

  it.each([
    ['a round trip that is always long is none', [300, 310, 300, 305], [0, 0, 0, 0]],
    ['one late report is none', [20, 20, 900, 20, 20], [0, 0, 0, 0, 0]],
    ['two are one, at the lesser of them', [20, 20, 900, 700, 1200], [0, 0, 0, 677, 673]],
    ['it ends with a quick one, when the next second is over', [20, 20, 900, 900, 20, 20], [0, 0, 0, 876, 876, 0]],
  ])('%s', (_, roundTripsMs, expected) => {
    expect(queues(roundTripsMs)).toEqual(expected);
  });

  it('a longer way becomes the normal one in some minutes', () => {
    const long = queues([20, 20, ...Array<number>(1_000).fill(800)]);
    expect(long[5]).toBeGreaterThan(700);
    expect(long.at(-1)).toBeLessThan(10);
  });
});
