/** Action Message Format 0: how RTMP commands are written. What publishing needs of it, and reading of what may come back. */

export type AmfValue = number | boolean | string | null | undefined | readonly AmfValue[] | { [key: string]: AmfValue };

const MARKER = {
  number: 0,
  boolean: 1,
  string: 2,
  object: 3,
  null: 5,
  undefined: 6,
  ecmaArray: 8,
  objectEnd: 9,
  strictArray: 10,
  date: 11,
  longString: 12,
} as const;
/** Deeper than any command; a hostile server must not have us recurse for ever. */
const MAX_DEPTH = 8;

export function encodeAmf(values: readonly AmfValue[]): Buffer {
  return Buffer.concat(values.map(encodeValue));
}

function encodeValue(value: AmfValue): Buffer {
  if (typeof value === 'number') {
    const out = Buffer.alloc(9);
    out.writeDoubleBE(value, 1);
    return out;
  }
  if (typeof value === 'boolean') return Buffer.from([MARKER.boolean, value ? 1 : 0]);
  if (typeof value === 'string') {
    if (Buffer.byteLength(value) <= 0xffff) return Buffer.concat([Buffer.from([MARKER.string]), encodeText(value)]);
    const head = Buffer.alloc(5, MARKER.longString);
    head.writeUInt32BE(Buffer.byteLength(value), 1);
    return Buffer.concat([head, Buffer.from(value)]);
  }
  if (value === null) return Buffer.from([MARKER.null]);
  if (value === undefined) return Buffer.from([MARKER.undefined]);
  if (Array.isArray(value)) {
    const head = Buffer.alloc(5, MARKER.strictArray);
    head.writeUInt32BE(value.length, 1);
    return Buffer.concat([head, encodeAmf(value)]);
  }
  const fields = Object.entries(value).flatMap(([key, field]) => [encodeText(key), encodeValue(field)]);
  return Buffer.concat([Buffer.from([MARKER.object]), ...fields, Buffer.from([0, 0, MARKER.objectEnd])]);
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** All values of a command. @throws RangeError for anything that is cut off, nested too deep, or of an unknown type */
export function decodeAmf(bytes: Buffer): AmfValue[] {
  const reader = new AmfReader(bytes);
  const values: AmfValue[] = [];
  while (reader.offset < bytes.length) values.push(reader.value(0));
  return values;
}

class AmfReader {
  offset = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  value(depth: number): AmfValue {
    if (depth > MAX_DEPTH) throw new RangeError('AMF nested too deep');
    const marker = this.#bytes.readUInt8(this.offset++);
    switch (marker) {
      case MARKER.number:
        return this.#number();
      case MARKER.boolean:
        return this.#bytes.readUInt8(this.offset++) !== 0;
      case MARKER.string:
        return this.#text(this.#short());
      case MARKER.longString:
        return this.#text(this.#long());
      case MARKER.null:
        return null;
      case MARKER.undefined:
        return undefined;
      case MARKER.ecmaArray:
        this.#long();
        return this.#fields(depth);
      case MARKER.object:
        return this.#fields(depth);
      case MARKER.strictArray:
        return this.#items(this.#long(), depth);
      case MARKER.date: {
        const unixMs = this.#number();
        this.offset += 2; // time zone: unused
        return unixMs;
      }
      default:
        throw new RangeError(`AMF type ${marker}`);
    }
  }

  #items(count: number, depth: number): AmfValue[] {
    if (count > this.#bytes.length - this.offset) throw new RangeError('AMF array longer than its message');
    return Array.from({ length: count }, () => this.value(depth + 1));
  }

  #fields(depth: number): { [key: string]: AmfValue } {
    const fields: { [key: string]: AmfValue } = Object.create(null);
    for (;;) {
      const key = this.#text(this.#short());
      if (key === '' && this.#bytes.readUInt8(this.offset) === MARKER.objectEnd) {
        this.offset += 1;
        return fields;
      }
      fields[key] = this.value(depth + 1);
    }
  }

  #number(): number {
    const value = this.#bytes.readDoubleBE(this.offset);
    this.offset += 8;
    return value;
  }

  #short(): number {
    const value = this.#bytes.readUInt16BE(this.offset);
    this.offset += 2;
    return value;
  }

  #long(): number {
    const value = this.#bytes.readUInt32BE(this.offset);
    this.offset += 4;
    return value;
  }

  #text(length: number): string {
    if (this.offset + length > this.#bytes.length) throw new RangeError('AMF text cut off');
    const text = this.#bytes.toString('utf8', this.offset, this.offset + length);
    this.offset += length;
    return text;
  }
}
