import { describe, expect, it } from 'vitest';
import { RembEstimator } from './remb.ts';

describe('RembEstimator', () => {
  it('begins with no limit but the ceiling', () => {
    expect(new RembEstimator(1e6, 2e7).bitrateBps).toBe(2e7);
  });

  it('falls towards what arrives at heavy loss, never below the floor', () => {
    // Arrange
    const estimator = new RembEstimator(1e6, 2e7);
    // Act, assert: 4 Mbit/s × 1.5 × (1 − 0.1)
    estimator.update(4e6, 0.2, 0);
    expect(estimator.bitrateBps).toBeCloseTo(5.4e6, 3);
    for (let second = 1; second < 60; second++) estimator.update(5e5, 0.5, second * 1000);
    expect(estimator.bitrateBps).toBe(1e6);
  });

  it('stays at moderate loss and opens again at little', () => {
    // Arrange
    const estimator = new RembEstimator(1e6, 2e7);
    estimator.update(4e6, 0.2, 0);
    // Act, assert
    estimator.update(4e6, 0.05, 1000);
    expect(estimator.bitrateBps).toBeCloseTo(5.4e6, 3);
    estimator.update(4e6, 0.01, 2000);
    expect(estimator.bitrateBps).toBeCloseTo(6e6, 3); // 1.5 × what arrives
    estimator.update(4e6, 0, 3000);
    expect(estimator.bitrateBps).toBeCloseTo(6.48e6, 3);
    for (let second = 4; second < 60; second++) estimator.update(4e6, 0, second * 1000);
    expect(estimator.bitrateBps).toBe(2e7);
  });

  it('is due every second, and at once when it fell', () => {
    // Arrange
    const estimator = new RembEstimator();
    // Act, assert
    expect([0, 10, 990, 1000].map((nowMs) => estimator.due(nowMs))).toEqual([true, false, false, true]);
    estimator.update(4e6, 0.3, 1100);
    expect([1100, 1110].map((nowMs) => estimator.due(nowMs))).toEqual([true, false]);
  });
});
