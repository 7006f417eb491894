/** IVF: VP8, VP9 and AV1, each frame with its length and time. */
import { MediaFileError, type MediaFrame, type MediaTrack, withDuration } from './media-track.ts';
import { type Obu, readObus } from './obu.ts';

const VIDEO_CLOCK_RATE = 90_000;
const MS_PER_S = 1_000;
const FRAME_HEADER_BYTES = 12;
const CODECS: Readonly<Record<string, 'VP8' | 'VP9' | 'AV1'>> = { VP80: 'VP8', VP90: 'VP9', AV01: 'AV1' };
const SEQUENCE_HEADER = 1;
const TEMPORAL_DELIMITER = 2;

/** @throws MediaFileError */
export function readIvf(data: Buffer): MediaTrack {
  if (data.length < 32 || data.toString('latin1', 0, 4) !== 'DKIF') throw new MediaFileError('it is no IVF');
  const fourcc = data.toString('latin1', 8, 12);
  const codec = CODECS[fourcc];
  if (codec === undefined) throw new MediaFileError(`IVF with ${fourcc}: of VP80, VP90, AV01`);
  // Time is counted in units of scale / rate seconds.
  const unitMs = (MS_PER_S * data.readUInt32LE(20)) / data.readUInt32LE(16);
  const frames: MediaFrame[] = [];
  for (let at = data.readUInt16LE(6); at + FRAME_HEADER_BYTES <= data.length; ) {
    const size = data.readUInt32LE(at);
    const sendMs = Number(data.readBigUInt64LE(at + 4)) * unitMs;
    const frame = data.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + size);
    at += FRAME_HEADER_BYTES + size;
    if (frame.length < size) break;
    const times = { sendMs, presentMs: sendMs };
    if (codec === 'AV1') {
      const obus = readObus(frame).filter(({ type }) => type !== TEMPORAL_DELIMITER);
      if (obus.length > 0)
        frames.push({ ...times, parts: obus.map(({ bytes }) => bytes), isKeyframe: hasSequence(obus) });
    } else if (size > 0) {
      frames.push({
        ...times,
        parts: [frame],
        isKeyframe: codec === 'VP8' ? isVp8Keyframe(frame) : isVp9Keyframe(frame),
      });
    }
  }
  return withDuration(codec, VIDEO_CLOCK_RATE, frames);
}

function hasSequence(obus: readonly Obu[]): boolean {
  return obus.some(({ type }) => type === SEQUENCE_HEADER);
}

/** RFC 6386 §9.1 */
function isVp8Keyframe(frame: Buffer): boolean {
  return ((frame[0] ?? 1) & 1) === 0;
}

/** The uncompressed header of VP9: marker, profile, show_existing_frame, frame_type. */
function isVp9Keyframe(frame: Buffer): boolean {
  const first = frame[0] ?? 0;
  const profile3 = ((first >> 4) & 3) === 3;
  const shown = (first >> (profile3 ? 2 : 3)) & 1;
  return shown === 0 && ((first >> (profile3 ? 1 : 2)) & 1) === 0;
}
