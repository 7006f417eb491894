/** A picture as a file wants it. */
import type { CodecName } from '../../negotiate/plan.ts';
import type { Picture } from './depacketiser.ts';

const START_CODE = Buffer.from([0, 0, 0, 1]);

/** NAL units behind their lengths (MP4); all else as it is. */
export function sampleData(codec: CodecName, { units }: Picture): Buffer[] {
  if (codec !== 'H264' && codec !== 'H265') return units;
  return units.flatMap((nal) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(nal.length);
    return [length, nal];
  });
}

/** NAL units behind start codes (H.264 annex B); all else as it is. */
export function streamData(codec: CodecName, { units }: Picture): Buffer {
  if (codec !== 'H264' && codec !== 'H265') return Buffer.concat(units);
  return Buffer.concat(units.flatMap((nal) => [START_CODE, nal]));
}
