import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { ReportTimes } from './report-times.ts';

function timesOf(ssrc: number, count: number): number[] {
  const times = new ReportTimes(ssrc);
  let nowMs = 1_000;
  return Array.from({ length: count }, () => {
    nowMs = Math.max(nowMs, times.nextMs);
    times.sent(nowMs);
    return nowMs;
  });
}

describe('sender reports are due', () => {
  it('at once, three times within a second, and later each 2 to 3 s', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (ssrc) => {
        const times = timesOf(ssrc, 30);
        expect(times[0]).toBe(1_000);
        expect(times[2]).toBeLessThanOrEqual(2_000);
        const gaps = times.slice(5).map((at, index) => at - (times[4 + index] ?? 0));
        expect(Math.min(...gaps)).toBeGreaterThanOrEqual(2_000);
        expect(Math.max(...gaps)).toBeLessThanOrEqual(3_000);
      }),
    );
  });

  it('at different times for those who began together', () => {
    const fifth = Array.from({ length: 1_000 }, (_, index) => timesOf(index * 7, 5)[4] ?? 0);
    const perTenth = new Map<number, number>();
    for (const at of fifth) perTenth.set(Math.floor(at / 100), (perTenth.get(Math.floor(at / 100)) ?? 0) + 1);
    expect(Math.max(...perTenth.values())).toBeLessThan(200);
  });

  it('at once when there is something new to tell', () => {
    const times = new ReportTimes(7);
    for (let i = 0; i < 9; i++) times.sent(i * 10_000);
    times.restart();
    expect(times.nextMs).toBeLessThan(80_000);
    times.sent(80_001);
    expect(times.nextMs).toBeLessThanOrEqual(80_301);
  });
});
