import { expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { RequestGate } from './request-gate.ts';

const RULES = { free: 3, firstWaitMs: 2_000, longestWaitMs: 16_000, forgetMs: 10_000 };

function granted(times: readonly number[]): number[] {
  const gate = new RequestGate(RULES);
  return times.filter((nowMs) => gate.take(nowMs));
}

test('a flood is served three times, then ever more seldom', () => {
  const flood = Array.from({ length: 1_000 }, (_, index) => index * 100);
  expect(granted(flood)).toEqual([0, 100, 200, 2_200, 6_200, 14_200, 30_200, 46_200, 62_200, 78_200, 94_200]);
});

test('whoever asks now and then is always served', () => {
  const seldom = Array.from({ length: 50 }, (_, index) => index * 10_000);
  expect(granted(seldom)).toEqual(seldom);
});

test('whatever the course: bounded above, and nobody who asks on waits longer than the longest wait', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 300 }), (steps) => {
      let nowMs = 0;
      const times = steps.map((step) => {
        nowMs += step;
        return nowMs;
      });
      const grants = granted(times);
      const spanMs = nowMs - (times[0] ?? 0);
      // Three at once, then 2, 4, 8 s and 16 s apart.
      expect(grants.length).toBeLessThanOrEqual(RULES.free + 3 + Math.ceil(spanMs / RULES.longestWaitMs));
      for (const [index, at] of grants.entries()) {
        const next = grants[index + 1] ?? nowMs;
        expect(next - at).toBeLessThanOrEqual(RULES.longestWaitMs + 3_000);
      }
    }),
  );
});
