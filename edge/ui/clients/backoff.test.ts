import { describe, expect, it } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS, backoffDelayMs, RETRY_AFTER_CAP_MS } from './backoff.ts';

describe('backoffDelayMs', () => {
  it.each([
    { attempt: 0, random: 0, delayMs: BACKOFF_BASE_MS / 2 },
    { attempt: 0, random: 0.999999, delayMs: BACKOFF_BASE_MS },
    { attempt: 2, random: 0.5, delayMs: 1_200 },
    { attempt: 50, random: 0.999999, delayMs: BACKOFF_CAP_MS },
    { attempt: 0, random: 0, retryAfterMs: 3_000, delayMs: 3_000 },
    { attempt: 10, random: 0, retryAfterMs: 1_000, delayMs: BACKOFF_CAP_MS / 2 },
    { attempt: 0, random: 0, retryAfterMs: 3_600_000, delayMs: RETRY_AFTER_CAP_MS },
  ])('waits $delayMs ms for attempt $attempt', ({ delayMs, ...input }) => {
    expect(backoffDelayMs(input)).toBe(delayMs);
  });

  it('never undercuts a sane Retry-After and never exceeds it by more than the spread or the cap', () => {
    const input = fc.record({
      attempt: fc.nat(100),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      retryAfterMs: fc.nat(RETRY_AFTER_CAP_MS),
    });
    fc.assert(
      fc.property(input, (given) => {
        const delayMs = backoffDelayMs(given);
        expect(delayMs).toBeGreaterThanOrEqual(given.retryAfterMs);
        expect(delayMs).toBeLessThanOrEqual(Math.max(BACKOFF_CAP_MS, given.retryAfterMs + 500));
      }),
    );
  });
});
