import { expect, test } from 'vitest';
import { LoadMeter, type LoadReadings } from './load-meter.ts';

test('load is what was used between two samples', () => {
  let readings: LoadReadings = { nowMs: 1_000, cpuUs: 0, packets: 0, bytesOut: 0 };
  const meter = new LoadMeter(() => readings);

  readings = { nowMs: 3_000, cpuUs: 500_000, packets: 4_000, bytesOut: 1_000_000 };
  const first = meter.sample(7);
  readings = { nowMs: 4_000, cpuUs: 500_000, packets: 4_000, bytesOut: 1_000_000 };
  const idle = meter.sample(0);

  expect(first).toEqual({ sessions: 7, packetsPerSecond: 2_000, bytesOutPerSecond: 500_000, cpu: 0.25 });
  expect(idle).toEqual({ sessions: 0, packetsPerSecond: 0, bytesOutPerSecond: 0, cpu: 0 });
});
