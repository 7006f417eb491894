import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { seededRandom } from './testing/keys.ts';
import { viewedFrames } from './testing/picture-check.ts';
import { audioEgress, audioIngress, videoEgress, videoIngress } from './testing/plans.ts';
import { World } from './testing/world.ts';

const INPUTS = 10_000;

function running() {
  const world = new World();
  const feedback = { nack: true, pli: true, fir: true, remb: true, transportCc: true };
  const publisher = world.publisher([audioIngress(), videoIngress({ feedback })]);
  const source = publisher.source({ ssrc: 0x1000, payloadType: 96 });
  const viewer = world.viewer([audioEgress(), videoEgress()]);
  viewer.media.attach('v', publisher.track('1'), world.nowMs);
  for (let i = 0; i < 5; i++) world.frame(publisher, source, i === 0);
  return { world, publisher, source, viewer };
}

describe('hostile input is dropped in silence', () => {
  it('random datagrams, to both sides', () => {
    const { world, publisher, source, viewer } = running();
    const before = { ...world.forwarder.counters };
    let sent = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(0x80, 0x90, 0xa0, 0xbf), (bytes, first) => {
        const datagram = Buffer.from(bytes);
        if (datagram.length > 0) datagram[0] = first;
        publisher.media.receive(datagram, world.nowMs);
        viewer.media.receive(datagram, world.nowMs);
        sent += 2;
      }),
      { numRuns: INPUTS },
    );
    expect(world.forwarder.counters).toEqual({ ...before, dropped: before.dropped + sent });
    expect(publisher.media.stats(world.nowMs)[1]?.layers.length).toBe(1);
    world.frame(publisher, source);
    expect(viewedFrames(viewer.peer, 0x5000).length).toBe(6);
  });

  it('real packets with a byte changed, cut or lengthened', () => {
    const { world, publisher, source, viewer } = running();
    const random = seededRandom(7);
    const authentic = [
      ...source.frame(false, 3).map(({ datagram }) => datagram),
      publisher.peer.rtcp((rtcp) => rtcp.senderReport(0x1000, 1, 2, 3, 4, 5)),
      viewer.peer.rtcp((rtcp) => rtcp.nack(1, 0x5000, [1, 2, 3], 3)),
    ];
    const packetsOut = world.forwarder.counters.packetsOut;
    for (let i = 0; i < INPUTS; i++) {
      const datagram = Buffer.from(authentic[i % authentic.length] as Buffer);
      const at = Math.floor(random() * datagram.length);
      datagram[at] = (datagram[at] as number) ^ (1 << Math.floor(random() * 8));
      const shape = random();
      const mutated =
        shape < 0.2 ? datagram.subarray(0, at) : shape < 0.3 ? Buffer.concat([datagram, Buffer.alloc(9)]) : datagram;
      publisher.media.receive(mutated, world.nowMs);
      viewer.media.receive(mutated, world.nowMs);
    }
    expect(world.forwarder.counters.packetsOut).toBe(packetsOut);
    expect(publisher.authenticated).toBe(15);
  });

  it('authentic nonsense: RTP and RTCP of random content', () => {
    const { world, publisher, source, viewer } = running();
    const random = seededRandom(11);
    const bytes = (length: number) => Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
    for (let i = 0; i < INPUTS; i++) {
      if (random() < 0.01) source.sequence += Math.floor(random() * 20_000);
      source.timestamp = Math.floor(random() * 2 ** 32);
      source.options.extensions = random() < 0.5 ? {} : { 13: bytes(1 + Math.floor(random() * 16)), 3: bytes(2) };
      const rtp =
        random() < 0.1
          ? source.padding(1 + Math.floor(random() * 50))
          : source.packet(bytes(Math.floor(random() * 60)));
      publisher.media.receive(rtp.datagram, world.nowMs);
      const rtcp = (peer: typeof viewer.peer) =>
        peer.rtcp((writer) => {
          writer.senderReport(0x1000, Math.floor(random() * 2 ** 32), 1, 1, 1, 1);
          writer.nack(1, 0x5000, bytes(8), 8);
          writer.sdesCname(1, bytes(20).toString('latin1'));
          if (random() < 0.5) writer.pli(1, 0x5000);
          if (random() < 0.1) writer.bye(0x1000);
          const length = writer.length;
          if (random() < 0.5) writer.buffer[4 + Math.floor(random() * (length - 4))] = Math.floor(random() * 256);
        });
      publisher.media.receive(rtcp(publisher.peer), world.nowMs);
      viewer.media.receive(rtcp(viewer.peer), world.nowMs);
      if (i % 20 === 0) world.pass(10);
    }
    expect(publisher.media.stats(world.nowMs).length).toBe(2);
    expect(viewer.peer.refused).toBe(0);
    const numbers = viewer.peer.rtp.filter(({ ssrc }) => ssrc === 0x5000).map(({ sequence }) => sequence);
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});
