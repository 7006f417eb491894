import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { type Bucket, clientKey, takeToken } from './rate-limit-machine.ts';

/** Requests at these times; what became of each. */
function run(rule: { rps: number; burst: number }, timesMs: number[]): (true | number)[] {
  let bucket: Bucket | undefined;
  return timesMs.map((nowMs) => {
    const verdict = takeToken(bucket, rule, nowMs);
    bucket = verdict.bucket;
    return verdict.allowed ? true : verdict.retryAfterSeconds;
  });
}

describe('token bucket', () => {
  it('lets a burst through, then refuses and says for how long', () => {
    expect(run({ rps: 1, burst: 3 }, [0, 0, 0, 0])).toEqual([true, true, true, 1]);
    expect(run({ rps: 0.1, burst: 1 }, [0, 0])).toEqual([true, 10]);
  });

  it('refills with time, up to the burst', () => {
    expect(run({ rps: 2, burst: 2 }, [0, 0, 400, 500, 60_000, 60_000, 60_000])).toEqual([
      true,
      true,
      1,
      true,
      true,
      true,
      1,
    ]);
  });

  it('is off at 0', () => {
    expect(run({ rps: 0, burst: 1 }, [0, 0, 0])).toEqual([true, true, true]);
  });

  it('never lets more through than burst plus what time refilled, whatever the clock does', () => {
    const rule = fc.record({
      rps: fc.double({ min: 0.01, max: 100, noNaN: true }),
      burst: fc.integer({ min: 1, max: 50 }),
    });
    const steps = fc.array(fc.integer({ min: -5_000, max: 20_000 }), { maxLength: 60 });
    fc.assert(
      fc.property(rule, steps, (limits, deltas) => {
        let nowMs = 1_000_000;
        let forwardMs = 0;
        const times = deltas.map((delta) => {
          forwardMs += Math.max(0, delta);
          nowMs += delta;
          return nowMs;
        });

        const allowed = run(limits, times).filter((one) => one === true).length;

        expect(allowed).toBeLessThanOrEqual(limits.burst + (forwardMs * limits.rps) / 1000 + 1e-6);
      }),
      { numRuns: 10_000 },
    );
  });
});

describe('client key', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['unknown', 'unknown'],
  ])('%s', (address, key) => {
    expect(clientKey(address)).toBe(key);
  });
});
