/** Part of the contract of every `FanoutEngine`: packets in the log of a group, sent from there to all or to one. */
import { describe, expect, it } from 'vitest';
import type { SrtpProfile } from '../transport/types.ts';
import type { FanoutEngine } from './fanout-engine.ts';
import { COPIED_COUNT, type SourcePacket } from './source-packet.ts';
import { StoredBatch } from './stored-packets.ts';
import { keyPair } from './testing/keys.ts';
import { rules, type Shape, SOURCE_IDS, sourcePacket } from './testing/source-packets.ts';

const PROFILES: SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];
const LOG_BYTES = 1024;
const SHAPES: Shape[] = [
  { sequence: 70_000, marker: true },
  { sequence: 70_001, payload: Buffer.alloc(200, 7), padding: 9 },
  { sequence: 70_002, payload: Buffer.alloc(0), padding: 5 },
  { sequence: 70_003, extensions: { 1: Buffer.from([3]), 3: Buffer.from('dd'), 14: Buffer.from('leak') } },
  { sequence: 70_004, extensions: { 2: Buffer.alloc(40, 6), 4: Buffer.alloc(0), 6: Buffer.from('x') } },
];

/** Puts a packet into the log as a ring does, at a position that counts laps. */
function put(log: Buffer, start: number, packet: SourcePacket): void {
  packet.bytes.copy(log, start % log.length, 0, packet.length);
  packet.logStart = start;
}

/** Called by `describeFanoutEngine`. */
export function describeGroupLogs(name: string, create: () => FanoutEngine): void {
  const setUp = (profile: SrtpProfile = 'AEAD_AES_128_GCM') => {
    const engine = create();
    const sent: string[] = [];
    const peer = engine.openPeer(keyPair(3, profile).node, (datagram) => void sent.push(datagram.toString('hex')));
    const copiedIds = Uint8Array.from({ length: COPIED_COUNT }, (_, i) => (i === 1 ? 0 : i + 5));
    const sink = engine.openSink(
      peer,
      rules({ midId: 2, mid: '0', copiedIds, rtx: { ssrc: 0xabc, payloadType: 101 } }),
    );
    const group = engine.openGroup({ sourceIds: SOURCE_IDS, framed: true });
    return { engine, sent, sink, group, log: engine.openLog(group, LOG_BYTES) };
  };

  describe(`${name} engine: the log of a group`, () => {
    it.each(PROFILES)('what is sent out of it is what is sent by hand (%s)', (profile) => {
      const { engine, sent, sink, group, log } = setUp(profile);
      const byHand = setUp(profile);
      let start = 5 * LOG_BYTES + 100;
      for (const shape of SHAPES) {
        const packet = sourcePacket(shape);
        put(log, start, packet);
        const batch = new StoredBatch();
        batch.add(start, packet.length, packet.sequence + 1, 77);
        engine.sendStored(sink, group, batch, false);
        engine.sendStored(sink, group, batch, true);
        byHand.engine.sendOne(byHand.sink, packet, packet.sequence + 1, 77);
        byHand.engine.sendRtx(byHand.sink, packet, packet.sequence + 1, 77);
        start += packet.length;
      }
      expect(sent.length).toBe(2 * SHAPES.length);
      expect(sent).toEqual(byHand.sent);
    });

    it('a packet in it reaches the sinks of the group as any other', () => {
      const { engine, sent, sink, group, log } = setUp();
      const byHand = setUp();
      for (const side of [{ engine, sink, group }, byHand]) {
        side.engine.join(side.group, side.sink, { fromSequence: 0, sequenceDelta: 9, timestampDelta: 1 });
      }
      for (const [index, shape] of SHAPES.entries()) {
        const packet = sourcePacket(shape);
        byHand.engine.fanout(byHand.group, packet);
        put(log, LOG_BYTES + index * 200, packet);
        engine.fanout(group, packet);
      }
      expect(sent.length).toBe(SHAPES.length);
      expect(sent).toEqual(byHand.sent);
    });

    it('several packets go in their order, and one of an older log when it is put into the new one', () => {
      const { engine, sent, sink, group, log } = setUp();
      const packets = SHAPES.map(sourcePacket);
      const larger = engine.openLog(group, 4 * LOG_BYTES);
      put(log, 0, sourcePacket({ sequence: 1 }));
      const batch = new StoredBatch();
      for (const [index, packet] of packets.entries()) {
        put(larger, index * 300, packet);
        batch.add(index * 300, packet.length, packet.sequence, 5);
      }
      engine.sendStored(sink, group, batch, false);
      const sequences = sent.map((datagram) => Buffer.from(datagram, 'hex').readUInt16BE(2));
      expect(sequences).toEqual(packets.map(({ sequence }) => sequence % 0x10000));
      expect(log.length).toBe(LOG_BYTES);
      log.fill(1);
    });

    it.each([
      ['beyond its end', LOG_BYTES - 20, 40],
      ['in bytes that are no packet', 500, 40],
      ['too short', 0, 11],
    ])('there is no packet %s', (_, start, length) => {
      const { engine, sent, sink, group, log } = setUp();
      log.fill(0);
      put(log, 0, sourcePacket({ sequence: 1 }));
      const batch = new StoredBatch();
      batch.add(start, length, 1, 1);
      expect(() => engine.sendStored(sink, group, batch, false)).toThrow(RangeError);
      expect(sent).toEqual([]);
    });

    it('repeats nothing by RTX to who does not know it', () => {
      const { engine, sent, group, log } = setUp();
      const peer = engine.openPeer(keyPair(9).node, () => expect.unreachable());
      const plain = engine.openSink(peer, rules());
      const packet = sourcePacket({ sequence: 1 });
      put(log, 0, packet);
      const batch = new StoredBatch();
      batch.add(0, packet.length, 1, 1);
      engine.sendStored(plain, group, batch, true);
      expect(sent).toEqual([]);
      expect(engine.counters.packets).toBe(0);
    });
  });
}
