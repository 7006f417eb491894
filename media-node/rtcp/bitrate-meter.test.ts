import { describe, expect, it } from 'vitest';
import { BitrateMeter } from './bitrate-meter.ts';

describe('BitrateMeter', () => {
  it('is zero before anything came', () => {
    const meter = new BitrateMeter();
    expect([meter.bitrateBps(0), meter.packetsPerSecond(12_345.6)]).toEqual([0, 0]);
  });

  it.each([0, 25, 49.9])('measures an even stream, %d ms into a bucket', (phaseMs) => {
    // Arrange: 1250 bytes every 5 ms = 2 Mbit/s
    const meter = new BitrateMeter();
    let nowMs = 1000;
    for (; nowMs < 4000 + phaseMs; nowMs += 5) meter.add(1250, nowMs);
    // Act, assert: to a packet
    expect(meter.bitrateBps(4000 + phaseMs)).toBeGreaterThan(1_980_000);
    expect(meter.bitrateBps(4000 + phaseMs)).toBeLessThan(2_020_000);
    expect(Math.round(meter.packetsPerSecond(4000 + phaseMs) / 4)).toBe(50);
  });

  it('follows a change within a second, and forgets in a second', () => {
    // Arrange
    const meter = new BitrateMeter();
    for (let nowMs = 0; nowMs < 2000; nowMs += 10) meter.add(1000, nowMs);
    for (let nowMs = 2000; nowMs < 3000; nowMs += 10) meter.add(3000, nowMs);
    // Act, assert
    expect(meter.bitrateBps(3000)).toBeCloseTo(2_400_000, -4);
    expect(Math.abs(meter.bitrateBps(3500) / 2_400_000 - 0.5)).toBeLessThan(0.05); // one bucket of twenty
    expect(meter.bitrateBps(4000)).toBe(0);
    expect(meter.bitrateBps(1e9)).toBe(0);
  });

  it('counts the first second as if it had been silent before', () => {
    const meter = new BitrateMeter();
    for (let nowMs = 0; nowMs < 250; nowMs += 10) meter.add(1000, nowMs);
    expect(meter.packetsPerSecond(250)).toBeCloseTo(25, -1);
  });

  it('takes a packet with a slightly older time into the present bucket', () => {
    const meter = new BitrateMeter();
    meter.add(100, 1000);
    meter.add(100, 990);
    expect(Math.round(meter.packetsPerSecond(1049))).toBe(2);
  });
});
