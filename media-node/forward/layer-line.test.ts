/** Viewers who report what they really get: only what their own line does makes them go down. */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../test/support/udp-proxy.ts';
import { ReceptionStats } from '../rtcp/reception-stats.ts';
import { videoEgress, videoIngress } from './testing/plans.ts';
import type { RtpSource } from './testing/rtp-source.ts';
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

/** Three layers, of which the way to the node loses a part that is never repaired. */
function stage(seed: number) {
  const world = new World();
  const random = seededRandom(seed);
  const publisher = world.publisher([videoIngress({ rids: ['l', 'm', 'h'], ssrcs: [] })]);
  const layers = LAYERS.map(([rid, ssrc, bytes]): [RtpSource, number] => [
    publisher.source({ ssrc, payloadType: 96, extensions: { 4: Buffer.from('1'), 10: Buffer.from(rid) } }),
    bytes,
  ]);
  const uplink = { loss: 0 };
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
        }
        source.timestamp += 3000;
      }
      world.pass(FRAME_MS);
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
    return { line, rid: () => viewer.media.stats(world.nowMs)[0]?.rid };
  };
  return { uplink, play, watch };
}

describe.each([500, 5_000])('a viewer that reports every %s ms', (intervalMs) => {
  it.each([0, 150])('stays at the best, %s ms away, while only the way to the node loses packets', (delayMs) => {
    const { uplink, play, watch } = stage(intervalMs);
    const viewer = watch(intervalMs, delayMs);
    play(10);
    expect(viewer.rid()).toBe('h');

    uplink.loss = LOSS;
    for (let second = 0; second < 30; second++) {
      play(1);
      expect(viewer.rid()).toBe('h');
    }
  });

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
