/** The small parts that number things: extension of counters, probes left out, what was sent under which number. */

import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import type { IngressStream } from './ingress-stream.ts';
import { OutClock } from './out-clock.ts';
import { PaddingFilter } from './padding-filter.ts';
import { RetransmissionBudget } from './retransmission-budget.ts';
import { SentSegments } from './sent-segments.ts';
import { extendSequence, timestampDifference } from './sequence.ts';

describe('extendSequence', () => {
  it.each([
    [10, 5, 10],
    [0, 65_535, 65_536],
    [65_535, 65_536, 65_535],
    [65_535, 0, -1],
    [5, 131_070, 131_077],
    [0x8000, 0, -0x8000],
    [0x7fff, 0, 0x7fff],
  ])('%i near %i is %i', (sequence, reference, expected) => {
    expect(extendSequence(sequence, reference)).toBe(expected);
  });

  it('finds any number within half a cycle of the reference', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), fc.integer({ min: -0x7fff, max: 0x7fff }), (reference, offset) => {
        const extended = reference + offset;
        expect(extendSequence(((extended % 65_536) + 65_536) % 65_536, reference)).toBe(extended);
      }),
    );
  });
});

it('timestampDifference wraps', () => {
  expect(timestampDifference(5, 2 ** 32 - 5)).toBe(10);
  expect(timestampDifference(2 ** 32 - 5, 5)).toBe(-10);
});

describe('PaddingFilter', () => {
  it('numbers as if the dropped packets had never been', () => {
    const drops = fc.uniqueArray(fc.nat(300), { maxLength: 200 });
    fc.assert(
      fc.property(drops, (dropped) => {
        const filter = new PaddingFilter();
        const sorted = dropped.toSorted((a, b) => a - b);
        for (const extended of sorted) filter.drop(extended);
        let expected = 0;
        for (let extended = 0; extended <= 301; extended++) {
          if (sorted.includes(extended)) expect(filter.number(extended)).toBe(-1);
          else expect(filter.number(extended)).toBe(expected++);
        }
      }),
    );
  });

  it('does not guess for packets older than it remembers', () => {
    const filter = new PaddingFilter();
    for (let extended = 0; extended < 1000; extended += 2) filter.drop(extended);
    expect(filter.number(999)).toBe(499);
    expect(filter.number(3)).toBe(-1);
  });
});

describe('SentSegments', () => {
  const stream = {} as IngressStream;

  it('finds the stretch of a number', () => {
    const segments = new SentSegments();
    expect(segments.find(5)).toBe(false);
    for (let i = 0; i < 100; i++) segments.add(100 + i * 10, stream, i, i * 7);
    expect(segments.find(99)).toBe(false);
    expect(segments.find(345)).toBe(true);
    expect([segments.sourceSequence, segments.timestampDelta]).toEqual([345 - 24, 24 * 7]);
    expect(segments.find(5000)).toBe(true);
    expect(segments.sourceSequence).toBe(5000 - 99);
  });

  it('forgets the oldest beyond its bound', () => {
    const segments = new SentSegments();
    for (let i = 0; i < 3000; i++) segments.add(i, stream, i, 0);
    expect(segments.find(1000)).toBe(false);
    expect(segments.find(2500)).toBe(true);
    expect(segments.sourceSequence).toBe(0);
  });
});

it('OutClock goes on from what it was told', () => {
  const clock = new OutClock(90_000, 2 ** 32 - 90, 1000);
  expect(clock.at(1002)).toBe(90);
  clock.set(5000, 2000);
  expect(clock.at(3000)).toBe(95_000);
  expect(clock.at(1900)).toBe(2 ** 32 - 4000);
});

describe('RetransmissionBudget', () => {
  it('spaces repetitions of one packet by the round trip, within bounds', () => {
    const budget = new RetransmissionBudget();
    expect(budget.take(7, 1_200, 20_000_000, null, 0)).toBe(true);
    expect(budget.take(7, 1_200, 20_000_000, null, 19)).toBe(false);
    expect(budget.take(7, 1_200, 20_000_000, null, 20)).toBe(true);
    expect(budget.take(7, 1_200, 20_000_000, 100, 100)).toBe(false);
    expect(budget.take(7, 1_200, 20_000_000, 100, 121)).toBe(true);
    expect(budget.take(7, 1_200, 20_000_000, 10_000, 372)).toBe(true);
  });

  it('bounds the packets of an interval', () => {
    const budget = new RetransmissionBudget();
    const taken = () =>
      Array.from({ length: 500 }, (_, i) => i).filter((i) => budget.take(i * 3, 1_200, 20_000_000, null, 50)).length;
    expect(taken()).toBe(128);
    expect(budget.take(1, 1_200, 20_000_000, null, 151)).toBe(true);
  });
});
