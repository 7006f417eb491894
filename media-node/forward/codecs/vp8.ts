/** VP8 in RTP (RFC 7741). */

const EXTENDED = 0x80;
const START_OF_PARTITION = 0x10;
const PARTITION_ID = 0x07;
/** P bit of the VP8 frame header: set in interframes. */
const INTERFRAME = 0x01;

/** Whether this is the first packet of a key frame. */
export function isVp8KeyframeStart(payload: Buffer): boolean {
  if (payload.length < 2) return false;
  const first = payload[0] as number;
  if ((first & START_OF_PARTITION) === 0 || (first & PARTITION_ID) !== 0) return false;
  const header = vp8DescriptorLength(payload);
  return header < payload.length && ((payload[header] as number) & INTERFRAME) === 0;
}

/** Length of the payload descriptor (RFC 7741 §4.2). */
export function vp8DescriptorLength(payload: Buffer): number {
  if (((payload[0] as number) & EXTENDED) === 0) return 1;
  const extension = payload[1] as number;
  let length = 2;
  if ((extension & 0x80) !== 0) length += ((payload[length] ?? 0) & 0x80) !== 0 ? 2 : 1; // PictureID, 7 or 15 bits
  if ((extension & 0x40) !== 0) length++; // TL0PICIDX
  if ((extension & 0x30) !== 0) length++; // TID and KEYIDX
  return length;
}
