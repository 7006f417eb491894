/** What every `FanoutEngine` must do. Call `describeFanoutEngine` from the test file of an implementation. */
import { describe, expect, it } from 'vitest';
import { RtcpWriter } from '../rtcp/write.ts';
import type { SrtpProfile } from '../transport/types.ts';
import { describeKnownAnswers } from './fanout-engine.known-answers.ts';
import { describeGroupLogs } from './fanout-engine.log-contract.ts';
import type { FanoutEngine } from './fanout-engine.ts';
import { COPIED_COUNT } from './source-packet.ts';
import { SRTP_OVERHEAD } from './srtp/srtp-sender.ts';
import { keyPair } from './testing/keys.ts';
import { rules, sourcePacket } from './testing/source-packets.ts';
import { TestPeer } from './testing/test-peer.ts';

const PROFILES: SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];
/** Runs the contract against what `create` makes. */
export function describeFanoutEngine(name: string, create: () => FanoutEngine): void {
  const setUp = (profile: SrtpProfile = 'AEAD_AES_128_GCM', seed = 5) => {
    const engine = create();
    const open = (peerSeed: number) => {
      const keys = keyPair(peerSeed, profile);
      const client = new TestPeer(keys.peer);
      return { client, peer: engine.openPeer(keys.node, (datagram) => client.receive(Buffer.from(datagram))) };
    };
    return { engine, open, ...open(seed) };
  };
  const mapping = { fromSequence: 0, sequenceDelta: 0, timestampDelta: 0 };

  describeKnownAnswers(name, create);
  describeGroupLogs(name, create);

  describe(`${name} engine`, () => {
    it.each(PROFILES)('sends a packet to all sinks of a group, each by its own rules (%s)', (profile) => {
      const { engine, open } = setUp(profile);
      const group = engine.openGroup();
      const viewers = [10, 20, 30].map((seed, i) => {
        const viewer = open(seed);
        const sink = engine.openSink(viewer.peer, rules({ ssrc: seed, payloadType: 100 + i }));
        engine.join(group, sink, { fromSequence: 0, sequenceDelta: 1000 * i, timestampDelta: 7 * i });
        return { ...viewer, sink };
      });
      engine.fanout(group, sourcePacket({ sequence: 5, timestamp: 2 ** 32 - 10, marker: true }));
      viewers.forEach(({ client }, i) => {
        expect(client.rtp.length).toBe(1);
        expect(client.rtp[0]).toMatchObject({
          ssrc: [10, 20, 30][i],
          payloadType: 100 + i,
          sequence: 5 + 1000 * i,
          timestamp: (2 ** 32 - 10 + 7 * i) % 2 ** 32,
          marker: true,
          payload: Buffer.from('hello'),
        });
      });
      expect(engine.counters).toMatchObject({ packets: 3, failed: 0 });
    });

    it('carries the rollover counter through wraps', () => {
      const { engine, peer, client } = setUp();
      const sink = engine.openSink(peer, rules());
      const group = engine.openGroup();
      engine.join(group, sink, { ...mapping, sequenceDelta: 65_530 });
      for (let sequence = 0; sequence < 12; sequence++) engine.fanout(group, sourcePacket({ sequence }));
      expect(client.rtp.map((packet) => packet.sequence)).toEqual(Array.from({ length: 12 }, (_, i) => 65_530 + i));
    });

    it('keeps packets before the start from a sink, and all after it left, rejoined or closed', () => {
      const { engine, peer, client } = setUp();
      const sink = engine.openSink(peer, rules());
      const [group, other] = [engine.openGroup(), engine.openGroup()];
      engine.join(group, sink, { ...mapping, fromSequence: 10 });
      engine.fanout(group, sourcePacket({ sequence: 9 }));
      engine.fanout(group, sourcePacket({ sequence: 10 }));
      engine.join(other, sink, { ...mapping, sequenceDelta: 100 });
      engine.fanout(group, sourcePacket({ sequence: 11 }));
      engine.fanout(other, sourcePacket({ sequence: 11 }));
      engine.leave(sink);
      engine.leave(sink);
      engine.fanout(other, sourcePacket({ sequence: 12 }));
      engine.join(group, sink, mapping);
      engine.closeGroup(group);
      engine.join(other, sink, { ...mapping, sequenceDelta: 200 });
      engine.fanout(other, sourcePacket({ sequence: 13 }));
      engine.closeSink(sink);
      engine.fanout(other, sourcePacket({ sequence: 14 }));
      expect(client.rtp.map((packet) => packet.sequence)).toEqual([10, 111, 213]);
    });

    it('removing one of many sinks leaves the others', () => {
      const { engine, open } = setUp();
      const group = engine.openGroup();
      const viewers = [1, 2, 3, 4].map((seed) => {
        const viewer = open(seed * 10);
        const sink = engine.openSink(viewer.peer, rules({ ssrc: seed }));
        engine.join(group, sink, mapping);
        return { ...viewer, sink };
      });
      const [first, second] = viewers;
      for (const viewer of [second, first]) if (viewer !== undefined) engine.closeSink(viewer.sink);
      engine.fanout(group, sourcePacket({ sequence: 1 }));
      expect(viewers.map(({ client }) => client.rtp.length)).toEqual([0, 0, 1, 1]);
    });

    it('writes the mid and copies known extensions under the ids of the viewer, nothing else', () => {
      const { engine, peer, client } = setUp();
      const copiedIds = new Uint8Array(COPIED_COUNT);
      copiedIds[0] = 11;
      copiedIds[2] = 12;
      const sink = engine.openSink(peer, rules({ midId: 9, mid: 'v0', copiedIds }));
      const extensions = { 1: Buffer.from([3]), 2: Buffer.from([4]), 3: Buffer.from('dd'), 14: Buffer.from('leak') };
      engine.sendOne(sink, sourcePacket({ sequence: 1, extensions }), 1, 0);
      engine.sendOne(sink, sourcePacket({ sequence: 2, extensions: { 14: Buffer.from('leak') } }), 2, 0);
      const long = Buffer.alloc(40, 6);
      engine.sendOne(sink, sourcePacket({ sequence: 3, extensions: { 3: long } }), 3, 0);
      const seen = client.rtp.map((packet) =>
        [9, 11, 12, 1, 2, 3, 14].map((id) => client.extension(packet, id)?.toString('latin1') ?? null),
      );
      expect(seen).toEqual([
        ['v0', '\x03', 'dd', null, null, null, null],
        ['v0', null, null, null, null, null, null],
        ['v0', null, long.toString('latin1'), null, null, null, null],
      ]);
      expect(client.rtp.every((packet) => packet.payload.toString() === 'hello')).toBe(true);
    });

    it('sends padding only where there is nothing else', () => {
      const { engine, peer, client } = setUp();
      const sink = engine.openSink(peer, rules());
      engine.sendOne(sink, sourcePacket({ sequence: 1, padding: 8 }), 1, 0);
      engine.sendOne(sink, sourcePacket({ sequence: 2, payload: Buffer.alloc(0), padding: 8 }), 2, 0);
      expect(client.rtp.map(({ payload, padding }) => [payload.toString(), padding])).toEqual([
        ['hello', 0],
        ['', 8],
      ]);
    });

    it.each(PROFILES)('repeats by RTX with numbers of its own (%s)', (profile) => {
      const { engine, peer, client } = setUp(profile);
      const sink = engine.openSink(peer, rules({ rtx: { ssrc: 0xabc, payloadType: 101 } }));
      const packet = sourcePacket({ sequence: 1, marker: true });
      engine.sendOne(sink, packet, 65_535, 99);
      engine.sendOne(sink, packet, 65_536 + 7, 99);
      engine.sendRtx(sink, packet, 65_536 + 7, 99);
      engine.sendRtx(sink, packet, 65_536 + 7, 99);
      const [, , first, second] = client.rtp;
      expect(first).toMatchObject({ ssrc: 0xabc, payloadType: 101, timestamp: 99, marker: true });
      expect(first?.payload).toEqual(Buffer.concat([Buffer.from([0, 7]), Buffer.from('hello')]));
      expect((second?.sequence ?? 0) - (first?.sequence ?? 0)).toBe(1);
      const counters = { packets: 0, bytes: 0 };
      engine.sinkCounters(sink, counters);
      expect(counters).toEqual({ packets: 2, bytes: 10 });
    });

    it('the same packet under the same number is the same datagram', () => {
      const engine = create();
      const datagrams: string[] = [];
      const peer = engine.openPeer(keyPair(5).node, (datagram) => datagrams.push(datagram.toString('hex')));
      const sink = engine.openSink(peer, rules({ midId: 4, mid: '1' }));
      const packet = sourcePacket({ sequence: 1, extensions: { 1: Buffer.from([3]) } });
      for (let i = 0; i < 2; i++) engine.sendOne(sink, packet, 70_000, 1234);
      expect(new Set(datagrams).size).toBe(1);
    });

    it.each(PROFILES)('protects RTCP with a growing index (%s)', (profile) => {
      const { engine, peer, client } = setUp(profile);
      for (let i = 0; i < 3; i++) {
        const writer = new RtcpWriter(200, SRTP_OVERHEAD);
        writer.senderReport(77, 1, 2, 3, 4, i);
        engine.sendRtcp(peer, writer.buffer, writer.length);
      }
      expect(client.reports.map(({ ssrc, bytes }) => [ssrc, bytes])).toEqual([
        [77, 0],
        [77, 1],
        [77, 2],
      ]);
      expect(client.refused).toBe(0);
    });

    it('sends to a peer without keys in the clear, beside others', () => {
      const { engine, open } = setUp();
      const datagrams: Buffer[] = [];
      const tap = engine.openPeer(null, (datagram) => void datagrams.push(Buffer.from(datagram)));
      const viewer = open(40);
      const group = engine.openGroup();
      const tapRules = rules({ ssrc: 0x01020304, payloadType: 101, rtx: { ssrc: 9, payloadType: 102 } });
      const sink = engine.openSink(tap, tapRules);
      for (const joining of [sink, engine.openSink(viewer.peer, rules())]) {
        engine.join(group, joining, { ...mapping, sequenceDelta: 3, timestampDelta: 1 });
      }
      engine.fanout(group, sourcePacket({ sequence: 0xfffc, timestamp: 5, marker: true }));
      engine.sendRtx(sink, sourcePacket({ sequence: 0 }), 7, 8);
      const report = Buffer.alloc(28 + SRTP_OVERHEAD, 1);
      engine.sendRtcp(tap, report, 28);
      expect(datagrams.map((datagram) => datagram.toString('hex'))).toEqual([
        `80e5ffff0000000601020304${Buffer.from('hello').toString('hex')}`,
        `806600010000000800000009${`0007${Buffer.from('hello').toString('hex')}`}`,
        '01'.repeat(28),
      ]);
      expect(viewer.client.rtp.length).toBe(1);
    });

    it('a way out that throws costs only its own viewer', () => {
      const { engine, open } = setUp();
      const group = engine.openGroup();
      const broken = engine.openPeer(keyPair(50).node, () => {
        throw new Error('closed');
      });
      const well = open(60);
      for (const peer of [broken, well.peer]) engine.join(group, engine.openSink(peer, rules()), mapping);
      engine.fanout(group, sourcePacket({ sequence: 1 }));
      expect(well.client.rtp.length).toBe(1);
      expect(engine.counters).toMatchObject({ packets: 1, failed: 1 });
    });
  });
}
