/**
 * Reads compound and reduced-size RTCP (RFC 3550 §6, RFC 4585, RFC 5506) without making an object per item: whoever
 * wants the content hands in a visitor. The input comes from the network (authenticated, yet not trusted): every length
 * is checked before it is used, and the work for one datagram is bounded.
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
  GOODBYE,
  HEADER_BYTES,
  NACK_MASK_BITS,
  NACK_PAIR_BYTES,
  PAYLOAD_FEEDBACK,
  RECEIVER_REPORT,
  REMB_IDENTIFIER,
  REMB_MANTISSA_BITS,
  REPORT_BLOCK_BYTES,
  SENDER_INFO_BYTES,
  SENDER_REPORT,
  SSRC_BYTES,
  TRANSPORT_FEEDBACK,
} from './packet-types.ts';

const VERSION_2 = 2;
const PADDING_BIT = 0x20;
const COUNT_MASK = 0x1f;
const REMB_FIXED_BYTES = FEEDBACK_SSRCS_BYTES + 8;

/**
 * Lost packets that one datagram can ask for. More than a retransmission ring holds; a 64 kB datagram full of NACK pairs
 * would otherwise cause a quarter of a million look-ups.
 */
export const MAX_NACKS_PER_DATAGRAM = 4096;

/** Receives what `parseRtcp` finds, in wire order. SSRCs and timestamps are unsigned 32-bit numbers. */
export interface RtcpVisitor {
  senderReport(
    ssrc: number,
    ntpHigh: number,
    ntpLow: number,
    rtpTimestamp: number,
    packetCount: number,
    octetCount: number,
  ): void;
  /**
   * One block of a sender or receiver report.
   * @param fractionLost 0 to 255/256
   * @param cumulativeLost signed
   * @param jitter RTP clock units
   * @param lastSr middle 32 bits of the NTP time of our sender report; 0: the peer saw none
   * @param delaySinceLastSr 1/65536 s
   */
  reportBlock(
    reporterSsrc: number,
    ssrc: number,
    fractionLost: number,
    cumulativeLost: number,
    highestSequence: number,
    jitter: number,
    lastSr: number,
    delaySinceLastSr: number,
  ): void;
  /** Once per lost packet, PID and bit mask expanded; `sequence` has 16 bits. */
  nack(senderSsrc: number, mediaSsrc: number, sequence: number): void;
  pli(senderSsrc: number, mediaSsrc: number): void;
  /** `mediaSsrc` is that of the FCI entry: the header's is unused in FIR (RFC 5104 §4.3.1.2). */
  fir(senderSsrc: number, mediaSsrc: number, sequenceNumber: number): void;
  remb(senderSsrc: number, bitrateBps: number): void;
  bye(ssrc: number): void;
  /** An application-defined packet; its content is `words`, 32 bits each, valid within the call. */
  application?(senderSsrc: number, subtype: number, name: number, words: readonly number[]): void;
}

/**
 * Visits the RTCP packets in the first `length` bytes of `buffer`. SDES, XR, transport-wide feedback and unknown
 * types are skipped.
 * @returns false when something is malformed; all that was valid before it has been visited. Never throws by itself.
 */
export function parseRtcp(buffer: Buffer, length: number, visitor: RtcpVisitor): boolean {
  if (length < HEADER_BYTES || length > buffer.length) return false;
  let nacksLeft = MAX_NACKS_PER_DATAGRAM;
  let offset = 0;
  while (offset < length) {
    if (offset + HEADER_BYTES > length) return false;
    const first = buffer.readUInt8(offset);
    if (first >> 6 !== VERSION_2) return false;
    const next = offset + HEADER_BYTES + buffer.readUInt16BE(offset + 2) * 4;
    if (next > length) return false;
    let end = next;
    if ((first & PADDING_BIT) !== 0) {
      // The last octet counts the padding, itself included (RFC 3550 §6.4.1). It should be a multiple of four, but that of
      // libwebrtc's transport-wide feedback is not: it only fills up the last word.
      const padding = next > offset + HEADER_BYTES ? buffer.readUInt8(next - 1) : 0;
      end -= padding;
      if (padding === 0 || end < offset + HEADER_BYTES) return false;
    }
    const count = first & COUNT_MASK;
    const body = offset + HEADER_BYTES;
    switch (buffer.readUInt8(offset + 1)) {
      case SENDER_REPORT:
        if (!readSenderReport(buffer, body, end, count, visitor)) return false;
        break;
      case RECEIVER_REPORT:
        if (!readBlocks(buffer, body, body + SSRC_BYTES, end, count, visitor)) return false;
        break;
      case GOODBYE:
        if (!readGoodbye(buffer, body, end, count, visitor)) return false;
        break;
      case APPLICATION_DEFINED:
        if (!readApplication(buffer, body, end, count, visitor)) return false;
        break;
      case TRANSPORT_FEEDBACK:
        if (end - body < FEEDBACK_SSRCS_BYTES) return false;
        if (count === FMT_NACK) {
          const visited = readNack(buffer, body, end, nacksLeft, visitor);
          if (visited < 0) return false;
          nacksLeft -= visited;
        }
        break;
      case PAYLOAD_FEEDBACK:
        if (!readPayloadFeedback(buffer, body, end, count, visitor)) return false;
        break;
    }
    offset = next;
  }
  return true;
}

function readSenderReport(buffer: Buffer, body: number, end: number, count: number, visitor: RtcpVisitor): boolean {
  const info = body + SSRC_BYTES;
  const blocks = info + SENDER_INFO_BYTES;
  if (blocks > end) return false;
  visitor.senderReport(
    buffer.readUInt32BE(body),
    buffer.readUInt32BE(info),
    buffer.readUInt32BE(info + 4),
    buffer.readUInt32BE(info + 8),
    buffer.readUInt32BE(info + 12),
    buffer.readUInt32BE(info + 16),
  );
  return readBlocks(buffer, body, blocks, end, count, visitor);
}

function readBlocks(
  buffer: Buffer,
  body: number,
  blocks: number,
  end: number,
  count: number,
  visitor: RtcpVisitor,
): boolean {
  // More bytes than blocks is legal: profile-specific extensions (RFC 3550 §6.4.3).
  if (blocks + count * REPORT_BLOCK_BYTES > end) return false;
  const reporter = buffer.readUInt32BE(body);
  for (let index = 0, at = blocks; index < count; index++, at += REPORT_BLOCK_BYTES) {
    const lost = buffer.readUInt32BE(at + 4);
    visitor.reportBlock(
      reporter,
      buffer.readUInt32BE(at),
      (lost >>> 24) / 256,
      (lost << 8) >> 8, // sign-extends the 24-bit field
      buffer.readUInt32BE(at + 8),
      buffer.readUInt32BE(at + 12),
      buffer.readUInt32BE(at + 16),
      buffer.readUInt32BE(at + 20),
    );
  }
  return true;
}

function readGoodbye(buffer: Buffer, body: number, end: number, count: number, visitor: RtcpVisitor): boolean {
  if (body + count * SSRC_BYTES > end) return false;
  for (let index = 0; index < count; index++) visitor.bye(buffer.readUInt32BE(body + index * SSRC_BYTES));
  return true;
}

function readApplication(buffer: Buffer, body: number, end: number, subtype: number, visitor: RtcpVisitor): boolean {
  const content = body + APPLICATION_FIXED_BYTES;
  if (content > end) return false;
  if (visitor.application === undefined) return true;
  const words: number[] = [];
  for (let at = content; at + 4 <= end; at += 4) words.push(buffer.readUInt32BE(at));
  visitor.application(buffer.readUInt32BE(body), subtype, buffer.readUInt32BE(body + SSRC_BYTES), words);
  return true;
}

/** @returns how many lost packets were visited, -1 when malformed. */
function readNack(buffer: Buffer, body: number, end: number, budget: number, visitor: RtcpVisitor): number {
  const senderSsrc = buffer.readUInt32BE(body);
  const mediaSsrc = buffer.readUInt32BE(body + SSRC_BYTES);
  const entries = body + FEEDBACK_SSRCS_BYTES;
  if (entries === end) return -1;
  let visited = 0;
  for (let at = entries; at + NACK_PAIR_BYTES <= end; at += NACK_PAIR_BYTES) {
    if (visited + 1 + NACK_MASK_BITS > budget) break;
    const pid = buffer.readUInt16BE(at);
    visitor.nack(senderSsrc, mediaSsrc, pid);
    visited++;
    let mask = buffer.readUInt16BE(at + 2);
    for (let bit = 1; mask !== 0; bit++, mask >>= 1) {
      if ((mask & 1) === 0) continue;
      visitor.nack(senderSsrc, mediaSsrc, (pid + bit) & 0xffff);
      visited++;
    }
  }
  return visited;
}

function readPayloadFeedback(buffer: Buffer, body: number, end: number, format: number, visitor: RtcpVisitor): boolean {
  if (end - body < FEEDBACK_SSRCS_BYTES) return false;
  const senderSsrc = buffer.readUInt32BE(body);
  const entries = body + FEEDBACK_SSRCS_BYTES;
  switch (format) {
    case FMT_PLI:
      visitor.pli(senderSsrc, buffer.readUInt32BE(body + SSRC_BYTES));
      return true;
    case FMT_FIR:
      if (entries === end || (end - entries) % FIR_ENTRY_BYTES !== 0) return false;
      for (let at = entries; at < end; at += FIR_ENTRY_BYTES) {
        visitor.fir(senderSsrc, buffer.readUInt32BE(at), buffer.readUInt8(at + 4));
      }
      return true;
    case FMT_APPLICATION:
      return readRemb(buffer, body, end, visitor);
    default:
      return true;
  }
}

function readRemb(buffer: Buffer, body: number, end: number, visitor: RtcpVisitor): boolean {
  const entries = body + FEEDBACK_SSRCS_BYTES;
  // Other application layer feedback than REMB may share the FMT: not ours, not an error.
  if (end - body < REMB_FIXED_BYTES || buffer.readUInt32BE(entries) !== REMB_IDENTIFIER) return true;
  const word = buffer.readUInt32BE(entries + 4);
  if (body + REMB_FIXED_BYTES + (word >>> 24) * SSRC_BYTES > end) return false;
  const exponent = (word >>> REMB_MANTISSA_BITS) & 0x3f;
  const mantissa = word & (2 ** REMB_MANTISSA_BITS - 1);
  visitor.remb(buffer.readUInt32BE(body), mantissa * 2 ** exponent);
  return true;
}
