import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MoveRound } from './move-round.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function bed(count: number, timeoutMs: number) {
  const asked: number[] = [];
  const movers = Array.from({ length: count }, (_, index) => ({ askToMove: () => void asked.push(index) }));
  return { asked, round: new MoveRound(movers, timeoutMs, () => Date.now()) };
}

test('they are asked one after the other, in their order, however much time there is', () => {
  const { asked } = bed(12, 86_400_000);
  expect(asked).toEqual([0]);
  vi.advanceTimersByTime(500);
  expect(asked).toEqual([0, 1, 2, 3, 4, 5]);
  vi.advanceTimersByTime(600);
  expect(asked).toEqual(Array.from({ length: 12 }, (_, index) => index));
  expect(vi.getTimerCount()).toBe(0);
});

test.each([2_000, 10_000])('%i are evenly spread over half of the time', (count) => {
  const { asked } = bed(count, 20_000);
  let before = 0;
  for (let at = 0; at < 99; at += 1) {
    expect(asked.length - before).toBeLessThanOrEqual(count / 100 + 1);
    before = asked.length;
    vi.advanceTimersByTime(100);
  }
  expect(asked).toHaveLength(count);
});

test('without time all are asked at once; with less than was said, sooner', () => {
  expect(bed(1_000, 0).asked).toHaveLength(1_000);
  const { asked, round } = bed(1_000, 100_000);
  vi.advanceTimersByTime(1_000);
  round.hurry(2_000);
  vi.advanceTimersByTime(1_000);
  expect(asked).toHaveLength(1_000);
});

test('nobody is asked after the end', () => {
  const { asked, round } = bed(10, 10_000);
  round.close();
  vi.advanceTimersByTime(10_000);
  expect(asked).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
});
