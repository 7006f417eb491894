/** Where a decoder can start, seen from an RTP payload alone. */
import type { CodecName } from '../../negotiate/plan.ts';
import { isAv1KeyframeStart } from './av1.ts';
import { isH264KeyframeStart } from './h264.ts';
import { isH265KeyframeStart } from './h265.ts';
import { isVp8KeyframeStart } from './vp8.ts';
import { isVp9KeyframeStart } from './vp9.ts';

/**
 * Whether the RTP payload (without padding) is the first packet of a frame that needs no earlier one. A keyframe of
 * H.264 or H.265 may have several such packets (parameter sets, then the picture), all of one timestamp. Audio can
 * start anywhere: always true.
 */
export function isKeyframeStart(codec: CodecName, payload: Buffer): boolean {
  switch (codec) {
    case 'H264':
      return isH264KeyframeStart(payload);
    case 'H265':
      return isH265KeyframeStart(payload);
    case 'VP8':
      return isVp8KeyframeStart(payload);
    case 'VP9':
      return isVp9KeyframeStart(payload);
    case 'AV1':
      return isAv1KeyframeStart(payload);
    case 'opus':
    case 'PCMU':
    case 'PCMA':
      return true;
  }
}
