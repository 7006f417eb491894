import { expect, test } from 'vitest';
import { quantile, spread } from './statistics.ts';

test.each([
  [[5], 0.5, 5],
  [[1, 2, 3, 4], 0.5, 2.5],
  [[4, 1, 3, 2, 5], 0.5, 3],
  [[0, 10], 0.99, 9.9],
  [[1, 2, 3], 1, 3],
])('of %j the %f quantile is %f', (values, share, expected) => {
  expect(quantile(values, share)).toBeCloseTo(expected);
});

test('a spread names the middle and both ends', () => {
  expect(spread([3, 1, 2], 1)).toBe('2.0 (1.0–3.0)');
});
