/** AV1 in RTP (AOM "RTP Payload Format For AV1" v1.0). */

/** The first OBU element continues one of the packet before. */
const CONTINUES = 0x80;
const NEW_SEQUENCE = 0x08;
const SEQUENCE_HEADER = 1;
const LEB128_MAX_BYTES = 8;
const OBU_EXTENSION = 0x04;
const OBU_HAS_SIZE = 0x02;

/**
 * Whether a coded video sequence starts here: the N bit says so; a sequence header that starts in this packet says it
 * as well, for senders that leave N clear.
 */
export function isAv1KeyframeStart(payload: Buffer): boolean {
  if (payload.length < 2) return false;
  const aggregation = payload[0] as number;
  if ((aggregation & CONTINUES) !== 0) return false;
  if ((aggregation & NEW_SEQUENCE) !== 0) return true;
  return av1SequenceHeader(payload) !== null;
}

/**
 * The OBU element that is a sequence header and starts in this packet, header included; null without one. The W field
 * counts the elements: 0 means that each carries its length, else the last one does not.
 */
export function av1SequenceHeader(payload: Buffer): Buffer | null {
  const aggregation = payload[0] ?? 0;
  if ((aggregation & CONTINUES) !== 0) return null;
  const elementCount = (aggregation >> 4) & 0x03;
  let offset = 1;
  for (let element = 1; offset < payload.length; element++) {
    let length = payload.length - offset;
    if (elementCount === 0 || element < elementCount) {
      length = 0;
      let bytes = 0;
      for (; bytes < LEB128_MAX_BYTES && offset + bytes < payload.length; bytes++) {
        const byte = payload[offset + bytes] as number;
        length += (byte & 0x7f) * 2 ** (7 * bytes);
        if ((byte & 0x80) === 0) break;
      }
      offset += bytes + 1;
    }
    if (offset >= payload.length) return null;
    if (length > 0 && (((payload[offset] as number) >> 3) & 0x0f) === SEQUENCE_HEADER) {
      return payload.subarray(offset, offset + length);
    }
    if (elementCount !== 0 && element >= elementCount) return null;
    offset += length;
  }
  return null;
}

/** What an OBU carries, without its header, which may or may not say how long it is; null when it is cut off. */
export function obuContent(obu: Buffer): Buffer | null {
  const first = obu[0];
  if (first === undefined) return null;
  let at = (first & OBU_EXTENSION) !== 0 ? 2 : 1;
  if ((first & OBU_HAS_SIZE) === 0) return obu.subarray(at);
  let size = 0;
  for (let bytes = 0; bytes < LEB128_MAX_BYTES; bytes++) {
    const byte = obu[at++];
    if (byte === undefined) return null;
    size += (byte & 0x7f) * 2 ** (7 * bytes);
    if ((byte & 0x80) === 0) return at + size > obu.length ? null : obu.subarray(at, at + size);
  }
  return null;
}
