/** VP8 (RFC 7741) and VP9 (RFC 9628) out of RTP. */
import type { Depacketiser, Picture } from './depacketiser.ts';

const VP8_EXTENDED = 0x80;
const VP8_PICTURE_ID = 0x80;
const VP8_TL0 = 0x40;
const VP8_TID_OR_KEYIDX = 0x30;
const LONG_PICTURE_ID = 0x80;
/** P bit of the VP8 frame header: set in interframes. */
const VP8_INTERFRAME = 0x01;

export class Vp8Depacketiser implements Depacketiser {
  #pieces: Buffer[] = [];

  push(payload: Buffer): boolean {
    if (payload.length === 0) return true;
    const header = vp8DescriptorLength(payload);
    if (header > payload.length) return false;
    this.#pieces.push(payload.subarray(header));
    return true;
  }

  take(): Picture | null {
    const data = Buffer.concat(this.#pieces);
    this.reset();
    return data.length === 0 ? null : { units: [data], key: ((data[0] as number) & VP8_INTERFRAME) === 0 };
  }

  reset(): void {
    this.#pieces = [];
  }
}

function vp8DescriptorLength(payload: Buffer): number {
  if (((payload[0] as number) & VP8_EXTENDED) === 0) return 1;
  const extension = payload[1] ?? 0;
  let length = 2;
  if ((extension & VP8_PICTURE_ID) !== 0) length += ((payload[length] ?? 0) & LONG_PICTURE_ID) !== 0 ? 2 : 1;
  if ((extension & VP8_TL0) !== 0) length++;
  if ((extension & VP8_TID_OR_KEYIDX) !== 0) length++;
  return length;
}

const PICTURE_ID = 0x80;
const INTER_PICTURE = 0x40;
const LAYER_INDICES = 0x20;
const FLEXIBLE = 0x10;
const END_OF_FRAME = 0x04;
const SCALABILITY = 0x02;
const MORE_REFERENCES = 0x01;
const MAX_REFERENCES = 3;
/** Layer frames of one picture that a superframe can hold (VP9 annex B). */
const MAX_LAYER_FRAMES = 8;

export class Vp9Depacketiser implements Depacketiser {
  /** Of the layer frame that is being put together. */
  #pieces: Buffer[] = [];
  #frames: Buffer[] = [];
  #key = false;

  push(payload: Buffer): boolean {
    if (payload.length === 0) return true;
    const first = payload[0] as number;
    const header = vp9DescriptorLength(payload);
    if (header < 0 || header > payload.length) return false;
    if (this.#frames.length === 0 && this.#pieces.length === 0) this.#key = (first & INTER_PICTURE) === 0;
    this.#pieces.push(payload.subarray(header));
    if ((first & END_OF_FRAME) !== 0) this.#endLayer();
    return this.#frames.length <= MAX_LAYER_FRAMES;
  }

  #endLayer(): void {
    const frame = Buffer.concat(this.#pieces);
    this.#pieces = [];
    if (frame.length > 0) this.#frames.push(frame);
  }

  take(): Picture | null {
    this.#endLayer();
    const frames = this.#frames;
    const key = this.#key;
    this.reset();
    return frames.length === 0 ? null : { units: [superframe(frames)], key };
  }

  reset(): void {
    this.#pieces = [];
    this.#frames = [];
    this.#key = false;
  }
}

/** Spatial layers travel apart and are stored as one superframe: decoders find the parts by its index (VP9 annex B). */
function superframe(frames: readonly Buffer[]): Buffer {
  const [only] = frames;
  if (only !== undefined && frames.length === 1) return only;
  const marker = 0xc0 | (3 << 3) | (frames.length - 1);
  const index = Buffer.alloc(2 + 4 * frames.length, marker);
  for (const [at, frame] of frames.entries()) index.writeUInt32LE(frame.length, 1 + 4 * at);
  return Buffer.concat([...frames, index]);
}

/** RFC 9628 §4.2; -1 when it is cut off. */
function vp9DescriptorLength(payload: Buffer): number {
  const first = payload[0] as number;
  const byte = (at: number): number => payload[at] ?? 0;
  let length = 1;
  if ((first & PICTURE_ID) !== 0) length += (byte(length) & LONG_PICTURE_ID) !== 0 ? 2 : 1;
  if ((first & LAYER_INDICES) !== 0) length += (first & FLEXIBLE) !== 0 ? 1 : 2;
  if ((first & FLEXIBLE) !== 0 && (first & INTER_PICTURE) !== 0) {
    for (let i = 1; (byte(length++) & MORE_REFERENCES) !== 0; i++) if (i === MAX_REFERENCES) return -1;
  }
  return (first & SCALABILITY) === 0 ? length : length + scalabilityLength(payload.subarray(length));
}

function scalabilityLength(data: Buffer): number {
  const first = data[0] ?? 0;
  let length = 1;
  if ((first & 0x10) !== 0) length += 4 * ((first >> 5) + 1);
  if ((first & 0x08) === 0) return length;
  const pictures = data[length++] ?? 0;
  for (let i = 0; i < pictures && length < data.length; i++) length += 1 + (((data[length] ?? 0) >> 2) & 0x03);
  return length;
}
