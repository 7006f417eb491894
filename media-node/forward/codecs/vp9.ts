/** VP9 in RTP (RFC 9628). */

const PICTURE_ID = 0x80;
const INTER_PICTURE = 0x40;
const LAYER_INDICES = 0x20;
const FLEXIBLE = 0x10;
const START_OF_FRAME = 0x08;
const SCALABILITY = 0x02;
/** In the scalability structure. */
const HAS_SIZES = 0x10;
const HAS_GROUP = 0x08;
const LONG_PICTURE_ID = 0x80;

/** Whether this is the first packet of a key picture: not predicted from another picture, lowest spatial layer. */
export function isVp9KeyframeStart(payload: Buffer): boolean {
  if (payload.length < 2) return false;
  const first = payload[0] as number;
  if ((first & START_OF_FRAME) === 0 || (first & INTER_PICTURE) !== 0) return false;
  if ((first & LAYER_INDICES) === 0) return true;
  let offset = 1;
  if ((first & PICTURE_ID) !== 0) offset += ((payload[1] as number) & LONG_PICTURE_ID) !== 0 ? 2 : 1;
  if (offset >= payload.length) return false;
  const spatialLayer = ((payload[offset] as number) >> 1) & 0x07;
  return spatialLayer === 0;
}

/** Length of the payload descriptor (RFC 9628 §4.2) of a key picture's first packet. */
export function vp9DescriptorLength(payload: Buffer): number {
  const first = payload[0] ?? 0;
  let length = 1;
  if ((first & PICTURE_ID) !== 0) length += ((payload[length] ?? 0) & LONG_PICTURE_ID) !== 0 ? 2 : 1;
  if ((first & LAYER_INDICES) !== 0) length += (first & FLEXIBLE) !== 0 ? 1 : 2;
  if ((first & SCALABILITY) !== 0) length += scalabilityLength(payload, length);
  return length;
}

/** The scalability structure: sizes of all spatial layers, and which pictures refer to which. */
function scalabilityLength(payload: Buffer, at: number): number {
  const head = payload[at] ?? 0;
  let length = 1;
  if ((head & HAS_SIZES) !== 0) length += 4 * ((head >> 5) + 1);
  if ((head & HAS_GROUP) === 0) return length;
  const pictures = payload[at + length] ?? 0;
  length++;
  for (let i = 0; i < pictures; i++) length += 1 + (((payload[at + length] ?? 0) >> 2) & 0x03);
  return length;
}
