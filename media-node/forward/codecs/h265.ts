/** H.265 in RTP (RFC 7798). */

const FIRST_IRAP = 16; // BLA_W_LP
const LAST_IRAP = 21; // CRA_NUT
const VPS = 32;
const SPS = 33;
const AGGREGATION = 48;
const FRAGMENTATION = 49;
const FU_START = 0x80;
const NAL_HEADER_BYTES = 2;

function opensPicture(nalType: number): boolean {
  return (nalType >= FIRST_IRAP && nalType <= LAST_IRAP) || nalType === VPS || nalType === SPS;
}

function nalType(firstByte: number): number {
  return (firstByte >> 1) & 0x3f;
}

/** Whether a decoder can start with this packet: parameter sets, or the first packet of an IRAP picture. */
export function isH265KeyframeStart(payload: Buffer): boolean {
  if (payload.length <= NAL_HEADER_BYTES) return false;
  const type = nalType(payload[0] as number);
  if (type === FRAGMENTATION) {
    const fuHeader = payload[NAL_HEADER_BYTES] as number;
    return (fuHeader & FU_START) !== 0 && opensPicture(fuHeader & 0x3f);
  }
  if (type !== AGGREGATION) return opensPicture(type);
  let offset = NAL_HEADER_BYTES;
  while (offset + 2 < payload.length) {
    if (opensPicture(nalType(payload[offset + 2] as number))) return true;
    offset += 2 + payload.readUInt16BE(offset);
  }
  return false;
}

/** The SPS in this packet, alone or among other NAL units; null: there is none, or it is cut in pieces. */
export function h265ParameterSet(payload: Buffer): Buffer | null {
  const type = nalType(payload[0] ?? 0);
  if (type === SPS) return payload;
  if (type !== AGGREGATION) return null;
  let offset = NAL_HEADER_BYTES;
  while (offset + 2 < payload.length) {
    const length = payload.readUInt16BE(offset);
    const nal = payload.subarray(offset + 2, offset + 2 + length);
    if (nalType(nal[0] ?? 0) === SPS) return nal;
    offset += 2 + length;
  }
  return null;
}
