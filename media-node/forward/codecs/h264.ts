/** H.264 in RTP (RFC 6184). */

const IDR = 5;
const SPS = 7;
const STAP_A = 24;
const FU_A = 28;
const TYPE_MASK = 0x1f;
const FU_START = 0x80;

/** Parameter sets open a random access point too: encoders send them right before the IDR picture. */
function opensPicture(nalType: number): boolean {
  return nalType === IDR || nalType === SPS;
}

/** Whether a decoder can start with this packet: an SPS, or the first packet of an IDR picture. */
export function isH264KeyframeStart(payload: Buffer): boolean {
  if (payload.length < 2) return false;
  const type = (payload[0] as number) & TYPE_MASK;
  if (type === FU_A) {
    const fuHeader = payload[1] as number;
    return (fuHeader & FU_START) !== 0 && opensPicture(fuHeader & TYPE_MASK);
  }
  if (type !== STAP_A) return opensPicture(type);
  let offset = 1;
  while (offset + 2 < payload.length) {
    if (opensPicture((payload[offset + 2] as number) & TYPE_MASK)) return true;
    offset += 2 + payload.readUInt16BE(offset);
  }
  return false;
}

/** The SPS in this packet, alone or among other NAL units; null: there is none, or it is cut in pieces. */
export function h264ParameterSet(payload: Buffer): Buffer | null {
  const type = (payload[0] ?? 0) & TYPE_MASK;
  if (type === SPS) return payload;
  if (type !== STAP_A) return null;
  let offset = 1;
  while (offset + 2 < payload.length) {
    const length = payload.readUInt16BE(offset);
    const nal = payload.subarray(offset + 2, offset + 2 + length);
    if (((nal[0] ?? 0) & TYPE_MASK) === SPS) return nal;
    offset += 2 + length;
  }
  return null;
}
