/** What a container must know of a video before its first picture: read from that keyframe. */
import {
  av1Format,
  h264Format,
  h265Format,
  type PictureFormat,
  vp8Format,
  vp9Format,
} from '../../forward/codecs/picture-headers.ts';
import type { CodecName } from '../../negotiate/plan.ts';
import { AV1_SEQUENCE_HEADER, obuPayload, obuType } from './av1-depacketiser.ts';
import type { Picture } from './depacketiser.ts';
import { H264_SPS, H265_SPS, h264Type, h265Type } from './h26x-depacketiser.ts';

export type { PictureFormat };

/** Null when the keyframe does not say: no parameter sets, or broken ones. */
export function pictureFormat(codec: CodecName, key: Picture): PictureFormat | null {
  const format = read(codec, key);
  return format === null || format.width <= 0 || format.height <= 0 ? null : format;
}

function read(codec: CodecName, { units }: Picture): PictureFormat | null {
  const [first] = units;
  if (first === undefined) return null;
  switch (codec) {
    case 'H264': {
      const sps = units.find((nal) => h264Type(nal) === H264_SPS);
      return sps === undefined ? null : h264Format(sps);
    }
    case 'H265': {
      const sps = units.find((nal) => h265Type(nal) === H265_SPS);
      return sps === undefined ? null : h265Format(sps);
    }
    case 'VP8':
      return vp8Format(first);
    case 'VP9':
      return vp9Format(first);
    case 'AV1': {
      const obu = units.find((unit) => obuType(unit) === AV1_SEQUENCE_HEADER);
      const sequence = obu === undefined ? null : obuPayload(obu);
      return sequence === null ? null : av1Format(sequence);
    }
    default:
      return null;
  }
}
