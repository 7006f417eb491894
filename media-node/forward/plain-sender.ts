/** What `SrtpSender` does, without protection: for receivers on this machine that have no keys. */
export class PlainSender {
  /** Completes the packet in `out` by its payload; returns the length of the whole. */
  protectRtp(out: Buffer, headerLength: number, payload: Buffer, _roc: number): number {
    return headerLength + payload.copy(out, headerLength);
  }

  protectRtcp(_buffer: Buffer, length: number): number {
    return length;
  }
}
