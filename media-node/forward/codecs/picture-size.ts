/** How large the pictures of a stream are, seen from the first RTP packet of a keyframe alone. */
import type { CodecName } from '../../negotiate/plan.ts';
import { av1SequenceHeader, obuContent } from './av1.ts';
import { h264ParameterSet } from './h264.ts';
import { h265ParameterSet } from './h265.ts';
import {
  av1Format,
  h264Format,
  h265Format,
  hasVp8StartCode,
  type PictureFormat,
  vp8Format,
  vp9Format,
} from './picture-headers.ts';
import { vp8DescriptorLength } from './vp8.ts';
import { vp9DescriptorLength } from './vp9.ts';

/** Null when this packet does not say: its parameter sets came before it, or it is damaged. Never throws. */
export function pictureSize(codec: CodecName, payload: Buffer): { width: number; height: number } | null {
  const format = readFormat(codec, payload);
  return format === null || format.width <= 0 || format.height <= 0 ? null : format;
}

function readFormat(codec: CodecName, payload: Buffer): PictureFormat | null {
  switch (codec) {
    case 'H264':
      return readUnit(h264ParameterSet(payload), h264Format);
    case 'H265':
      return readUnit(h265ParameterSet(payload), h265Format);
    case 'VP8':
      return vp8Size(payload.subarray(vp8DescriptorLength(payload)));
    case 'VP9':
      return vp9Format(payload.subarray(vp9DescriptorLength(payload)));
    case 'AV1': {
      const header = av1SequenceHeader(payload);
      return readUnit(header === null ? null : obuContent(header), av1Format);
    }
    case 'opus':
    case 'PCMU':
    case 'PCMA':
      return null;
  }
}

function vp8Size(frame: Buffer): PictureFormat | null {
  return hasVp8StartCode(frame) ? vp8Format(frame) : null;
}

function readUnit(unit: Buffer | null, read: (unit: Buffer) => PictureFormat | null): PictureFormat | null {
  return unit === null ? null : read(unit);
}
