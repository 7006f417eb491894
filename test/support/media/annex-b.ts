/** H.264 as a bare byte stream (ITU-T H.264 Annex B): NAL units between start codes, without any time. */
import { MediaFileError, type MediaFrame, type MediaTrack } from './media-track.ts';

const VIDEO_CLOCK_RATE = 90_000;
const MS_PER_S = 1_000;
const SLICE = 1;
const IDR = 5;
const SEI = 6;
const SPS = 7;
const PPS = 8;
const DELIMITER = 9;

export function nalUnits(data: Buffer): Buffer[] {
  const units: Buffer[] = [];
  let start = -1;
  for (let at = 0; at + 2 < data.length; at++) {
    if (data[at] !== 0 || data[at + 1] !== 0 || data[at + 2] !== 1) continue;
    if (start >= 0) units.push(trimmed(data.subarray(start, at)));
    start = at + 3;
    at += 2;
  }
  if (start >= 0) units.push(trimmed(data.subarray(start)));
  return units.filter(({ length }) => length > 0);
}

/** Zeros before the next start code belong to nobody. */
function trimmed(unit: Buffer): Buffer {
  let end = unit.length;
  while (end > 0 && unit[end - 1] === 0) end--;
  return unit.subarray(0, end);
}

/** @throws MediaFileError */
export function readAnnexB(data: Buffer, framesPerSecond: number): MediaTrack {
  const frames: MediaFrame[] = [];
  let parts: Buffer[] = [];
  let hasSlice = false;
  let isKeyframe = false;
  const end = (): void => {
    if (hasSlice) {
      const sendMs = (frames.length * MS_PER_S) / framesPerSecond;
      frames.push({ parts, isKeyframe, sendMs, presentMs: sendMs });
    }
    if (hasSlice) parts = [];
    hasSlice = isKeyframe = false;
  };
  for (const unit of nalUnits(data)) {
    const type = (unit[0] ?? 0) & 0x1f;
    const isSlice = type >= SLICE && type <= IDR;
    // The first macroblock of a picture is number 0, which is a single set bit (§7.3.3, §9.1).
    const beginsPicture = isSlice ? ((unit[1] ?? 0) & 0x80) !== 0 : [SEI, SPS, PPS, DELIMITER].includes(type);
    if (beginsPicture && hasSlice) end();
    if (type === DELIMITER) continue;
    parts.push(unit);
    hasSlice ||= isSlice;
    isKeyframe ||= type === IDR;
  }
  end();
  if (frames.length === 0) throw new MediaFileError('no H.264 picture in it');
  return {
    codec: 'H264',
    clockRate: VIDEO_CLOCK_RATE,
    frames,
    durationMs: (frames.length * MS_PER_S) / framesPerSecond,
  };
}
