import { expect, test } from 'vitest';
import { backoffMs } from './backoff.ts';

test.each([
  [0, 0, 100],
  [0, 0.999, 199.9],
  [3, 0, 800],
  [10, 0, 2_500],
  [1_000, 0.5, 3_750],
])('attempt %i with random %f waits %f ms', (attempt, random, expected) => {
  expect(backoffMs(attempt, random, 200, 5_000)).toBeCloseTo(expected, 5);
});
