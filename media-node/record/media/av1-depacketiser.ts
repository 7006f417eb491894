/** AV1 out of RTP (RTP payload format of AOMedia): fragments and aggregates to a temporal unit of OBUs with sizes. */
import type { Depacketiser, Picture } from './depacketiser.ts';
import { MAX_UNITS } from './limits.ts';

const CONTINUES = 0x80;
const WILL_CONTINUE = 0x40;
const COUNT_SHIFT = 4;
const COUNT_MASK = 0x03;
const EXTENSION_FLAG = 0x04;
const HAS_SIZE = 0x02;
export const AV1_SEQUENCE_HEADER = 1;
const TEMPORAL_DELIMITER = 2;
const TILE_LIST = 8;
const PADDING = 15;
const LEB128_MAX_BYTES = 8;

export function obuType(obu: Buffer): number {
  return ((obu[0] as number) >> 3) & 0x0f;
}

/** Reads a leb128 at `offset`: the value and what follows; null when it is cut off. */
export function readLeb128(data: Buffer, offset: number): { value: number; next: number } | null {
  let value = 0;
  for (let i = 0; i < LEB128_MAX_BYTES; i++) {
    const byte = data[offset + i];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if ((byte & 0x80) === 0) return { value, next: offset + i + 1 };
  }
  return null;
}

function leb128(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  do {
    bytes.push((left % 0x80) | (left >= 0x80 ? 0x80 : 0));
    left = Math.floor(left / 0x80);
  } while (left > 0);
  return Buffer.from(bytes);
}

/** Bytes of an OBU without its header and size field; null when it is broken. */
export function obuPayload(obu: Buffer): Buffer | null {
  const first = obu[0];
  if (first === undefined) return null;
  const header = (first & EXTENSION_FLAG) !== 0 ? 2 : 1;
  if ((first & HAS_SIZE) === 0) return obu.subarray(header);
  const size = readLeb128(obu, header);
  if (size === null || size.next + size.value > obu.length) return null;
  return obu.subarray(size.next, size.next + size.value);
}

export class Av1Depacketiser implements Depacketiser {
  #obus: Buffer[] = [];
  #fragments: Buffer[] | null = null;
  #key = false;

  push(payload: Buffer): boolean {
    const aggregation = payload[0];
    if (aggregation === undefined) return true;
    const continues = (aggregation & CONTINUES) !== 0;
    if (continues !== (this.#fragments !== null)) return false;
    const count = (aggregation >> COUNT_SHIFT) & COUNT_MASK;
    let offset = 1;
    for (let element = 1; offset < payload.length; element++) {
      let length = payload.length - offset;
      if (count === 0 || element < count) {
        const size = readLeb128(payload, offset);
        if (size === null || size.next + size.value > payload.length) return false;
        offset = size.next;
        length = size.value;
      }
      const data = payload.subarray(offset, offset + length);
      offset += length;
      const isLast = offset >= payload.length;
      this.#element(data, element === 1 && continues, isLast && (aggregation & WILL_CONTINUE) !== 0);
      if (count !== 0 && element > count) return false;
    }
    return this.#obus.length <= MAX_UNITS;
  }

  #element(data: Buffer, continues: boolean, willContinue: boolean): void {
    const pieces = continues ? (this.#fragments ?? []) : [];
    pieces.push(data);
    this.#fragments = willContinue ? pieces : null;
    if (!willContinue) this.#add(pieces.length === 1 ? data : Buffer.concat(pieces));
  }

  #add(obu: Buffer): void {
    if (obu.length === 0) return;
    const type = obuType(obu);
    // A file's samples hold neither delimiters nor tile lists (AV1 in ISOBMFF §2.4).
    if (type === TEMPORAL_DELIMITER || type === TILE_LIST || type === PADDING) return;
    if (type === AV1_SEQUENCE_HEADER) this.#key = true;
    const content = obuPayload(obu);
    if (content === null) return;
    const first = obu[0] as number;
    const header = (first & EXTENSION_FLAG) !== 0 ? [first | HAS_SIZE, obu[1] ?? 0] : [first | HAS_SIZE];
    this.#obus.push(Buffer.concat([Buffer.from(header), leb128(content.length), content]));
  }

  take(): Picture | null {
    const obus = this.#obus;
    const key = this.#key;
    const whole = this.#fragments === null;
    this.reset();
    return whole && obus.length > 0 ? { units: obus, key } : null;
  }

  reset(): void {
    this.#obus = [];
    this.#fragments = null;
    this.#key = false;
  }
}
