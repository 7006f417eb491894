import { describe, expect, it } from 'vitest';
import { viewedFrames } from './testing/picture-check.ts';
import { audioEgress, audioIngress, videoEgress, videoIngress } from './testing/plans.ts';
import { World } from './testing/world.ts';

const MEDIA = { ssrc: 0x1000, payloadType: 96 };

function live(options: ConstructorParameters<typeof World>[0] = {}) {
  const world = new World(options);
  const publisher = world.publisher([audioIngress(), videoIngress()]);
  return { world, publisher, source: publisher.source(MEDIA) };
}

describe('a viewer from the start', () => {
  it('gets every packet with its own SSRC, payload type and extensions', () => {
    const { world, publisher } = live();
    const source = publisher.source({
      ...MEDIA,
      extensions: { 4: Buffer.from('1'), 3: Buffer.from([1, 2]), 13: Buffer.from([7]), 7: Buffer.from('leak') },
    });
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 30; i++) world.frame(publisher, source, i === 0);
    const frames = viewedFrames(viewer.peer, 0x5000);
    expect(frames.map((frame) => frame.frame)).toEqual(Array.from({ length: 30 }, (_, i) => i));
    expect(frames.slice(1).map((frame, i) => (frame.timestamp - (frames[i]?.timestamp ?? 0)) | 0)).toEqual(
      Array<number>(29).fill(3000),
    );
    for (const packet of viewer.peer.rtp) {
      expect([packet.ssrc, packet.payloadType]).toEqual([0x5000, 120]);
      expect(viewer.peer.extension(packet, 9)?.toString()).toBe('v');
      expect(viewer.peer.extension(packet, 5)).toEqual(Buffer.from([7]));
      for (const id of [3, 4, 7, 13]) expect(viewer.peer.extension(packet, id)).toBeNull();
    }
    expect(publisher.authenticated).toBe(90);
    expect(publisher.peer.plis).toEqual([]);
    expect(world.forwarder.counters).toMatchObject({ packetsIn: 90, dropped: 0 });
  });

  it('gets nothing before a keyframe, and the publisher is asked at once and again', () => {
    const { world, publisher, source } = live();
    const viewer = world.viewer([videoEgress()]);
    world.frame(publisher, source);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    expect(publisher.peer.plis).toEqual([0x1000]);
    for (let i = 0; i < 30; i++) world.frame(publisher, source);
    expect(publisher.peer.plis.length).toBeGreaterThan(1);
    expect(viewer.peer.rtp).toEqual([]);
    world.frame(publisher, source, true);
    world.frame(publisher, source);
    expect(viewedFrames(viewer.peer, 0x5000).map((frame) => frame.frame)).toEqual([31, 32]);
    const asked = publisher.peer.plis.length;
    for (let i = 0; i < 60; i++) world.frame(publisher, source);
    expect(publisher.peer.plis.length).toBe(asked);
  });

  it('asks by FIR when the publisher knows no PLI', () => {
    const world = new World();
    const feedback = { nack: true, pli: false, fir: true, remb: false, transportCc: false };
    const publisher = world.publisher([videoIngress({ feedback })]);
    world.frame(publisher, publisher.source(MEDIA));
    world.viewer([videoEgress()]).media.attach('v', publisher.track('1'), world.nowMs);
    world.pass(1000);
    expect(publisher.peer.firs.slice(0, 2)).toEqual([
      { ssrc: 0x1000, number: 0 },
      { ssrc: 0x1000, number: 1 },
    ]);
  });

  it('hears sound at once', () => {
    const { world, publisher } = live();
    const source = publisher.source({ ssrc: 0x2000, payloadType: 111 });
    const viewer = world.viewer([audioEgress()]);
    for (let i = 0; i < 10; i++) publisher.media.receive(source.packet(Buffer.from([i])).datagram, world.nowMs);
    viewer.media.attach('a', publisher.track('0'), world.nowMs);
    for (let i = 10; i < 13; i++) publisher.media.receive(source.packet(Buffer.from([i])).datagram, world.nowMs);
    expect(viewer.peer.rtp.map((packet) => [...packet.payload])).toEqual([[10], [11], [12]]);
    expect(publisher.peer.plis).toEqual([]);
  });
});

describe('start from the cache', () => {
  it('sends the GOP at once with compressed timestamps, then the live edge, and asks for nothing', () => {
    const { world, publisher, source } = live();
    for (let i = 0; i < 60; i++) world.frame(publisher, source, i === 10);
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    expect(viewer.peer.rtp.length).toBe(64);
    const joinedMs = world.nowMs;
    for (let i = 60; i < 80; i++) world.frame(publisher, source);
    expect(world.nowMs - joinedMs).toBeGreaterThan(600);
    const frames = viewedFrames(viewer.peer, 0x5000);
    expect(frames.map((frame) => frame.frame)).toEqual(Array.from({ length: 70 }, (_, i) => i + 10));
    const steps = frames.slice(1).map((frame, i) => (frame.timestamp - (frames[i]?.timestamp ?? 0)) | 0);
    expect(steps.slice(0, 49)).toEqual(Array<number>(49).fill(90));
    expect(steps.slice(49)).toEqual(Array<number>(20).fill(3000));
    expect(publisher.peer.plis).toEqual([]);
  });

  it('takes live packets that come meanwhile in order, and recovers what was lost of the cached ones', () => {
    const { world, publisher, source } = live();
    for (let i = 0; i < 30; i++) world.frame(publisher, source, i === 0, 20);
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 10; i++) {
      for (const { datagram } of source.frame(false, 20)) publisher.media.receive(datagram, world.nowMs);
      source.timestamp += 3000;
      world.pass(10);
    }
    world.pass(200);
    const [first] = viewer.peer.rtp;
    const frames = viewedFrames(viewer.peer, 0x5000);
    expect(frames.length).toBe(40);
    // As if the first, a middle and the last cached packet had been lost on the way.
    for (const offset of [0, 250, 599]) {
      const lost = ((first?.sequence ?? 0) + offset) & 0xffff;
      viewer.media.receive(
        viewer.peer.rtcp((rtcp) => rtcp.nack(1, 0x5000, [lost], 1)),
        world.nowMs,
      );
    }
    expect(viewer.peer.rtp.filter((packet) => packet.ssrc === 0x5001).length).toBe(3);
    expect(viewedFrames(viewer.peer, 0x5000, 0x5001)).toEqual(frames);
  });

  it.each([
    ['off', { keyframeCache: false }],
    ['too small for the GOP', { keyframeCacheBytes: 20_000 }],
  ])('is not used when it is %s: a keyframe is asked for', (_what, options) => {
    const { world, publisher, source } = live(options);
    for (let i = 0; i < 60; i++) world.frame(publisher, source, i === 0);
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    world.frame(publisher, source);
    expect(viewer.peer.rtp).toEqual([]);
    expect(publisher.peer.plis).toEqual([0x1000]);
    world.frame(publisher, source, true);
    expect(viewedFrames(viewer.peer, 0x5000).map((frame) => frame.frame)).toEqual([61]);
  });

  it('prefers a fresh keyframe to an old GOP, and takes the GOP when none comes', () => {
    const { world, publisher, source } = live();
    for (let i = 0; i < 120; i++) world.frame(publisher, source, i === 0);
    const first = world.viewer([videoEgress()]);
    first.media.attach('v', publisher.track('1'), world.nowMs);
    expect(publisher.peer.plis).toEqual([0x1000]);
    for (let i = 0; i < 30; i++) world.frame(publisher, source);
    expect(viewedFrames(first.peer, 0x5000).length).toBe(150);
    world.pass(1000);
    // By now it is known that this publisher does not answer.
    const asked = publisher.peer.plis.length;
    const second = world.viewer([videoEgress()]);
    second.media.attach('v', publisher.track('1'), world.nowMs);
    expect(second.peer.rtp.length).toBe(64);
    expect(publisher.peer.plis.length).toBe(asked);
  });

  it('shows what can be decoded of a GOP with a hole, then waits for the next keyframe', () => {
    const { world, publisher, source } = live();
    for (let i = 0; i < 10; i++) world.frame(publisher, source, i === 0);
    source.frame(false, 3); // lost for good
    source.timestamp += 3000;
    for (let i = 0; i < 40; i++) world.frame(publisher, source);
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    expect(viewedFrames(viewer.peer, 0x5000).map((frame) => frame.frame)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(publisher.peer.plis.length).toBeGreaterThan(0);
    for (let i = 0; i < 5; i++) world.frame(publisher, source);
    expect(viewer.peer.rtp.length).toBe(27);
    for (let i = 0; i < 5; i++) world.frame(publisher, source, i === 0);
    expect(viewedFrames(viewer.peer, 0x5000).map((frame) => frame.frame)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 56, 57, 58, 59, 60,
    ]);
  });
});

describe('numbering', () => {
  it('goes on through wraps of sequence numbers and timestamps', () => {
    const { world, publisher } = live();
    const source = publisher.source({ ...MEDIA, firstSequence: 65_500, firstTimestamp: 2 ** 32 - 30_000 });
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 30; i++) world.frame(publisher, source, i === 0);
    expect(viewedFrames(viewer.peer, 0x5000).length).toBe(30);
    const late = world.viewer([videoEgress()]);
    late.media.attach('v', publisher.track('1'), world.nowMs);
    expect(viewedFrames(late.peer, 0x5000).length).toBeGreaterThan(20);
  });

  it("leaves no gap where the publisher's probes were, in whatever order they come", () => {
    const { world, publisher, source } = live();
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 20; i++) {
      world.frame(publisher, source, i === 0);
      const probes = [source.padding(), source.padding(), source.padding()];
      const frame = source.frame(false, 2);
      source.timestamp += 3000;
      const [a, b, c] = probes;
      const [d, e] = frame;
      for (const packet of i % 2 === 0 ? [a, b, d, c, e] : [a, b, c, e, d]) {
        if (packet !== undefined) publisher.media.receive(packet.datagram, world.nowMs);
      }
    }
    expect(viewedFrames(viewer.peer, 0x5000).length).toBe(40);
  });

  it('is the same for a packet that is sent again without RTX', () => {
    const { world, publisher, source } = live();
    const viewer = world.viewer([videoEgress({ rtxSsrc: null, rtxPayloadType: null })]);
    const datagrams: Buffer[] = [];
    viewer.link = (datagram) => datagrams.push(datagram);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 5; i++) world.frame(publisher, source, i === 0);
    const sent = datagrams.filter((datagram) => ((datagram[1] as number) & 0x7f) === 120);
    const lost = (sent[4] as Buffer).readUInt16BE(2);
    const nack = () =>
      viewer.media.receive(
        viewer.peer.rtcp((rtcp) => rtcp.nack(1, 0x5000, [lost], 1)),
        world.nowMs,
      );
    datagrams.length = 0;
    nack();
    expect(datagrams.map((datagram) => datagram.equals(sent[4] as Buffer))).toEqual([true]);
    nack(); // at once: ignored
    expect(datagrams.length).toBe(1);
    world.nowMs += 25;
    nack();
    expect(datagrams.length).toBe(2);
    expect(viewer.media.stats(world.nowMs)[0]).toMatchObject({ nacksReceived: 3, retransmitted: 2 });
  });
});

describe('attach', () => {
  it('moves a viewer to a publisher that came back, numbers and time going on', () => {
    const { world, publisher, source } = live();
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 30; i++) world.frame(publisher, source, i === 0);
    publisher.media.close();
    world.pass(5000);
    const again = world.publisher([videoIngress({ ssrcs: [{ primary: 0x9000, rtx: null }] })]);
    const next = again.source({ ssrc: 0x9000, payloadType: 96, firstSequence: 7, firstTimestamp: 99 });
    viewer.media.attach('v', again.track('1'), world.nowMs);
    for (let i = 0; i < 30; i++) world.frame(again, next, i === 0);
    const frames = viewedFrames(viewer.peer, 0x5000);
    expect(frames.length).toBe(60);
    const gap = ((frames[30]?.timestamp ?? 0) - (frames[29]?.timestamp ?? 0)) / 90;
    expect(gap).toBeGreaterThan(4990);
    expect(gap).toBeLessThan(5100);
  });

  it('null silences, and the same source again goes on', () => {
    const { world, publisher, source } = live();
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 5; i++) world.frame(publisher, source, i === 0);
    viewer.media.attach('v', null, world.nowMs);
    for (let i = 0; i < 5; i++) world.frame(publisher, source);
    expect(viewer.peer.rtp.length).toBe(15);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 5; i++) world.frame(publisher, source);
    const frames = viewedFrames(viewer.peer, 0x5000);
    expect(frames.map((frame) => frame.frame)).toEqual([0, 1, 2, 3, 4, ...Array.from({ length: 15 }, (_, i) => i)]);
  });

  it('a closed session does nothing any more, twice', () => {
    const { world, publisher, source } = live();
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 3; i++) world.frame(publisher, source, i === 0);
    const count = viewer.peer.rtp.length;
    viewer.media.close();
    viewer.media.close();
    world.frame(publisher, source);
    viewer.media.attach('v', null, world.nowMs);
    publisher.media.close();
    publisher.media.close();
    world.frame(publisher, source);
    expect(viewer.peer.rtp.length).toBe(count);
    expect(world.forwarder.counters.packetsIn).toBe(12);
  });

  it('refuses an m-section that the session does not have', () => {
    const { world, publisher } = live();
    const viewer = world.viewer([videoEgress()]);
    expect(() => viewer.media.attach('x', publisher.track('1'), world.nowMs)).toThrow(RangeError);
  });
});
