/** FLV as it comes out of ffmpeg's standard output: tags, which are RTMP messages by another name. */

export const FLV_AUDIO = 8;
export const FLV_VIDEO = 9;
export const FLV_DATA = 18;

const FILE_HEADER_BYTES = 9;
const TAG_HEADER_BYTES = 11;
const SIZE_BYTES = 4;
/** A keyframe of a large picture is a tenth of this. */
const MAX_TAG_BYTES = 8 * 1024 * 1024;

export interface FlvTag {
  type: number;
  timestampMs: number;
  payload: Buffer;
}

export class FlvReader {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #headerRead = false;
  /** Known once the header of the tag at the front is there. */
  #neededBytes = FILE_HEADER_BYTES + SIZE_BYTES;

  /** The tags that `data` completes. @throws RangeError when this is not FLV */
  push(data: Buffer): FlvTag[] {
    this.#pending.push(data);
    this.#pendingBytes += data.length;
    if (this.#pendingBytes < this.#neededBytes) return [];
    const bytes = this.#pending.length === 1 ? data : Buffer.concat(this.#pending);
    let offset = 0;
    const tags: FlvTag[] = [];
    if (!this.#headerRead) {
      if (bytes.toString('latin1', 0, 3) !== 'FLV') throw new RangeError('not FLV');
      offset = bytes.readUInt32BE(5) + SIZE_BYTES;
      this.#headerRead = true;
    }
    for (;;) {
      this.#neededBytes = TAG_HEADER_BYTES;
      if (bytes.length - offset < TAG_HEADER_BYTES) break;
      const size = bytes.readUIntBE(offset + 1, 3);
      if (size > MAX_TAG_BYTES) throw new RangeError('FLV tag too large');
      this.#neededBytes = TAG_HEADER_BYTES + size + SIZE_BYTES;
      if (bytes.length - offset < this.#neededBytes) break;
      const timestampMs = ((bytes.readUInt8(offset + 7) << 24) | bytes.readUIntBE(offset + 4, 3)) >>> 0;
      const start = offset + TAG_HEADER_BYTES;
      tags.push({
        type: bytes.readUInt8(offset) & 0x1f,
        timestampMs,
        payload: Buffer.from(bytes.subarray(start, start + size)),
      });
      offset += this.#neededBytes;
    }
    this.#pending = [Buffer.from(bytes.subarray(offset))];
    this.#pendingBytes = bytes.length - offset;
    return tags;
  }
}

/** A video tag's frame type: 1 is a key frame (in the enhanced format too, whose high bit is a flag). */
export function isKeyframe(tag: FlvTag): boolean {
  return tag.type === FLV_VIDEO && (((tag.payload[0] ?? 0) >> 4) & 0x7) === 1;
}

/** AVC sequence headers and the like carry no picture. */
export function isSequenceHeader(tag: FlvTag): boolean {
  const [first = 0, second = 1] = tag.payload;
  if (tag.type === FLV_VIDEO) return (first & 0x80) !== 0 ? (first & 0x0f) === 0 : second === 0;
  return tag.type === FLV_AUDIO && first >> 4 === 10 && second === 0;
}
