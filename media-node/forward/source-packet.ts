/**
 * A plaintext packet of a source as the fan-out sees it: what can be known once for all viewers. One object is reused
 * for all packets.
 */
import type { ExtensionIds } from '../negotiate/plan.ts';
import { findExtension, paddingLength, parseRtpHeader, RtpHeader } from './rtp-header.ts';

/** Header extensions whose content goes from publisher to viewer (with the viewer's id). All others are ours to write. */
export const COPIED_EXTENSIONS = [
  'videoOrientation',
  'audioLevel',
  'dependencyDescriptor',
  'absCaptureTime',
  'playoutDelay',
  'colorSpace',
] as const satisfies readonly (keyof ExtensionIds)[];
export const COPIED_COUNT = COPIED_EXTENSIONS.length;

/** One id per entry of `COPIED_EXTENSIONS`; 0: not negotiated. */
export function copiedExtensionIds(ids: ExtensionIds): Uint8Array {
  return Uint8Array.from(COPIED_EXTENSIONS, (name) => ids[name] ?? 0);
}

export class SourcePacket {
  readonly header = new RtpHeader();
  bytes: Buffer = Buffer.alloc(0);
  length = 0;
  /** Payload without padding; of a padding-only packet, the padding. */
  payload: Buffer = this.bytes;
  paddingOnly = false;
  /** Extended sequence number in the numbering of the source stream (without dropped probes). */
  sequence = 0;
  /** Where the packet is in the log of its group (`PacketRing.store`); -1: nowhere. */
  logStart = -1;
  /** Bit n: entry n of `COPIED_EXTENSIONS` is present, at these places in `bytes`. */
  extensionMask = 0;
  readonly extensionOffset = new Uint16Array(COPIED_COUNT);
  readonly extensionLength = new Uint8Array(COPIED_COUNT);

  /**
   * Reads the plaintext packet in the first `length` bytes of `bytes`, numbered by the publisher's extension ids. False
   * when it is malformed. Keeps a reference to `bytes`.
   */
  read(bytes: Buffer, length: number, extensionIds: Uint8Array): boolean {
    const header = this.header;
    if (!parseRtpHeader(bytes, length, header)) return false;
    const padding = paddingLength(bytes, length, header);
    if (padding < 0) return false;
    this.bytes = bytes;
    this.length = length;
    this.logStart = -1;
    const contentEnd = length - padding;
    this.paddingOnly = padding > 0 && contentEnd === header.length;
    this.payload = bytes.subarray(header.length, this.paddingOnly ? length : contentEnd);
    this.#findExtensions(extensionIds);
    return true;
  }

  #findExtensions(ids: Uint8Array): void {
    this.extensionMask = 0;
    if (this.header.extensionProfile === 0) return;
    for (let i = 0; i < COPIED_COUNT; i++) {
      const id = ids[i] as number;
      if (id === 0) continue;
      const offset = findExtension(this.bytes, this.header, id);
      if (offset < 0) continue;
      this.extensionMask |= 1 << i;
      this.extensionOffset[i] = offset;
      this.extensionLength[i] = this.header.foundLength;
    }
  }
}
