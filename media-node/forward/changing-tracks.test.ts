/** Tracks that come and go on a viewer's session while it lives. */
import { describe, expect, it } from 'vitest';
import { PortableEngine } from './portable-engine.ts';
import { viewedFrames } from './testing/picture-check.ts';
import { audioEgress, audioIngress, videoEgress, videoIngress } from './testing/plans.ts';
import { World } from './testing/world.ts';

const FIRST = videoEgress({ mid: '1', ssrc: 0x5000, rtxSsrc: 0x5001 });
const SECOND = videoEgress({ mid: '2', ssrc: 0x5002, rtxSsrc: 0x5003 });
/** Another occupant of the first section. */
const THIRD = videoEgress({ mid: '1', ssrc: 0x5004, rtxSsrc: 0x5005 });

function live() {
  const world = new World();
  const publishers = [0x1000, 0x1100].map((ssrc) => {
    const publisher = world.publisher([videoIngress({ ssrcs: [{ primary: ssrc, rtx: null }] })]);
    const source = publisher.source({ ssrc, payloadType: 96 });
    return { publisher, source, track: publisher.track('1') };
  });
  const [a, b] = publishers;
  if (a === undefined || b === undefined) throw new Error('two publishers');
  const both = (frames: number, keyframe = false) => {
    for (let i = 0; i < frames; i++) {
      for (const { publisher, source } of [a, b]) {
        for (const { datagram } of source.frame(keyframe && i === 0, 2)) publisher.media.receive(datagram, world.nowMs);
        source.timestamp += 3000;
      }
      world.pass(1000 / 30);
    }
  };
  return { world, a, b, both };
}

describe('setTracks', () => {
  it('adds a track to a session that began without any', () => {
    const { world, a, both } = live();
    const viewer = world.viewer([]);
    both(5, true);

    viewer.media.setTracks([FIRST], world.nowMs);
    viewer.media.attach('1', a.track, world.nowMs);
    both(5);

    expect(viewedFrames(viewer.peer, 0x5000).map(({ frame }) => frame)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(viewer.peer.refused).toBe(0);
  });

  it('leaves the others alone, however often it is called', () => {
    const { world, a, b, both } = live();
    const viewer = world.viewer([FIRST]);
    viewer.media.attach('1', a.track, world.nowMs);
    both(5, true);

    for (let i = 0; i < 10; i++) {
      viewer.media.setTracks(
        i % 2 === 0 ? [FIRST, { ...SECOND, ssrc: 0x6000 + i, rtxSsrc: null }] : [FIRST],
        world.nowMs,
      );
      if (i % 2 === 0) viewer.media.attach('2', b.track, world.nowMs);
      both(1);
    }

    expect(viewedFrames(viewer.peer, 0x5000).map(({ frame }) => frame)).toEqual(
      Array.from({ length: 15 }, (_, i) => i),
    );
    const sequences = viewer.peer.rtp.filter(({ ssrc }) => ssrc === 0x5000).map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.map((_, i) => (sequences[0] ?? 0) + i));
    expect(viewer.peer.refused).toBe(0);
  });

  it('a track that is taken away sends and reports no more, and asks for nothing', () => {
    const { world, a, b, both } = live();
    const viewer = world.viewer([FIRST, SECOND]);
    viewer.media.attach('1', a.track, world.nowMs);
    viewer.media.attach('2', b.track, world.nowMs);
    both(40, true);
    const before = viewer.peer.rtp.filter(({ ssrc }) => ssrc === 0x5000).length;
    const reports = viewer.peer.reports.filter(({ ssrc }) => ssrc === 0x5000).length;
    expect([before, reports].every((count) => count > 0)).toBe(true);

    viewer.media.setTracks([SECOND], world.nowMs);
    const asked = a.publisher.peer.plis.length;
    viewer.media.receive(
      viewer.peer.rtcp((rtcp) => rtcp.nack(1, 0x5000, [1, 2, 3], 3)),
      world.nowMs,
    );
    viewer.media.receive(
      viewer.peer.rtcp((rtcp) => rtcp.pli(1, 0x5000)),
      world.nowMs,
    );
    both(60);

    expect(viewer.peer.rtp.filter(({ ssrc }) => ssrc === 0x5000 || ssrc === 0x5001)).toHaveLength(before);
    expect(viewer.peer.reports.filter(({ ssrc }) => ssrc === 0x5000)).toHaveLength(reports);
    expect(a.publisher.peer.plis).toHaveLength(asked);
    expect(viewedFrames(viewer.peer, 0x5002)).toHaveLength(100);
    expect(viewer.media.stats(world.nowMs).map(({ mid, ssrc }) => [mid, ssrc])).toEqual([['2', 0x5002]]);
    expect(() => viewer.media.attach('1', a.track, world.nowMs)).toThrow(RangeError);
  });

  it('a new occupant of a section has numbers of its own', () => {
    const { world, a, b, both } = live();
    const viewer = world.viewer([FIRST]);
    viewer.media.attach('1', a.track, world.nowMs);
    both(5, true);

    viewer.media.setTracks([THIRD], world.nowMs);
    viewer.media.attach('1', b.track, world.nowMs);
    both(5);

    expect(viewedFrames(viewer.peer, 0x5004).map(({ frame }) => frame)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(viewer.peer.refused).toBe(0);
  });

  it.each([
    ['that ended', [FIRST]],
    ['of a retransmission that ended', [{ ...SECOND, ssrc: FIRST.rtxSsrc ?? 0 }]],
    ['twice', [SECOND, { ...SECOND, mid: '3' }]],
    ['of a track on another section', [{ ...THIRD, mid: '2' }]],
  ])('never takes an SSRC %s, and changes nothing then', (_what, tracks) => {
    const { world } = live();
    const viewer = world.viewer([FIRST]);
    viewer.media.setTracks([THIRD], world.nowMs);

    expect(() => viewer.media.setTracks(tracks, world.nowMs)).toThrow(RangeError);
    expect(viewer.media.stats(world.nowMs).map(({ ssrc }) => ssrc)).toEqual([THIRD.ssrc]);
  });

  it('sound and picture come and go apart', () => {
    const { world, a, both } = live();
    const speaker = world.publisher([audioIngress()]);
    const sound = speaker.source({ ssrc: 0x2000, payloadType: 111 });
    const viewer = world.viewer([audioEgress()]);
    viewer.media.attach('a', speaker.track('0'), world.nowMs);
    const speak = () => speaker.media.receive(sound.packet(Buffer.from([1])).datagram, world.nowMs);

    speak();
    viewer.media.setTracks([audioEgress(), FIRST], world.nowMs);
    viewer.media.attach('1', a.track, world.nowMs);
    both(2, true);
    speak();
    viewer.media.setTracks([FIRST], world.nowMs);
    speak();

    expect(viewer.peer.rtp.filter(({ ssrc }) => ssrc === 0x6000)).toHaveLength(2);
    expect(viewedFrames(viewer.peer, 0x5000)).toHaveLength(2);
  });

  it('gives every handle back', () => {
    class CountingEngine extends PortableEngine {
      open = 0;
      override openSink(...rules: Parameters<PortableEngine['openSink']>) {
        this.open += 1;
        return super.openSink(...rules);
      }
      override closeSink(...sink: Parameters<PortableEngine['closeSink']>) {
        this.open -= 1;
        super.closeSink(...sink);
      }
    }
    const engine = new CountingEngine();
    const world = new World({}, engine);
    const publisher = world.publisher([videoIngress()]);
    const viewer = world.viewer([]);

    for (let i = 0; i < 100; i++) {
      viewer.media.setTracks([{ ...FIRST, ssrc: 0x10000 + 2 * i, rtxSsrc: 0x10001 + 2 * i }], world.nowMs);
      viewer.media.attach('1', publisher.track('1'), world.nowMs);
      expect(engine.open).toBe(1);
    }

    viewer.media.close();
    viewer.media.setTracks([SECOND], world.nowMs);
    expect(engine.open).toBe(0);
  });
});
