/** AV1's open bitstream units (AV1 §5.3), as RTP carries them: without their size. */
import { MediaFileError } from './media-track.ts';

export interface Obu {
  type: number;
  /** Header and payload; the size field is taken out. */
  bytes: Buffer;
}

const HAS_EXTENSION = 0x04;
const HAS_SIZE = 0x02;

/** The units of a temporal unit in the low-overhead format. @throws MediaFileError */
export function readObus(data: Buffer): Obu[] {
  const obus: Obu[] = [];
  for (let at = 0; at < data.length; ) {
    const header = data.readUInt8(at);
    const headerBytes = (header & HAS_EXTENSION) === 0 ? 1 : 2;
    let size = data.length - at - headerBytes;
    let sizeBytes = 0;
    if ((header & HAS_SIZE) !== 0) [size, sizeBytes] = readLeb128(data, at + headerBytes);
    const start = at + headerBytes + sizeBytes;
    if (start + size > data.length) throw new MediaFileError('an OBU longer than its frame');
    const head = Buffer.from(data.subarray(at, at + headerBytes));
    head[0] = header & ~HAS_SIZE;
    obus.push({ type: (header >> 3) & 0x0f, bytes: Buffer.concat([head, data.subarray(start, start + size)]) });
    at = start + size;
  }
  return obus;
}

/** Value, and how many bytes it takes. */
function readLeb128(data: Buffer, at: number): [number, number] {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = data[at + i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if ((byte & 0x80) === 0) return [value, i + 1];
  }
  throw new MediaFileError('a size of an OBU that does not end');
}
