/**
 * Every synthetic frame carries its number in the clear text of its first packet, so that a viewer can say which frame it
 * got, whatever happened to sequence numbers and timestamps on the way.
 */
const MARKER = Buffer.from('vestibule-frame-');
const DIGITS = 8;

export const MARKER_BYTES = MARKER.length + DIGITS;

/** Never holds two zero bytes in a row, so it needs no emulation prevention in H.264. */
export function frameMarker(frame: number): Buffer {
  return Buffer.concat([MARKER, Buffer.from(frame.toString(16).padStart(DIGITS, '0'))]);
}

/** The number of the frame that begins in this payload; null when none does. */
export function readFrameMarker(payload: Buffer): number | null {
  const at = payload.indexOf(MARKER);
  if (at < 0) return null;
  const start = at + MARKER.length;
  return Number.parseInt(payload.toString('latin1', start, start + DIGITS), 16);
}
