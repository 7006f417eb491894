/**
 * A copy in memory of its own. Small buffers are slices of a pool of 8 kB: one that is kept for hours keeps all of it, and
 * each handshake goes through a few.
 */
export function ownBytes(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
