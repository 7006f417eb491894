import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { NackGenerator } from './nack-generator.ts';

/** Packets per second do not matter here: everything below happens at the times given. */
function generator(...sequences: number[]): NackGenerator {
  const nacks = new NackGenerator();
  for (const sequence of sequences) nacks.received(sequence, 0);
  return nacks;
}

function due(nacks: NackGenerator, nowMs: number, size = 2048): number[] {
  const out = new Uint16Array(size);
  return [...out.subarray(0, nacks.due(nowMs, out))];
}

describe('NackGenerator', () => {
  it.each<[string, number[], number[]]>([
    ['nothing before the first packet', [], []],
    ['nothing when all is there', [100, 101, 102], []],
    ['nothing before the first packet of the stream', [110], []],
    ['one packet', [110, 112, 113], [111]],
    ['a burst', [110, 121, 122], [111, 112, 113, 114, 115, 116, 117, 118, 119, 120]],
    ['several holes', [100, 101, 103, 105, 106], [102, 104]],
    ['nothing when the hole was only reordering', [100, 102, 101, 103], []],
    ['numbers over the wrap of 16 bits', [65534, 65537, 65538], [65535, 0]],
    ['nothing for packets older than the first', [100, 98, 101, 102], []],
    ['nothing twice for duplicates', [100, 102, 102, 103, 103], [101]],
  ])('asks for %s', (_, sequences, expected) => {
    expect(due(generator(...sequences), 5)).toEqual(expected);
  });

  it('waits for a second later packet, or 10 ms', () => {
    // Arrange
    const nacks = new NackGenerator();
    nacks.received(1, 0);
    nacks.received(3, 100);
    // Act, assert: by time
    expect(due(nacks, 109)).toEqual([]);
    expect(due(nacks, 110)).toEqual([2]);
    // by packets
    nacks.received(5, 200);
    expect(due(nacks, 201)).toEqual([]);
    nacks.received(6, 202);
    expect(due(nacks, 202)).toEqual([4]);
  });

  it('does not take a burst for later packets', () => {
    // Arrange: only one packet came after the ten that are missing
    const nacks = generator(10, 21);
    // Act, assert
    expect(due(nacks, 1)).toEqual([]);
  });

  it('repeats every round trip until the packet comes, and counts it as recovered', () => {
    // Arrange
    const nacks = generator(1, 3, 4);
    nacks.setRoundTrip(50);
    // Act
    const asked = [0, 10, 49, 50, 99, 100].map((nowMs) => due(nacks, nowMs).length);
    nacks.received(2, 120);
    // Assert
    expect(asked).toEqual([1, 0, 0, 1, 0, 1]);
    expect(due(nacks, 200)).toEqual([]);
    expect(nacks).toMatchObject({ requested: 3, recovered: 1, givenUp: 0, missing: 0, roundTripMs: 50 });
  });

  it('does not repeat more often than every 20 ms', () => {
    const nacks = generator(1, 3, 4);
    nacks.setRoundTrip(1);
    expect([0, 10, 19, 20].map((nowMs) => due(nacks, nowMs).length)).toEqual([1, 0, 0, 1]);
  });

  it('gives up after ten tries, and not before the last had its time', () => {
    // Arrange
    const nacks = generator(1, 3, 4);
    nacks.setRoundTrip(20);
    // Act
    let tries = 0;
    for (let nowMs = 0; nowMs < 200; nowMs += 10) tries += due(nacks, nowMs).length;
    // Assert
    expect(tries).toBe(10);
    expect(nacks.givenUp).toBe(0);
    due(nacks, 200);
    expect(nacks).toMatchObject({ requested: 10, recovered: 0, givenUp: 1, missing: 0 });
  });

  it('gives up after a second however few the tries', () => {
    const nacks = generator(1, 3, 4);
    nacks.setRoundTrip(800);
    expect([0, 800, 1000].map((nowMs) => due(nacks, nowMs).length)).toEqual([1, 1, 0]);
    expect(due(nacks, 1600)).toEqual([]);
    expect(nacks.givenUp).toBe(1);
  });

  it('takes a packet that comes after it was given up for a duplicate', () => {
    const nacks = generator(1, 3, 4);
    due(nacks, 2000);
    nacks.received(2, 2001);
    expect(nacks).toMatchObject({ recovered: 0, givenUp: 1, missing: 0 });
  });

  it('learns the round trip from recoveries, but not from ambiguous ones', () => {
    // Arrange
    const nacks = generator(1, 3, 4);
    expect(nacks.roundTripMs).toBe(100);
    // Act: first try answered after 40 ms
    due(nacks, 10);
    nacks.received(2, 50);
    // Assert
    expect(nacks.roundTripMs).toBe(40);
    // Act: answered after the second try
    nacks.received(6, 60);
    due(nacks, 70);
    due(nacks, 110);
    nacks.received(5, 111);
    expect(nacks).toMatchObject({ roundTripMs: 40, recovered: 2 });
    // Act: once more at the first try, after 48 ms
    nacks.received(8, 200);
    due(nacks, 210);
    nacks.received(7, 258);
    expect(nacks.roundTripMs).toBe(41);
  });

  it('goes on in the next call when the list is full', () => {
    const nacks = generator(1, 7, 8);
    expect(due(nacks, 20, 3)).toEqual([2, 3, 4]);
    expect(due(nacks, 20, 3)).toEqual([5, 6]);
    expect(due(nacks, 20, 3)).toEqual([]);
    expect(nacks.requested).toBe(5);
  });

  it('starts over at a jump ahead, giving up what was missing', () => {
    // Arrange
    const nacks = generator(1, 3, 4);
    // Act
    nacks.received(4 + 1002, 5);
    nacks.received(4 + 1003, 5);
    // Assert
    expect(due(nacks, 50)).toEqual([]);
    expect(nacks).toMatchObject({ givenUp: 2, missing: 0 });
  });

  it('asks for a gap of exactly the bound', () => {
    const nacks = generator(1, 1002, 1003);
    expect(due(nacks, 0)).toHaveLength(1000);
  });

  it('starts over when the sequence restarts further back, but not for one stray packet', () => {
    // Arrange
    const nacks = generator(100_000, 100_001);
    // Act: a stray
    nacks.received(50_000, 1);
    nacks.received(100_003, 2);
    nacks.received(100_004, 2);
    expect(due(nacks, 2)).toEqual([100_002 & 0xffff]);
    // Act: a restart
    nacks.received(60_000, 3);
    nacks.received(60_001, 3);
    nacks.received(60_003, 3);
    nacks.received(60_004, 3);
    // Assert
    expect(due(nacks, 30)).toEqual([60_002]);
    expect(nacks.givenUp).toBe(2);
  });

  it('never asks under a wrong number when its lower bound is old', () => {
    // Arrange: the first hole heals late, another follows a window later in the same slot
    const nacks = generator(100, 102, 300, 302);
    for (let sequence = 103; sequence < 300; sequence++) nacks.received(sequence, 0);
    nacks.received(101, 0);
    // Act
    for (let sequence = 303; sequence < 1125; sequence++) nacks.received(sequence, 0);
    nacks.received(1126, 0);
    nacks.received(1127, 0);
    // Assert
    expect(due(nacks, 1)).toEqual([301, 1125]);
  });

  it('gives up what falls out of the window', () => {
    const nacks = generator(1, 3);
    for (let sequence = 4; sequence < 1024 + 3; sequence++) nacks.received(sequence, 0);
    expect(nacks).toMatchObject({ givenUp: 1, missing: 0 });
  });

  it('agrees with a plain model of what is missing, over loss, reordering and duplicates', () => {
    // Arrange: each packet is lost, on time, or late by some places; then everything that is due is asked for
    const fates = fc.array(fc.constantFrom('on time', 'on time', 'on time', 'lost', 'late', 'twice'), {
      minLength: 1,
      maxLength: 400,
    });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), fates, (first, list) => {
        const nacks = new NackGenerator();
        const arrived = new Set<number>([first]);
        let highest = first;
        const arrive = (sequence: number) => {
          nacks.received(sequence, 0);
          arrived.add(sequence);
          highest = Math.max(highest, sequence);
        };
        arrive(first);
        const late: number[] = [];
        // Act
        for (const [index, fate] of list.entries()) {
          const sequence = first + 1 + index;
          if (fate === 'on time' || fate === 'twice') arrive(sequence);
          if (fate === 'twice') arrive(sequence);
          if (fate === 'late') late.push(sequence);
          if (late.length > 5) arrive(late.shift() ?? 0);
        }
        // Assert
        const missing: number[] = [];
        for (let sequence = first; sequence < highest; sequence++) {
          if (!arrived.has(sequence)) missing.push(sequence % 65536);
        }
        expect(nacks.missing).toBe(missing.length);
        expect(due(nacks, 10)).toEqual(missing);
        expect(nacks.requested).toBe(missing.length);
      }),
      { numRuns: 2000 },
    );
  });

  it('heals all but what is lost ten times at 5 % random loss in both directions', () => {
    // Arrange: 1000 packets/s for 5 s, 30 ms from request to repetition, deterministic coin (an LCG)
    const nacks = new NackGenerator();
    let state = 1;
    const lost = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32 < 0.05;
    };
    const repairs: { atMs: number; sequence: number }[] = [];
    const out = new Uint16Array(64);
    // Act
    for (let nowMs = 0; nowMs < 5000; nowMs++) {
      if (nowMs < 4000 && (nowMs === 0 || nowMs === 3999 || !lost())) nacks.received(nowMs, nowMs);
      while (repairs[0] !== undefined && repairs[0].atMs <= nowMs)
        nacks.received(repairs.shift()?.sequence ?? 0, nowMs);
      if (nowMs % 10 !== 0) continue;
      const count = nacks.due(nowMs, out);
      for (const sequence of out.subarray(0, count)) {
        if (!lost() && !lost()) repairs.push({ atMs: nowMs + 30, sequence });
      }
    }
    // Assert
    expect(nacks).toMatchObject({ givenUp: 0, missing: 0 });
    expect(nacks.recovered).toBeGreaterThan(150);
    expect(nacks.requested / nacks.recovered).toBeLessThan(1.25);
    expect(nacks.roundTripMs).toBeCloseTo(30, 5);
  });
});
