/** AV1 in RTP (AOM "RTP Payload Format For AV1" v1.0). */

/** The first OBU element continues one of the packet before. */
const CONTINUES = 0x80;
const NEW_SEQUENCE = 0x08;
const SEQUENCE_HEADER = 1;
const LEB128_MAX_BYTES = 8;

/**
 * Whether a coded video sequence starts here: the N bit says so; a sequence header that starts in this packet says it
 * as well, for senders that leave N clear.
 */
export function isAv1KeyframeStart(payload: Buffer): boolean {
  if (payload.length < 2) return false;
  const aggregation = payload[0] as number;
  if ((aggregation & CONTINUES) !== 0) return false;
  if ((aggregation & NEW_SEQUENCE) !== 0) return true;
  return startsSequenceHeader(payload, (aggregation >> 4) & 0x03);
}

/** `elementCount` is the W field: 0 means that each element carries its length, else the last one does not. */
function startsSequenceHeader(payload: Buffer, elementCount: number): boolean {
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
    if (offset >= payload.length) return false;
    if (length > 0 && (((payload[offset] as number) >> 3) & 0x0f) === SEQUENCE_HEADER) return true;
    if (elementCount !== 0 && element >= elementCount) return false;
    offset += length;
  }
  return false;
}
