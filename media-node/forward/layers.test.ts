import { describe, expect, it } from 'vitest';
import { viewedFrames } from './testing/picture-check.ts';
import { videoEgress, videoIngress } from './testing/plans.ts';
import type { RtpSource } from './testing/rtp-source.ts';
import { World } from './testing/world.ts';

/** Three layers by rid, as a browser sends them: no SSRC is announced. */
function simulcast() {
  const world = new World();
  const publisher = world.publisher([videoIngress({ rids: ['l', 'm', 'h'], ssrcs: [] })]);
  const layer = (rid: string, ssrc: number) =>
    publisher.source({
      ssrc,
      payloadType: 96,
      firstTimestamp: ssrc * 1000,
      extensions: { 4: Buffer.from('1'), 10: Buffer.from(rid) },
    });
  const viewer = world.viewer([videoEgress()]);
  viewer.media.attach('v', publisher.track('1'), world.nowMs);
  /** One frame of each layer: 100, 300 and 900 bytes per packet. */
  const frames = (sources: [RtpSource, number, boolean][]) => {
    for (const [source, bytes, keyframe] of sources) {
      for (const { datagram } of source.frame(keyframe, 2, bytes)) publisher.media.receive(datagram, world.nowMs);
      source.timestamp += 3000;
    }
    world.pass(1000 / 30);
  };
  return { world, publisher, viewer, low: layer('l', 0x11), high: layer('h', 0x33), frames };
}

describe('layers of a track', () => {
  it('a viewer moves to the best layer on a keyframe of it, everything continuous', () => {
    const { world, publisher, viewer, low, high, frames } = simulcast();
    for (let i = 0; i < 20; i++) frames([[low, 100, i === 0]]);
    expect(viewedFrames(viewer.peer, 0x5000).length).toBe(20);
    for (let i = 0; i < 45; i++) {
      frames([
        [low, 100, false],
        [high, 900, i === 0],
      ]);
    }
    // Asked for a keyframe of the better layer once it had proven itself; until then the old one goes on.
    expect(publisher.peer.plis).toContain(0x33);
    expect(viewedFrames(viewer.peer, 0x5000).length).toBe(65);
    for (let i = 0; i < 10; i++) {
      frames([
        [low, 100, false],
        [high, 900, i === 3],
      ]);
    }
    const seen = viewedFrames(viewer.peer, 0x5000);
    // The frame at which both layers are sent is there twice: once of each.
    expect(seen.slice(-7).map((frame) => frame.stream)).toEqual(Array<number>(7).fill(0x33));
    expect(seen.slice(0, -7).map((frame) => frame.stream)).toEqual(Array<number>(69).fill(0x11));
    const steps = seen.slice(1).map((frame, i) => (frame.timestamp - (seen[i]?.timestamp ?? 0)) | 0);
    expect(Math.max(...steps)).toBeLessThan(6100);
    expect(steps.reduce((sum, step) => sum + step, 0)).toBeGreaterThan(74 * 3000 - 3000);
    expect(publisher.media.stats(world.nowMs)[0]?.layers.map((layer) => layer.rid)).toEqual(['l', 'h']);
  });

  it('a viewer falls back when the layer stops, from the cache and without waiting', () => {
    const { viewer, low, high, frames } = simulcast();
    for (let i = 0; i < 30; i++) {
      frames([
        [high, 900, i === 0],
        [low, 100, i === 0 || i === 20],
      ]);
    }
    expect(new Set(viewedFrames(viewer.peer, 0x5000).map((frame) => frame.stream))).toEqual(new Set([0x33]));
    for (let i = 0; i < 30; i++) frames([[low, 100, false]]);
    const seen = viewedFrames(viewer.peer, 0x5000);
    const fallback = seen.filter((frame) => frame.stream === 0x11);
    expect(fallback[0]).toMatchObject({ frame: 20, keyframe: true });
    expect(fallback.at(-1)?.frame).toBe(59);
  });

  it('a packet without mid or rid of an unknown SSRC goes nowhere', () => {
    const { world, publisher, viewer } = simulcast();
    const stray = publisher.source({ ssrc: 0x77, payloadType: 96 });
    for (const { datagram } of stray.frame(true, 3)) publisher.media.receive(datagram, world.nowMs);
    expect(publisher.media.stats(world.nowMs)[0]?.layers).toEqual([]);
    expect(viewer.peer.rtp).toEqual([]);
    expect(world.forwarder.counters.dropped).toBe(3);
  });

  it('an SSRC that nobody announced is found by its payload type, and replaces one that fell silent', () => {
    const world = new World();
    const publisher = world.publisher([videoIngress({ ssrcs: [] })]);
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    const first = publisher.source({ ssrc: 1, payloadType: 96 });
    for (let i = 0; i < 5; i++) world.frame(publisher, first, i === 0);
    world.pass(3000);
    const second = publisher.source({ ssrc: 2, payloadType: 96, firstTimestamp: 12_345 });
    for (let i = 0; i < 5; i++) world.frame(publisher, second, i === 0);
    expect(publisher.media.stats(world.nowMs)[0]?.layers.map((layer) => layer.ssrc)).toEqual([2]);
    expect(viewedFrames(viewer.peer, 0x5000).map((frame) => frame.stream)).toEqual([1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
  });

  it('a publisher that invents SSRCs does not make the node grow', () => {
    const world = new World();
    const publisher = world.publisher([videoIngress({ ssrcs: [] })]);
    for (let ssrc = 1; ssrc <= 500; ssrc++) {
      const source = publisher.source({ ssrc, payloadType: 96 });
      for (const { datagram } of source.frame(true, 1)) publisher.media.receive(datagram, world.nowMs);
    }
    expect(publisher.media.stats(world.nowMs)[0]?.layers.length).toBeLessThanOrEqual(8);
  });
});
