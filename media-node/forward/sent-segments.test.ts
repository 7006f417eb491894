import { expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { SentSegments } from './sent-segments.ts';

test('finds the newest stretch that begins at or before a number, among the last 1024', () => {
  const steps = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 1500 });
  fc.assert(
    fc.property(steps, fc.nat(70_000), fc.integer({ min: 0, max: 100_000 }), (lengths, asked, start) => {
      const segments = new SentSegments();
      const firsts: number[] = [];
      let first = start;
      for (const [index, length] of lengths.entries()) {
        segments.add(first, null as never, index, index);
        firsts.push(first);
        first += length;
      }

      const found = segments.find(start + asked - 10);

      const kept = firsts.slice(-1024);
      const expected = kept.findLastIndex((begin) => begin <= start + asked - 10);
      expect(found).toBe(expected >= 0);
      if (found) expect(segments.timestampDelta).toBe(firsts.length - kept.length + expected);
    }),
    { numRuns: 300 },
  );
});
