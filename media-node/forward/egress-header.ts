/**
 * Writes the RTP header of a packet for one viewer. Nothing of the publisher's header extension block is passed on as it
 * is (its ids mean something else here): the mid is ours, and known elements are copied under the viewer's ids.
 */
import type { SinkRules } from './fanout-engine.ts';
import { RTP_FIXED_HEADER } from './rtp-header.ts';
import { COPIED_COUNT, type SourcePacket } from './source-packet.ts';

const VERSION_BITS = 0x80;
const PADDING_BIT = 0x20;
const EXTENSION_BIT = 0x10;
const MARKER_BIT = 0x80;
const ONE_BYTE_PROFILE = 0xbede;
const TWO_BYTE_PROFILE = 0x1000;
const MAX_ONE_BYTE_ID = 14;
const MAX_ONE_BYTE_LENGTH = 16;

export class EgressHeader {
  readonly #copiedIds: Uint8Array;
  readonly #copiedMask: number;
  readonly #midId: number;
  readonly #mid: Buffer;
  /** The whole extension block of a packet of which nothing is copied. */
  readonly #plainBlock: Buffer;

  constructor(rules: Pick<SinkRules, 'midId' | 'mid' | 'copiedIds'>) {
    this.#copiedIds = rules.copiedIds;
    this.#copiedMask = rules.copiedIds.reduce((mask, id, i) => (id === 0 ? mask : mask | (1 << i)), 0);
    this.#midId = rules.midId;
    this.#mid = Buffer.from(rules.mid, 'latin1');
    const block = Buffer.alloc(8 + this.#mid.length + 4);
    this.#plainBlock = Buffer.from(block.subarray(0, this.#midId === 0 ? 0 : this.#writeBlock(block, 0, null)));
  }

  /** Writes the header into `out` and returns its length. `sequence` may be extended, `timestamp` may exceed 32 bits. */
  write(
    out: Buffer,
    packet: SourcePacket,
    ssrc: number,
    payloadType: number,
    sequence: number,
    timestamp: number,
  ): number {
    const copies = (packet.extensionMask & this.#copiedMask) !== 0;
    const plain = this.#plainBlock;
    const hasBlock = copies || plain.length > 0;
    out[0] = VERSION_BITS | (packet.paddingOnly ? PADDING_BIT : 0) | (hasBlock ? EXTENSION_BIT : 0);
    out[1] = (packet.header.marker ? MARKER_BIT : 0) | payloadType;
    out[2] = (sequence >>> 8) & 0xff;
    out[3] = sequence & 0xff;
    out[4] = timestamp >>> 24;
    out[5] = (timestamp >>> 16) & 0xff;
    out[6] = (timestamp >>> 8) & 0xff;
    out[7] = timestamp & 0xff;
    out[8] = ssrc >>> 24;
    out[9] = (ssrc >>> 16) & 0xff;
    out[10] = (ssrc >>> 8) & 0xff;
    out[11] = ssrc & 0xff;
    if (copies) return this.#writeBlock(out, RTP_FIXED_HEADER, packet);
    for (let i = 0; i < plain.length; i++) out[RTP_FIXED_HEADER + i] = plain[i] as number;
    return RTP_FIXED_HEADER + plain.length;
  }

  /** Writes an extension block at `start` and returns where it ends. */
  #writeBlock(out: Buffer, start: number, packet: SourcePacket | null): number {
    const twoByte = this.#needsTwoByte(packet);
    let at = start + 4;
    if (this.#midId !== 0) {
      at = writeElementHeader(out, at, this.#midId, this.#mid.length, twoByte);
      at += this.#mid.copy(out, at);
    }
    if (packet !== null) {
      const mask = packet.extensionMask & this.#copiedMask;
      for (let i = 0; i < COPIED_COUNT; i++) {
        if ((mask & (1 << i)) === 0) continue;
        const offset = packet.extensionOffset[i] as number;
        const length = packet.extensionLength[i] as number;
        at = writeElementHeader(out, at, this.#copiedIds[i] as number, length, twoByte);
        at += packet.bytes.copy(out, at, offset, offset + length);
      }
    }
    while ((at - start) % 4 !== 0) out[at++] = 0;
    out.writeUInt16BE(twoByte ? TWO_BYTE_PROFILE : ONE_BYTE_PROFILE, start);
    out.writeUInt16BE((at - start) / 4 - 1, start + 2);
    return at;
  }

  #needsTwoByte(packet: SourcePacket | null): boolean {
    if (this.#midId !== 0 && !fitsOneByte(this.#midId, this.#mid.length)) return true;
    if (packet === null) return false;
    const mask = packet.extensionMask & this.#copiedMask;
    for (let i = 0; i < COPIED_COUNT; i++) {
      if ((mask & (1 << i)) === 0) continue;
      if (!fitsOneByte(this.#copiedIds[i] as number, packet.extensionLength[i] as number)) return true;
    }
    return false;
  }
}

function fitsOneByte(id: number, length: number): boolean {
  return id <= MAX_ONE_BYTE_ID && length > 0 && length <= MAX_ONE_BYTE_LENGTH;
}

function writeElementHeader(out: Buffer, at: number, id: number, length: number, twoByte: boolean): number {
  if (!twoByte) {
    out[at] = (id << 4) | (length - 1);
    return at + 1;
  }
  out[at] = id;
  out[at + 1] = length;
  return at + 2;
}
