/** NAL units out of RTP: H.264 (RFC 6184, packetization modes 0 and 1) and H.265 (RFC 7798, without decoding order numbers). */
import { BitReader, unescapeNal } from '../../forward/codecs/bit-reader.ts';
import type { Depacketiser, Picture } from './depacketiser.ts';
import { MAX_UNITS } from './limits.ts';

export const H264_SPS = 7;
export const H264_PPS = 8;
export const H265_VPS = 32;
export const H265_SPS = 33;
export const H265_PPS = 34;

const H264_SLICE = 1;
const H264_IDR = 5;
const H264_DELIMITER = 9;
const H264_FILLER = 12;
const STAP_A = 24;
const FU_A = 28;
const H264_LAST_SINGLE = 23;
/** `slice_type` modulo 5 (H.264 table 7-6). */
const I_SLICE = 2;

const H265_FIRST_IRAP = 16;
const H265_LAST_IRAP = 21;
const H265_DELIMITER = 35;
const H265_FILLER = 38;
const H265_AGGREGATION = 48;
const H265_FRAGMENTATION = 49;
const H265_LAST_SINGLE = 47;

const FU_START = 0x80;
const FU_END = 0x40;

export function h264Type(nal: Buffer): number {
  return (nal[0] as number) & 0x1f;
}

export function h265Type(nal: Buffer): number {
  return ((nal[0] as number) >> 1) & 0x3f;
}

/** What both have in common: units, aggregates and fragments differ by a byte or two. */
abstract class NalDepacketiser implements Depacketiser {
  #units: Buffer[] = [];
  #fragments: Buffer[] | null = null;

  abstract push(payload: Buffer): boolean;
  protected abstract isKey(units: readonly Buffer[]): boolean;
  /** Delimiters and fillers say nothing that a container does not say. */
  protected abstract isNeeded(nal: Buffer): boolean;

  take(): Picture | null {
    const units = this.#units;
    const whole = this.#fragments === null;
    this.reset();
    return whole && units.length > 0 ? { units, key: this.isKey(units) } : null;
  }

  reset(): void {
    this.#units = [];
    this.#fragments = null;
  }

  protected single(nal: Buffer): boolean {
    if (this.#fragments !== null || this.#units.length >= MAX_UNITS) return false;
    if (this.isNeeded(nal)) this.#units.push(nal);
    return true;
  }

  /** Units behind their 16-bit lengths. */
  protected aggregate(payload: Buffer, offset: number, headerBytes: number): boolean {
    let at = offset;
    while (at + 2 <= payload.length) {
      const length = payload.readUInt16BE(at);
      at += 2;
      if (length < headerBytes || at + length > payload.length) return false;
      if (!this.single(payload.subarray(at, at + length))) return false;
      at += length;
    }
    return at === payload.length;
  }

  protected fragment(fuHeader: number, header: Buffer, data: Buffer): boolean {
    if ((fuHeader & FU_START) !== 0) {
      if (this.#fragments !== null) return false;
      this.#fragments = [header];
    }
    if (this.#fragments === null) return false;
    this.#fragments.push(data);
    if ((fuHeader & FU_END) === 0) return true;
    const nal = Buffer.concat(this.#fragments);
    this.#fragments = null;
    return this.single(nal);
  }
}

export class H264Depacketiser extends NalDepacketiser {
  push(payload: Buffer): boolean {
    if (payload.length < 2) return payload.length === 0;
    const type = h264Type(payload);
    if (type > 0 && type <= H264_LAST_SINGLE) return this.single(payload);
    if (type === STAP_A) return this.aggregate(payload, 1, 1);
    if (type !== FU_A) return false;
    const fuHeader = payload[1] as number;
    const header = Buffer.of(((payload[0] as number) & 0xe0) | (fuHeader & 0x1f));
    return this.fragment(fuHeader, header, payload.subarray(2));
  }

  /** An IDR picture; or parameter sets and an I picture: encoders with intra refresh make no IDR pictures. */
  protected isKey(units: readonly Buffer[]): boolean {
    if (units.some((nal) => h264Type(nal) === H264_IDR)) return true;
    const slices = units.filter((nal) => h264Type(nal) === H264_SLICE);
    return units.some((nal) => h264Type(nal) === H264_SPS) && slices.length > 0 && slices.every(isISlice);
  }

  protected isNeeded(nal: Buffer): boolean {
    const type = h264Type(nal);
    return type !== H264_DELIMITER && type !== H264_FILLER;
  }
}

function isISlice(nal: Buffer): boolean {
  const reader = new BitReader(unescapeNal(nal.subarray(1), 16));
  reader.ue(); // first_mb_in_slice
  return reader.ue() % 5 === I_SLICE;
}

export class H265Depacketiser extends NalDepacketiser {
  push(payload: Buffer): boolean {
    if (payload.length < 3) return payload.length === 0;
    const type = h265Type(payload);
    if (type <= H265_LAST_SINGLE) return this.single(payload);
    if (type === H265_AGGREGATION) return this.aggregate(payload, 2, 2);
    if (type !== H265_FRAGMENTATION) return false;
    const fuHeader = payload[2] as number;
    const header = Buffer.of(((payload[0] as number) & 0x81) | ((fuHeader & 0x3f) << 1), payload[1] as number);
    return this.fragment(fuHeader, header, payload.subarray(3));
  }

  protected isKey(units: readonly Buffer[]): boolean {
    return units.some((nal) => h265Type(nal) >= H265_FIRST_IRAP && h265Type(nal) <= H265_LAST_IRAP);
  }

  protected isNeeded(nal: Buffer): boolean {
    const type = h265Type(nal);
    return type !== H265_DELIMITER && type !== H265_FILLER;
  }
}
