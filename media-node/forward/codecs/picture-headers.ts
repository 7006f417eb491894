/** What the headers of a keyframe say of its pictures: size, and the codec's name for the outside. */
import { BitReader, unescapeNal } from './bit-reader.ts';

export interface PictureFormat {
  /** As in MIME types and WebCodecs (RFC 6381), e.g. `avc1.42c01f`. */
  codec: string;
  width: number;
  height: number;
}

const VP8_START_CODE = 0x9d012a;

/** `profile_idc` of those that carry `chroma_format_idc` (H.264 §7.3.2.1.1). */
const H264_HIGH_PROFILES = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

export function h264Format(sps: Buffer): PictureFormat | null {
  const data = unescapeNal(sps);
  if (data.length < 5) return null;
  const codec = `avc1.${Buffer.from(data.subarray(1, 4)).toString('hex')}`;
  const reader = new BitReader(data.subarray(4));
  reader.ue(); // seq_parameter_set_id
  let chroma = 1;
  let separatePlanes = false;
  if (H264_HIGH_PROFILES.includes(data[1] as number)) {
    chroma = reader.ue();
    if (chroma === 3) separatePlanes = reader.flag();
    reader.ue(); // bit_depth_luma_minus8
    reader.ue();
    reader.skip(1);
    if (reader.flag()) skipScalingLists(reader, chroma === 3 ? 12 : 8);
  }
  reader.ue(); // log2_max_frame_num_minus4
  const orderType = reader.ue();
  if (orderType === 0) reader.ue();
  else if (orderType === 1) skipOrderCycle(reader);
  reader.ue(); // max_num_ref_frames
  reader.skip(1);
  const widthUnits = reader.ue() + 1;
  const mapUnits = reader.ue() + 1;
  const framesOnly = reader.flag();
  if (!framesOnly) reader.skip(1);
  reader.skip(1); // direct_8x8_inference_flag
  let width = widthUnits * 16;
  let height = mapUnits * 16 * (framesOnly ? 1 : 2);
  if (reader.flag()) {
    const planes = separatePlanes ? 0 : chroma;
    const unitX = planes === 1 || planes === 2 ? 2 : 1;
    const unitY = (planes === 1 ? 2 : 1) * (framesOnly ? 1 : 2);
    width -= unitX * (reader.ue() + reader.ue());
    height -= unitY * (reader.ue() + reader.ue());
  }
  return reader.overrun ? null : { codec, width, height };
}

function skipScalingLists(reader: BitReader, count: number): void {
  for (let list = 0; list < count; list++) {
    if (!reader.flag()) continue;
    let next = 8;
    for (let i = 0; i < (list < 6 ? 16 : 64) && next !== 0; i++) next = (next + reader.se() + 256) % 256;
  }
}

function skipOrderCycle(reader: BitReader): void {
  reader.skip(1);
  reader.se();
  reader.se();
  for (let left = Math.min(reader.ue(), 255); left > 0; left--) reader.se();
}

export function h265Format(sps: Buffer): PictureFormat | null {
  const reader = new BitReader(unescapeNal(sps).subarray(2));
  reader.skip(4);
  const subLayers = reader.bits(3); // sps_max_sub_layers_minus1
  reader.skip(1);
  const space = ['', 'A', 'B', 'C'][reader.bits(2)];
  const tier = reader.flag() ? 'H' : 'L';
  const profile = reader.bits(5);
  const compatibility = reversed32(reader.bits(32));
  const constraints = Array.from({ length: 6 }, () => reader.bits(8));
  const level = reader.bits(8);
  skipSubLayers(reader, subLayers);
  reader.ue(); // sps_seq_parameter_set_id
  const chroma = reader.ue();
  if (chroma === 3) reader.skip(1);
  let width = reader.ue();
  let height = reader.ue();
  if (reader.flag()) {
    width -= (chroma === 1 || chroma === 2 ? 2 : 1) * (reader.ue() + reader.ue());
    height -= (chroma === 1 ? 2 : 1) * (reader.ue() + reader.ue());
  }
  if (reader.overrun) return null;
  while (constraints.at(-1) === 0) constraints.pop();
  const bytes = constraints.map((byte) => `.${byte.toString(16)}`).join('');
  return { codec: `hvc1.${space}${profile}.${compatibility.toString(16)}.${tier}${level}${bytes}`, width, height };
}

function reversed32(value: number): number {
  let out = 0;
  for (let i = 0; i < 32; i++) if (((value >>> i) & 1) === 1) out += 2 ** (31 - i);
  return out;
}

function skipSubLayers(reader: BitReader, count: number): void {
  if (count === 0) return;
  const present: [profile: boolean, level: boolean][] = [];
  for (let i = 0; i < 8; i++) {
    const profile = reader.flag();
    const level = reader.flag();
    if (i < count) present.push([profile, level]);
  }
  for (const [profile, level] of present) reader.skip((profile ? 88 : 0) + (level ? 8 : 0));
}

/** Whether the frame has the mark of a key frame (RFC 6386 §9.1). */
export function hasVp8StartCode(frame: Buffer): boolean {
  return frame.length >= 6 && frame.readUIntBE(3, 3) === VP8_START_CODE;
}

/** Of a key frame. */
export function vp8Format(frame: Buffer): PictureFormat | null {
  if (frame.length < 10) return null;
  return { codec: 'vp8', width: frame.readUInt16LE(6) & 0x3fff, height: frame.readUInt16LE(8) & 0x3fff };
}

const VP9_SYNC_CODE = 0x498342;
const VP9_RGB = 7;

export function vp9Format(frame: Buffer): PictureFormat | null {
  const reader = new BitReader(frame.subarray(0, 32));
  if (reader.bits(2) !== 2) return null;
  const profile = reader.bits(1) + 2 * reader.bits(1);
  if (profile === 3) reader.skip(1);
  if (reader.flag() || reader.flag()) return null; // shows an existing frame, or is no key frame
  reader.skip(2);
  if (reader.bits(24) !== VP9_SYNC_CODE) return null;
  const depth = profile >= 2 ? (reader.flag() ? 12 : 10) : 8;
  const oddProfile = profile % 2 === 1;
  if (reader.bits(3) !== VP9_RGB) reader.skip(oddProfile ? 4 : 1);
  else if (oddProfile) reader.skip(1);
  const width = reader.bits(16) + 1;
  const height = reader.bits(16) + 1;
  const codec = `vp09.0${profile}.${vp9Level(width * height)}.${String(depth).padStart(2, '0')}`;
  return { codec, width, height };
}

/** Highest luma picture size of each level; the rate is not known here. */
const VP9_LEVELS: readonly [pixels: number, level: string][] = [
  [36_864, '10'],
  [122_880, '20'],
  [552_960, '30'],
  [983_040, '31'],
  [2_228_224, '41'],
  [8_912_896, '51'],
];

function vp9Level(pixels: number): string {
  return VP9_LEVELS.find(([most]) => pixels <= most)?.[1] ?? '61';
}

export function av1Format(sequence: Buffer): PictureFormat | null {
  const reader = new BitReader(sequence.subarray(0, 128));
  const profile = reader.bits(3);
  reader.skip(1);
  const reduced = reader.flag();
  const { level, tier } = reduced ? { level: reader.bits(5), tier: 0 } : av1OperatingPoints(reader);
  const widthBits = reader.bits(4) + 1;
  const heightBits = reader.bits(4) + 1;
  const width = reader.bits(widthBits) + 1;
  const height = reader.bits(heightBits) + 1;
  skipAv1Tools(reader, reduced);
  const high = reader.flag();
  const depth = high ? (profile === 2 && reader.flag() ? 12 : 10) : 8;
  if (reader.overrun) return null;
  const two = (value: number): string => String(value).padStart(2, '0');
  return { codec: `av01.${profile}.${two(level)}${tier === 1 ? 'H' : 'M'}.${two(depth)}`, width, height };
}

/** From `timing_info_present_flag` to the last operating point: level and tier of the first. */
function av1OperatingPoints(reader: BitReader): { level: number; tier: number } {
  let delayBits = 0;
  let hasModel = false;
  if (reader.flag()) {
    reader.skip(64);
    if (reader.flag()) reader.uvlc();
    hasModel = reader.flag();
    if (hasModel) {
      delayBits = reader.bits(5) + 1;
      reader.skip(42);
    }
  }
  const hasDisplayDelay = reader.flag();
  const first = { level: 0, tier: 0 };
  const points = reader.bits(5) + 1;
  for (let i = 0; i < points; i++) {
    reader.skip(12);
    const level = reader.bits(5);
    const tier = level > 7 ? reader.bits(1) : 0;
    if (hasModel && reader.flag()) reader.skip(2 * delayBits + 1);
    if (hasDisplayDelay && reader.flag()) reader.skip(4);
    if (i === 0) Object.assign(first, { level, tier });
  }
  return first;
}

/** From `frame_id_numbers_present_flag` to `enable_restoration` (AV1 §5.5.1). */
function skipAv1Tools(reader: BitReader, reduced: boolean): void {
  if (!reduced && reader.flag()) reader.skip(7);
  reader.skip(3);
  if (!reduced) {
    reader.skip(4);
    const orderHint = reader.flag();
    if (orderHint) reader.skip(2);
    const screenContent = reader.flag() ? 2 : reader.bits(1);
    if (screenContent > 0 && !reader.flag()) reader.skip(1);
    if (orderHint) reader.skip(3);
  }
  reader.skip(3);
}
