import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { PacketRing } from './packet-ring.ts';

const scratch = Buffer.alloc(2048);

function packetOf(sequence: number, length: number): Buffer {
  const packet = Buffer.alloc(length, sequence & 0xff);
  packet.writeUInt32BE(sequence >>> 0, 0);
  return packet;
}

function put(ring: PacketRing, sequence: number, length = 100, nowMs = sequence, keepFrom = -1): void {
  ring.store(sequence, sequence * 10, packetOf(sequence, length), length, nowMs, keepFrom);
}

function holds(ring: PacketRing, sequence: number, length = 100): boolean {
  if (!ring.load(sequence, scratch)) return false;
  expect(scratch.subarray(0, ring.loadedLength).equals(packetOf(sequence, length))).toBe(true);
  expect(ring.timestampOf(sequence)).toBe(sequence * 10);
  return true;
}

describe('PacketRing', () => {
  it('forgets the oldest when it is full and may not grow', () => {
    const ring = new PacketRing({ initialBytes: 1024, maxBytes: 1024, historyMs: 1000 });
    for (let sequence = 1; sequence <= 15; sequence++) put(ring, sequence);
    expect(holds(ring, 15)).toBe(true);
    expect(holds(ring, 6)).toBe(true);
    expect(holds(ring, 5)).toBe(false);
    expect(ring.capacityBytes).toBe(1024);
  });

  it('grows while a lap is shorter than the history, and no further', () => {
    const ring = new PacketRing({ initialBytes: 1024, maxBytes: 1 << 20, historyMs: 1000 });
    for (let sequence = 0; sequence < 5000; sequence++) put(ring, sequence, 100, sequence * 10);
    // 100 packets of 100 bytes per second.
    expect(ring.capacityBytes).toBeGreaterThanOrEqual(8192);
    expect(ring.capacityBytes).toBeLessThanOrEqual(16_384);
    expect(holds(ring, 4999 - 80)).toBe(true);
  });

  it('grows to keep what it is told to keep', () => {
    const ring = new PacketRing({ initialBytes: 1024, maxBytes: 1 << 16, historyMs: 0 });
    put(ring, 1000, 100, 0);
    for (let sequence = 1001; sequence < 1500; sequence++) put(ring, sequence, 100, sequence, 1000);
    for (let sequence = 1000; sequence < 1500; sequence++) expect(holds(ring, sequence)).toBe(true);
    for (let sequence = 1500; sequence < 2000; sequence++) put(ring, sequence, 100, sequence, 1000);
    expect(ring.has(1000)).toBe(false);
    expect(ring.capacityBytes).toBe(1 << 16);
    expect(holds(ring, 1999)).toBe(true);
  });

  it('knows what was stored, even when the bytes are gone', () => {
    const ring = new PacketRing({ initialBytes: 512, maxBytes: 512, historyMs: 0 });
    for (let sequence = 0; sequence < 40; sequence++) if (sequence !== 7) put(ring, sequence);
    expect(ring.has(3)).toBe(false);
    expect(ring.wasStored(3)).toBe(true);
    expect(ring.wasStored(7)).toBe(false);
    expect(ring.wasStored(40)).toBe(false);
    expect(ring.wasStored(-1)).toBe(true);
  });

  it('holds nothing after release, and takes packets in any order before', () => {
    const ring = new PacketRing({ initialBytes: 4096, maxBytes: 4096, historyMs: 0 });
    for (const sequence of [5, 3, 4, 65_537, 65_536]) put(ring, sequence);
    for (const sequence of [3, 4, 5, 65_536]) expect(holds(ring, sequence)).toBe(true);
    ring.release();
    expect(ring.has(65_537)).toBe(false);
    put(ring, 65_538);
    expect(ring.has(65_538)).toBe(false);
  });

  it('never returns a packet other than the one that was stored', () => {
    const step = fc.record({ jump: fc.integer({ min: -20, max: 40 }), length: fc.integer({ min: 12, max: 600 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.boolean(), (steps, keep) => {
        const ring = new PacketRing({ initialBytes: 1024, maxBytes: 8192, historyMs: 50 });
        const lengths = new Map<number, number>();
        let sequence = 100;
        let clock = 0;
        for (const { jump, length } of steps) {
          sequence = Math.max(0, sequence + jump);
          if (ring.wasStored(sequence)) continue;
          put(ring, sequence, length, clock++, keep ? 100 : -1);
          lengths.set(sequence, length);
          expect(holds(ring, sequence, length)).toBe(true);
        }
        for (const [stored, length] of lengths) if (ring.has(stored)) expect(holds(ring, stored, length)).toBe(true);
      }),
    );
  });
});
