/** RTP header parsing (RFC 3550 §5.1, RFC 8285) into a reusable object: the hot path allocates nothing for it. */

export const RTP_FIXED_HEADER = 12;
const RTP_VERSION = 2;
const ONE_BYTE_PROFILE = 0xbede;
const TWO_BYTE_PROFILE = 0x1000;
/** The low four bits of the two-byte profile are for the application (RFC 8285 §4.3). */
const TWO_BYTE_PROFILE_MASK = 0xfff0;
/** RFC 8285 §4.2: id 15 ends the one-byte list. */
const ONE_BYTE_STOP_ID = 15;

/** The fields of the header parsed last. */
export class RtpHeader {
  marker = false;
  hasPadding = false;
  payloadType = 0;
  sequence = 0;
  timestamp = 0;
  ssrc = 0;
  /** Offset of the payload: fixed header, CSRCs and extension block. */
  length = 0;
  /** 0 when there is no extension block. */
  extensionProfile = 0;
  extensionStart = 0;
  extensionEnd = 0;
  /** Length of the element that `findExtension` returned last. */
  foundLength = 0;
}

/**
 * Parses the header of the first `length` bytes of `packet`. Works on protected packets too: the header is in the clear.
 * False when it is no RTP packet; `into` is then undefined.
 */
export function parseRtpHeader(packet: Buffer, length: number, into: RtpHeader): boolean {
  if (length < RTP_FIXED_HEADER) return false;
  const first = packet[0] as number;
  if (first >> 6 !== RTP_VERSION) return false;
  const second = packet[1] as number;
  into.hasPadding = (first & 0x20) !== 0;
  into.marker = (second & 0x80) !== 0;
  into.payloadType = second & 0x7f;
  into.sequence = packet.readUInt16BE(2);
  into.timestamp = packet.readUInt32BE(4);
  into.ssrc = packet.readUInt32BE(8);
  let offset = RTP_FIXED_HEADER + (first & 0x0f) * 4;
  into.extensionProfile = 0;
  into.extensionStart = offset;
  into.extensionEnd = offset;
  if ((first & 0x10) !== 0) {
    if (offset + 4 > length) return false;
    into.extensionProfile = packet.readUInt16BE(offset);
    into.extensionStart = offset + 4;
    offset += 4 + packet.readUInt16BE(offset + 2) * 4;
    into.extensionEnd = offset;
  }
  if (offset > length) return false;
  into.length = offset;
  return true;
}

/**
 * Length of the padding at the end of a plaintext packet (RFC 3550 §5.1), 0 without; -1 when the padding count is
 * impossible.
 */
export function paddingLength(packet: Buffer, length: number, header: RtpHeader): number {
  if (!header.hasPadding) return 0;
  if (length <= header.length) return -1;
  const padding = packet[length - 1] as number;
  return padding === 0 || header.length + padding > length ? -1 : padding;
}

/** Offset of the data of the extension element `id`, or -1; its length is left in `header.foundLength`. */
export function findExtension(packet: Buffer, header: RtpHeader, id: number): number {
  if (header.extensionProfile === ONE_BYTE_PROFILE) return findOneByte(packet, header, id);
  if ((header.extensionProfile & TWO_BYTE_PROFILE_MASK) === TWO_BYTE_PROFILE) return findTwoByte(packet, header, id);
  return -1;
}

function findOneByte(packet: Buffer, header: RtpHeader, id: number): number {
  const end = header.extensionEnd;
  let offset = header.extensionStart;
  while (offset < end) {
    const element = packet[offset] as number;
    if (element === 0) {
      offset++;
      continue;
    }
    const elementId = element >> 4;
    if (elementId === ONE_BYTE_STOP_ID) return -1;
    const length = (element & 0x0f) + 1;
    if (offset + 1 + length > end) return -1;
    if (elementId === id) {
      header.foundLength = length;
      return offset + 1;
    }
    offset += 1 + length;
  }
  return -1;
}

function findTwoByte(packet: Buffer, header: RtpHeader, id: number): number {
  const end = header.extensionEnd;
  let offset = header.extensionStart;
  while (offset < end) {
    const elementId = packet[offset] as number;
    if (elementId === 0) {
      offset++;
      continue;
    }
    if (offset + 2 > end) return -1;
    const length = packet[offset + 1] as number;
    if (offset + 2 + length > end) return -1;
    if (elementId === id) {
      header.foundLength = length;
      return offset + 2;
    }
    offset += 2 + length;
  }
  return -1;
}
