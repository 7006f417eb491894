import { describe, expect, it } from 'vitest';
import { msFromNtp, ntpHigh, ntpLow, ntpMiddle32 } from './ntp.ts';

describe('NTP time', () => {
  it.each([
    ['the Unix epoch', 0, 0, 2_208_988_800, 0],
    ['half a second after it', 500, 0, 2_208_988_800, 0x80000000],
    ['our clock plus its offset', 250, 1_000_000_000_500, 2_208_988_800 + 1_000_000_000, 0xc0000000],
    // 2036-02-07T06:28:16Z
    ['the start of era 1', 0, 2_085_978_496_000, 0, 0],
  ])('of %s', (_, nowMs, epochOffsetMs, high, low) => {
    expect([ntpHigh(nowMs, epochOffsetMs), ntpLow(nowMs, epochOffsetMs)]).toEqual([high, low]);
  });

  it('goes to milliseconds and back within a microsecond', () => {
    const nowMs = 123_456.789;
    const epochOffsetMs = 1_763_000_000_000.25;
    const ms = msFromNtp(ntpHigh(nowMs, epochOffsetMs), ntpLow(nowMs, epochOffsetMs));
    expect(Math.abs(ms - 2_208_988_800_000 - epochOffsetMs - nowMs)).toBeLessThan(0.001);
  });

  it('has its middle as in the example of RFC 3550 §6.4.1', () => {
    expect(ntpMiddle32(0xb44db705, 0x20000000)).toBe(0xb7052000);
    expect(ntpMiddle32(0xffffffff, 0xffffffff)).toBe(0xffffffff);
  });
});
