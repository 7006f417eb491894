/**
 * Sequence and timestamp arithmetic on wrapping counters. Extended sequence numbers are plain numbers: rollover counter
 * times 65536 plus the 16 bits on the wire; they stay exact far beyond the 2^48 that SRTP allows.
 */
export const SEQUENCE_MODULUS = 0x10000;

/** The extended sequence number with these 16 low bits that lies closest to `reference`; may be negative near the start. */
export function extendSequence(sequence: number, reference: number): number {
  const low = ((reference % SEQUENCE_MODULUS) + SEQUENCE_MODULUS) % SEQUENCE_MODULUS;
  let difference = sequence - low;
  if (difference >= 0x8000) difference -= SEQUENCE_MODULUS;
  else if (difference < -0x8000) difference += SEQUENCE_MODULUS;
  return reference + difference;
}

/** The rollover counter of an extended sequence number. */
export function rolloverOf(extended: number): number {
  return Math.floor(extended / SEQUENCE_MODULUS);
}

/** How far `a` is ahead of `b` on the 32-bit timestamp circle; negative when behind. */
export function timestampDifference(a: number, b: number): number {
  return (a - b) | 0;
}
