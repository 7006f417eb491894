/** The few words of EBML (RFC 8794) that clusters and cues need. */
export const EBML_ID = {
  segment: 0x18538067,
  seekHead: 0x114d9b74,
  seek: 0x4dbb,
  seekId: 0x53ab,
  seekPosition: 0x53ac,
  info: 0x1549a966,
  duration: 0x4489,
  tracks: 0x1654ae6b,
  cluster: 0x1f43b675,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
  cues: 0x1c53bb6b,
  cuePoint: 0xbb,
  cueTime: 0xb3,
  cueTrackPositions: 0xb7,
  cueTrack: 0xf7,
  cueClusterPosition: 0xf1,
} as const;

export interface Element {
  id: number;
  /** Of the element's size field. */
  sizePosition: number;
  sizeBytes: number;
  dataPosition: number;
  /** Infinite when it is not known. */
  dataBytes: number;
}

/** The element that begins at `position`; null when it is cut off. */
export function readElement(data: Buffer, position: number): Element | null {
  const first = data[position];
  if (first === undefined || first === 0) return null;
  const idBytes = Math.clz32(first) - 23;
  if (position + idBytes >= data.length || idBytes > 4) return null;
  const id = data.readUIntBE(position, idBytes);
  const sizePosition = position + idBytes;
  const lead = data[sizePosition] as number;
  const sizeBytes = lead === 0 ? 0 : Math.clz32(lead) - 23;
  if (sizeBytes === 0 || sizePosition + sizeBytes > data.length) return null;
  let dataBytes = lead & (0xff >> sizeBytes);
  let unknown = dataBytes === 0xff >> sizeBytes;
  for (let i = 1; i < sizeBytes; i++) {
    const byte = data[sizePosition + i] as number;
    unknown &&= byte === 0xff;
    dataBytes = dataBytes * 256 + byte;
  }
  return {
    id,
    sizePosition,
    sizeBytes,
    dataPosition: sizePosition + sizeBytes,
    dataBytes: unknown ? Number.POSITIVE_INFINITY : dataBytes,
  };
}

/** The size field `bytes` long; infinite: the size is not known. */
export function sizeField(size: number, bytes: number): Buffer {
  const field = Buffer.alloc(bytes, 0xff);
  if (size !== Number.POSITIVE_INFINITY) {
    let left = size;
    for (let i = bytes - 1; i >= 0; i--) {
      field[i] = left % 256;
      left = Math.floor(left / 256);
    }
  }
  field[0] = size === Number.POSITIVE_INFINITY ? 0xff >> (bytes - 1) : (field[0] as number) | (0x80 >> (bytes - 1));
  return field;
}

/** As many bytes as the size needs. */
function shortSize(size: number): Buffer {
  let bytes = 1;
  while (size >= 2 ** (7 * bytes) - 1) bytes++;
  return sizeField(size, bytes);
}

function idField(id: number): Buffer {
  const hex = id.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

/** An element's id and size, to be followed by `dataBytes`. */
export function elementHeader(id: number, dataBytes: number): Buffer {
  return Buffer.concat([idField(id), shortSize(dataBytes)]);
}

export function element(id: number, data: Buffer | readonly Buffer[]): Buffer {
  const content = Buffer.isBuffer(data) ? data : Buffer.concat(data);
  return Buffer.concat([elementHeader(id, content.length), content]);
}

export function uint(value: number): Buffer {
  const bytes: number[] = [];
  for (let left = value; left > 0 || bytes.length === 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return Buffer.from(bytes);
}
