/**
 * H.264 pictures without an encoder, and yet decodable: an IDR picture is made of I_PCM macroblocks of one colour, the
 * pictures after it skip every macroblock, and an SEI message (user data) in front of them brings any frame to any size.
 */
import { BitWriter } from './bit-writer.ts';
import { frameMarker, MARKER_BYTES } from './frame-marker.ts';

const MACROBLOCK = 16;
const LUMA_SAMPLES = 256;
const CHROMA_SAMPLES = 128;
const SLICE_I = 7;
const SLICE_P = 5;
const MB_TYPE_I_PCM = 25;
const FRAME_NUMBER_BITS = 4;
const NAL = { slice: 0x41, idr: 0x65, sei: 0x06, sps: 0x67, pps: 0x68 } as const;
const SEI_USER_DATA_UNREGISTERED = 5;
/** Never zero, so that filling needs no emulation prevention. */
const FILLER = 0x55;
const CHROMA_LEVEL = 128;
const STAP_A = 24;
const FU_A = 28;
const NRI_MASK = 0x60;
const TYPE_MASK = 0x1f;

/** Baseline, level 3.1. */
export const H264_FMTP = 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f';

export class H264Frames {
  readonly #macroblocks: number;
  readonly #parameterSets: Buffer;
  /** Consecutive IDR pictures must differ in `idr_pic_id`. */
  readonly #idrs: readonly Buffer[];
  #idrCount = 0;
  #frameNumber = 0;

  /** @param width, height multiples of 16 */
  constructor(width: number, height: number) {
    const columns = width / MACROBLOCK;
    const rows = height / MACROBLOCK;
    this.#macroblocks = columns * rows;
    this.#parameterSets = stapA([sequenceParameterSet(columns, rows), pictureParameterSet()]);
    this.#idrs = [0, 1].map((id) => idrSlice(id, this.#macroblocks));
  }

  /** RTP payloads (RFC 6184) of the next picture, of at least `bytes` together, none longer than `maxPayload`. */
  next(frame: number, isKeyframe: boolean, bytes: number, maxPayload: number): Buffer[] {
    if (isKeyframe) {
      this.#frameNumber = 0;
      const idr = this.#idrs[this.#idrCount++ % this.#idrs.length] as Buffer;
      const filler = bytes - idr.length - this.#parameterSets.length;
      return [this.#parameterSets, ...fragment(sei(frame, filler), maxPayload), ...fragment(idr, maxPayload)];
    }
    this.#frameNumber = (this.#frameNumber + 1) % 2 ** FRAME_NUMBER_BITS;
    const slice = skippedSlice(this.#frameNumber, this.#macroblocks);
    return [...fragment(sei(frame, bytes - slice.length), maxPayload), slice];
  }
}

function sequenceParameterSet(columns: number, rows: number): Buffer {
  return new BitWriter()
    .fixed(66, 8) // profile_idc: Baseline
    .fixed(0xe0, 8) // constraint_set0..2
    .fixed(31, 8) // level_idc
    .unsigned(0) // seq_parameter_set_id
    .unsigned(FRAME_NUMBER_BITS - 4)
    .unsigned(2) // pic_order_cnt_type: output in decoding order
    .unsigned(1) // max_num_ref_frames
    .fixed(0, 1) // gaps_in_frame_num_value_allowed_flag
    .unsigned(columns - 1)
    .unsigned(rows - 1)
    .fixed(1, 1) // frame_mbs_only_flag
    .fixed(1, 1) // direct_8x8_inference_flag
    .fixed(0, 2) // no cropping, no VUI
    .nalUnit(NAL.sps);
}

function pictureParameterSet(): Buffer {
  return new BitWriter()
    .unsigned(0) // pic_parameter_set_id
    .unsigned(0) // seq_parameter_set_id
    .fixed(0, 2) // CAVLC, no bottom_field_pic_order
    .unsigned(0) // one slice group
    .unsigned(0) // num_ref_idx_l0_default_active_minus1
    .unsigned(0) // num_ref_idx_l1_default_active_minus1
    .fixed(0, 3) // no weighted prediction
    .zero() // pic_init_qp_minus26
    .zero() // pic_init_qs_minus26
    .zero() // chroma_qp_index_offset
    .fixed(0, 3) // no deblocking control, constrained intra prediction or redundant pictures
    .nalUnit(NAL.pps);
}

function idrSlice(idrPictureId: number, macroblocks: number): Buffer {
  const bits = new BitWriter()
    .unsigned(0) // first_mb_in_slice
    .unsigned(SLICE_I)
    .unsigned(0) // pic_parameter_set_id
    .fixed(0, FRAME_NUMBER_BITS)
    .unsigned(idrPictureId)
    .fixed(0, 2) // dec_ref_pic_marking
    .zero(); // slice_qp_delta
  for (let macroblock = 0; macroblock < macroblocks; macroblock++) {
    const luma = 16 + ((macroblock * 8) % 220);
    bits.unsigned(MB_TYPE_I_PCM).align().fill(luma, LUMA_SAMPLES).fill(CHROMA_LEVEL, CHROMA_SAMPLES);
  }
  return bits.nalUnit(NAL.idr);
}

function skippedSlice(frameNumber: number, macroblocks: number): Buffer {
  return new BitWriter()
    .unsigned(0) // first_mb_in_slice
    .unsigned(SLICE_P)
    .unsigned(0) // pic_parameter_set_id
    .fixed(frameNumber, FRAME_NUMBER_BITS)
    .fixed(0, 3) // no override, reordering or adaptive marking
    .zero() // slice_qp_delta
    .unsigned(macroblocks) // mb_skip_run
    .nalUnit(NAL.slice);
}

/** User data: the frame's number as its UUID and first bytes, then filler. */
function sei(frame: number, bytes: number): Buffer {
  const filler = Math.max(0, bytes - MARKER_BYTES);
  const size = MARKER_BYTES + filler;
  const sizeBytes = [...Array.from({ length: Math.floor(size / 255) }, () => 0xff), size % 255];
  return Buffer.concat([
    Buffer.from([NAL.sei, SEI_USER_DATA_UNREGISTERED, ...sizeBytes]),
    frameMarker(frame),
    Buffer.alloc(filler, FILLER),
    Buffer.from([0x80]),
  ]);
}

function stapA(units: readonly Buffer[]): Buffer {
  const parts = units.flatMap((unit) => [Buffer.from([unit.length >> 8, unit.length & 0xff]), unit]);
  return Buffer.concat([Buffer.from([NRI_MASK | STAP_A]), ...parts]);
}

/** One packet, or fragments of about equal size (RFC 6184 §5.8). */
function fragment(unit: Buffer, maxPayload: number): Buffer[] {
  if (unit.length <= maxPayload) return [unit];
  const header = unit[0] as number;
  const body = unit.subarray(1);
  const count = Math.ceil(body.length / (maxPayload - 2));
  const size = Math.ceil(body.length / count);
  return Array.from({ length: count }, (_, index) => {
    const start = index === 0 ? 0x80 : 0;
    const end = index === count - 1 ? 0x40 : 0;
    const fuHeader = start | end | (header & TYPE_MASK);
    const part = body.subarray(index * size, (index + 1) * size);
    return Buffer.concat([Buffer.from([(header & NRI_MASK) | FU_A, fuHeader]), part]);
  });
}
