import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { SlidingMinimum } from './sliding-minimum.ts';

describe('SlidingMinimum', () => {
  it('is Infinity while empty, and after clear', () => {
    const minimum = new SlidingMinimum(1000);
    expect(minimum.value).toBe(Number.POSITIVE_INFINITY);
    minimum.add(3, 0);
    minimum.clear();
    expect(minimum.value).toBe(Number.POSITIVE_INFINITY);
    minimum.add(7, 0);
    expect(minimum.value).toBe(7);
  });

  it('lies between the minimum of three quarters of the window and that of all of it', () => {
    const sample = fc.tuple(fc.nat(500), fc.integer({ min: -1000, max: 1000 }));
    fc.assert(
      fc.property(fc.nat(10_000), fc.array(sample, { minLength: 1, maxLength: 100 }), (startMs, samples) => {
        const minimum = new SlidingMinimum(1000);
        const added: { atMs: number; value: number }[] = [];
        let nowMs = startMs;
        for (const [afterMs, value] of samples) {
          nowMs += afterMs;
          minimum.add(value, nowMs);
          added.push({ atMs: nowMs, value });
          const within = (ms: number) => Math.min(...added.filter((s) => s.atMs > nowMs - ms).map((s) => s.value));
          expect(minimum.value).toBeLessThanOrEqual(within(750));
          expect(minimum.value).toBeGreaterThanOrEqual(within(1000));
        }
      }),
    );
  });
});
