/** VP9 in RTP (RFC 9628). */

const PICTURE_ID = 0x80;
const INTER_PICTURE = 0x40;
const LAYER_INDICES = 0x20;
const START_OF_FRAME = 0x08;
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
