/** NTP timestamps (RFC 3550 §4) as two plain 32-bit numbers. */

/** Seconds from 1900-01-01 to 1970-01-01 (RFC 868). */
const NTP_UNIX_OFFSET_S = 2_208_988_800;
const MS_PER_S = 1000;
const TWO_32 = 2 ** 32;

/**
 * Seconds part of the NTP time at `nowMs`.
 * @param epochOffsetMs Unix time in milliseconds when the monotonic clock was 0 (`performance.timeOrigin`)
 */
export function ntpHigh(nowMs: number, epochOffsetMs: number): number {
  // Modulo 2^32: NTP era 1 starts in 2036.
  return Math.floor((nowMs + epochOffsetMs) / MS_PER_S + NTP_UNIX_OFFSET_S) >>> 0;
}

/** Fraction part of the NTP time at `nowMs`, in 1/2^32 s; good to about a microsecond. */
export function ntpLow(nowMs: number, epochOffsetMs: number): number {
  const seconds = (nowMs + epochOffsetMs) / MS_PER_S;
  return Math.floor((seconds - Math.floor(seconds)) * TWO_32) >>> 0;
}

/** The middle 32 bits, as in LSR (RFC 3550 §6.4.1): 16 bits of seconds, 16 of fraction. */
export function ntpMiddle32(high: number, low: number): number {
  return (((high & 0xffff) << 16) | (low >>> 16)) >>> 0;
}

/** Milliseconds since 1900 (within the era), fractional. */
export function msFromNtp(high: number, low: number): number {
  return high * MS_PER_S + (low * MS_PER_S) / TWO_32;
}
