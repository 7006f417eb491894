/**
 * Writes RTCP into one buffer that is reused: append packets, send `bytes()`, `reset()`. Multiplexed RTCP may be
 * compound or reduced-size (RFC 5506): the caller decides what goes first.
 */
import {
  APPLICATION_DEFINED,
  APPLICATION_FIXED_BYTES,
  FEEDBACK_SSRCS_BYTES,
  FIR_ENTRY_BYTES,
  FMT_APPLICATION,
  FMT_FIR,
  FMT_NACK,
  FMT_PLI,
  FMT_TRANSPORT_CC,
  GOODBYE,
  HEADER_BYTES,
  MAX_COUNT,
  NACK_MASK_BITS,
  NACK_PAIR_BYTES,
  PAYLOAD_FEEDBACK,
  RECEIVER_REPORT,
  REMB_IDENTIFIER,
  REMB_MANTISSA_BITS,
  REPORT_BLOCK_BYTES,
  type ReportBlock,
  SENDER_INFO_BYTES,
  SENDER_REPORT,
  SOURCE_DESCRIPTION,
  SSRC_BYTES,
  TRANSPORT_FEEDBACK,
} from './packet-types.ts';

export type { ReportBlock } from './packet-types.ts';

/** Leaves room for SRTCP (index, tag), UDP, IPv6 and a tunnel in a 1280-byte path (RFC 8200 §5). */
const DEFAULT_CAPACITY_BYTES = 1200;
const VERSION_BITS = 0x80;
const PADDING_BIT = 0x20;
const SDES_CNAME = 1;
const MAX_CNAME_BYTES = 255;
const MAX_REMB_EXPONENT = 63;
const MAX_REMB_SSRCS = 255;
/** base, status count, reference time, feedback count */
const TRANSPORT_CC_FIXED_BYTES = 8;

/** The content of one transport-wide feedback packet (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1). */
export interface TransportFeedback {
  /** 16 bits */
  baseSequence: number;
  statusCount: number;
  /** Multiples of 64 ms; written modulo 2^24. */
  referenceTime: number;
  /** Written modulo 256. */
  feedbackCount: number;
  chunks: Uint16Array;
  chunkCount: number;
  /** Multiples of 250 µs. 0 to 255 take one byte (small delta), all others two: the chunks must say the same. */
  deltas: Int16Array;
  deltaCount: number;
}

/** Every method that appends says false when its packet did not fit; nothing of it is written then. */
export class RtcpWriter {
  /** For callers that protect in place; only the first `length` bytes are RTCP. */
  readonly buffer: Buffer;
  #length = 0;
  readonly #capacity: number;

  /** @param tailBytes room behind `capacityBytes` that is never written here (SRTCP index and tag). */
  constructor(capacityBytes = DEFAULT_CAPACITY_BYTES, tailBytes = 0) {
    this.buffer = Buffer.alloc(capacityBytes + tailBytes);
    this.#capacity = capacityBytes;
  }

  get length(): number {
    return this.#length;
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.#capacity - this.#length;
  }

  /** What was written since `reset()`: a view, valid until the next change. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.#length);
  }

  reset(): void {
    this.#length = 0;
  }

  /** At most 31 blocks (RFC 3550 §6.4.1); the first `count` of `blocks` are written. */
  receiverReport(ownSsrc: number, blocks: readonly ReportBlock[], count = blocks.length): boolean {
    if (count > MAX_COUNT) return false;
    if (count > blocks.length) throw new RangeError(`${count} report blocks of ${blocks.length}`);
    const at = this.#begin(RECEIVER_REPORT, count, SSRC_BYTES + count * REPORT_BLOCK_BYTES);
    if (at < 0) return false;
    this.buffer.writeUInt32BE(ownSsrc, at);
    this.#writeBlocks(at + SSRC_BYTES, blocks, count);
    return true;
  }

  /** Without report blocks: we send and receive in different sessions. Counts are written modulo 2^32. */
  senderReport(
    ssrc: number,
    ntpHigh: number,
    ntpLow: number,
    rtpTimestamp: number,
    packets: number,
    octets: number,
  ): boolean {
    const at = this.#begin(SENDER_REPORT, 0, SSRC_BYTES + SENDER_INFO_BYTES);
    if (at < 0) return false;
    this.buffer.writeUInt32BE(ssrc, at);
    this.buffer.writeUInt32BE(ntpHigh, at + 4);
    this.buffer.writeUInt32BE(ntpLow, at + 8);
    this.buffer.writeUInt32BE(rtpTimestamp >>> 0, at + 12);
    this.buffer.writeUInt32BE(packets >>> 0, at + 16);
    this.buffer.writeUInt32BE(octets >>> 0, at + 20);
    return true;
  }

  /** One chunk with one CNAME item, cut at 255 bytes (RFC 3550 §6.5.1). */
  sdesCname(ssrc: number, cname: string): boolean {
    const bytes = Math.min(Buffer.byteLength(cname, 'utf8'), MAX_CNAME_BYTES);
    // The item list ends with at least one zero octet and is filled up to a word boundary (RFC 3550 §6.5).
    const padded = (2 + bytes + 4) & ~3;
    const at = this.#begin(SOURCE_DESCRIPTION, 1, SSRC_BYTES + padded);
    if (at < 0) return false;
    this.buffer.writeUInt32BE(ssrc, at);
    this.buffer.fill(0, at + SSRC_BYTES, at + SSRC_BYTES + padded);
    this.buffer.writeUInt8(SDES_CNAME, at + SSRC_BYTES);
    this.buffer.writeUInt8(bytes, at + SSRC_BYTES + 1);
    this.buffer.write(cname, at + SSRC_BYTES + 2, bytes, 'utf8');
    return true;
  }

  /**
   * Packs ascending (modulo 2^16) sequence numbers into PID/BLP pairs (RFC 4585 §6.2.1).
   * @returns how many of them were written: fewer than `count` only when the buffer is full
   */
  nack(ownSsrc: number, mediaSsrc: number, sequences: ArrayLike<number>, count: number): number {
    const header = this.#length;
    let at = header + HEADER_BYTES + FEEDBACK_SSRCS_BYTES;
    let index = 0;
    while (index < count && at + NACK_PAIR_BYTES <= this.#capacity) {
      const pid = sequences[index++] ?? 0;
      let mask = 0;
      while (index < count) {
        const distance = ((sequences[index] ?? 0) - pid) & 0xffff;
        if (distance > NACK_MASK_BITS) break;
        if (distance > 0) mask |= 1 << (distance - 1);
        index++;
      }
      this.buffer.writeUInt16BE(pid & 0xffff, at);
      this.buffer.writeUInt16BE(mask, at + 2);
      at += NACK_PAIR_BYTES;
    }
    if (index === 0) return 0;
    const body = this.#begin(TRANSPORT_FEEDBACK, FMT_NACK, at - header - HEADER_BYTES);
    this.#writeFeedbackSsrcs(body, ownSsrc, mediaSsrc);
    return index;
  }

  /**
   * An application-defined packet (RFC 3550 §6.7).
   * @param name four ASCII characters as a number
   * @param words its content, 32 bits each; the first `count` are written
   */
  application(subtype: number, ownSsrc: number, name: number, words: ArrayLike<number>, count: number): boolean {
    const at = this.#begin(APPLICATION_DEFINED, subtype, APPLICATION_FIXED_BYTES + count * 4);
    if (at < 0) return false;
    this.buffer.writeUInt32BE(ownSsrc, at);
    this.buffer.writeUInt32BE(name, at + SSRC_BYTES);
    for (let i = 0; i < count; i++)
      this.buffer.writeUInt32BE((words[i] ?? 0) >>> 0, at + APPLICATION_FIXED_BYTES + i * 4);
    return true;
  }

  pli(ownSsrc: number, mediaSsrc: number): boolean {
    const at = this.#begin(PAYLOAD_FEEDBACK, FMT_PLI, FEEDBACK_SSRCS_BYTES);
    if (at < 0) return false;
    this.#writeFeedbackSsrcs(at, ownSsrc, mediaSsrc);
    return true;
  }

  /** `sequenceNumber` (modulo 256) must change for each new request and stay for repeated ones (RFC 5104 §4.3.1.1). */
  fir(ownSsrc: number, mediaSsrc: number, sequenceNumber: number): boolean {
    const at = this.#begin(PAYLOAD_FEEDBACK, FMT_FIR, FEEDBACK_SSRCS_BYTES + FIR_ENTRY_BYTES);
    if (at < 0) return false;
    this.#writeFeedbackSsrcs(at, ownSsrc, 0);
    this.buffer.writeUInt32BE(mediaSsrc, at + FEEDBACK_SSRCS_BYTES);
    this.buffer.writeUInt32BE((sequenceNumber & 0xff) * 2 ** 24, at + FEEDBACK_SSRCS_BYTES + 4);
    return true;
  }

  /** Receiver Estimated Maximum Bitrate (draft-alvestrand-rmcat-remb-03 §2.2), rounded down to 18 significant bits. */
  remb(ownSsrc: number, bitrateBps: number, ssrcs: ArrayLike<number>): boolean {
    const count = ssrcs.length;
    if (count > MAX_REMB_SSRCS) return false;
    const at = this.#begin(PAYLOAD_FEEDBACK, FMT_APPLICATION, FEEDBACK_SSRCS_BYTES + 8 + count * SSRC_BYTES);
    if (at < 0) return false;
    let exponent = 0;
    let mantissa = Math.max(0, Math.floor(bitrateBps));
    while (mantissa >= 2 ** REMB_MANTISSA_BITS && exponent < MAX_REMB_EXPONENT) {
      mantissa = Math.floor(mantissa / 2);
      exponent++;
    }
    this.#writeFeedbackSsrcs(at, ownSsrc, 0);
    this.buffer.writeUInt32BE(REMB_IDENTIFIER, at + FEEDBACK_SSRCS_BYTES);
    this.buffer.writeUInt32BE(
      count * 2 ** 24 + exponent * 2 ** REMB_MANTISSA_BITS + mantissa,
      at + FEEDBACK_SSRCS_BYTES + 4,
    );
    for (let index = 0; index < count; index++) {
      this.buffer.writeUInt32BE(ssrcs[index] ?? 0, at + FEEDBACK_SSRCS_BYTES + 8 + index * SSRC_BYTES);
    }
    return true;
  }

  /** Transport-wide congestion control feedback; `TransportCcRecorder` makes the content. */
  transportFeedback(ownSsrc: number, mediaSsrc: number, feedback: TransportFeedback): boolean {
    const { chunks, chunkCount, deltas, deltaCount } = feedback;
    let deltaBytes = 0;
    for (let index = 0; index < deltaCount; index++) deltaBytes += isSmallDelta(deltas[index] ?? 0) ? 1 : 2;
    const content = FEEDBACK_SSRCS_BYTES + TRANSPORT_CC_FIXED_BYTES + chunkCount * 2 + deltaBytes;
    const padding = -content & 3;
    const at = this.#begin(TRANSPORT_FEEDBACK, FMT_TRANSPORT_CC, content + padding);
    if (at < 0) return false;
    this.#writeFeedbackSsrcs(at, ownSsrc, mediaSsrc);
    let offset = at + FEEDBACK_SSRCS_BYTES;
    this.buffer.writeUInt16BE(feedback.baseSequence & 0xffff, offset);
    this.buffer.writeUInt16BE(feedback.statusCount, offset + 2);
    this.buffer.writeUInt32BE((feedback.referenceTime & 0xffffff) * 256 + (feedback.feedbackCount & 0xff), offset + 4);
    offset += TRANSPORT_CC_FIXED_BYTES;
    for (let index = 0; index < chunkCount; index++) {
      offset = this.buffer.writeUInt16BE(chunks[index] ?? 0, offset);
    }
    for (let index = 0; index < deltaCount; index++) {
      const delta = deltas[index] ?? 0;
      offset = isSmallDelta(delta) ? this.buffer.writeUInt8(delta, offset) : this.buffer.writeInt16BE(delta, offset);
    }
    if (padding > 0) {
      // libwebrtc marks it as RTCP padding too; without the P bit the zeros would be read as further deltas by some.
      this.buffer.fill(0, offset, offset + padding - 1);
      this.buffer.writeUInt8(padding, offset + padding - 1);
      const header = at - HEADER_BYTES;
      this.buffer.writeUInt8(this.buffer.readUInt8(header) | PADDING_BIT, header);
    }
    return true;
  }

  bye(ssrc: number): boolean {
    const at = this.#begin(GOODBYE, 1, SSRC_BYTES);
    if (at < 0) return false;
    this.buffer.writeUInt32BE(ssrc, at);
    return true;
  }

  /** Writes the common header and takes the room. @returns where the body starts, -1 when it does not fit. */
  #begin(packetType: number, count: number, bodyBytes: number): number {
    const start = this.#length;
    const end = start + HEADER_BYTES + bodyBytes;
    if (end > this.#capacity) return -1;
    this.buffer.writeUInt8(VERSION_BITS | count, start);
    this.buffer.writeUInt8(packetType, start + 1);
    this.buffer.writeUInt16BE(bodyBytes / 4, start + 2);
    this.#length = end;
    return start + HEADER_BYTES;
  }

  #writeFeedbackSsrcs(at: number, ownSsrc: number, mediaSsrc: number): void {
    this.buffer.writeUInt32BE(ownSsrc, at);
    this.buffer.writeUInt32BE(mediaSsrc, at + SSRC_BYTES);
  }

  #writeBlocks(start: number, blocks: readonly ReportBlock[], count: number): void {
    for (let index = 0; index < count; index++) {
      const block = blocks[index];
      if (block === undefined) return;
      const at = start + index * REPORT_BLOCK_BYTES;
      const fraction = Math.min(255, Math.floor(block.fractionLost * 256));
      const cumulative = Math.max(-0x800000, Math.min(0x7fffff, block.cumulativeLost)) & 0xffffff;
      this.buffer.writeUInt32BE(block.ssrc, at);
      this.buffer.writeUInt32BE(fraction * 2 ** 24 + cumulative, at + 4);
      this.buffer.writeUInt32BE(block.highestSequence >>> 0, at + 8);
      this.buffer.writeUInt32BE(block.jitter >>> 0, at + 12);
      this.buffer.writeUInt32BE(block.lastSr, at + 16);
      this.buffer.writeUInt32BE(block.delaySinceLastSr, at + 20);
    }
  }
}

/** Whether a delta of `delta` × 250 µs is sent in one byte. */
export function isSmallDelta(delta: number): boolean {
  return delta >= 0 && delta <= 255;
}
