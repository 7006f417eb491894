/** H.264 out of FLV, which ffmpeg writes of every container that has it: with times, and without start codes. */
import { FLV_VIDEO, FlvReader, isKeyframe, isSequenceHeader } from '../../../media-node/push/flv-reader.ts';
import { type MediaFrame, type MediaTrack, withDuration } from './media-track.ts';

const VIDEO_CLOCK_RATE = 90_000;
const TAG_BYTES = 5;
const LENGTH_BYTES = 4;

/** @throws MediaFileError when there is no picture in it */
export function readFlvVideo(data: Buffer): MediaTrack {
  let parameterSets: Buffer[] = [];
  const frames: MediaFrame[] = [];
  for (const tag of new FlvReader().push(data)) {
    if (tag.type !== FLV_VIDEO || tag.payload.length <= TAG_BYTES) continue;
    const body = tag.payload.subarray(TAG_BYTES);
    if (isSequenceHeader(tag)) {
      parameterSets = readParameterSets(body);
      continue;
    }
    const units: Buffer[] = [];
    for (let at = 0; at + LENGTH_BYTES <= body.length; ) {
      const length = body.readUInt32BE(at);
      units.push(body.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length));
      at += LENGTH_BYTES + length;
    }
    const parts = isKeyframe(tag) ? [...parameterSets, ...units] : units;
    const presentMs = tag.timestampMs + tag.payload.readIntBE(2, 3);
    frames.push({ parts, isKeyframe: isKeyframe(tag), sendMs: tag.timestampMs, presentMs });
  }
  return withDuration('H264', VIDEO_CLOCK_RATE, frames);
}

/** Of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1). */
function readParameterSets(record: Buffer): Buffer[] {
  const sets: Buffer[] = [];
  let at = 5;
  for (const mask of [0x1f, 0xff]) {
    const count = record.readUInt8(at++) & mask;
    for (let i = 0; i < count; i++) {
      const length = record.readUInt16BE(at);
      sets.push(record.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
  }
  return sets;
}
