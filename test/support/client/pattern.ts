/** What a synthetic publisher sends: rates and sizes, and the frames that keep to them. */
import { H264Frames } from './h264-frames.ts';
import { opusFrame, vp8Frame } from './other-frames.ts';

export interface VideoPattern {
  codec: 'H264' | 'VP8';
  framesPerSecond: number;
  /** On average, without keyframes' extra. */
  packetsPerSecond: number;
  /** Of RTP payload, on average, without keyframes' extra. */
  bitrateBps: number;
  /** Infinity: the first frame only, and when asked. */
  keyframeEveryMs: number;
  /** Multiples of 16; an H.264 keyframe has 1.5 bytes per pixel. */
  width: number;
  height: number;
}

export interface AudioPattern {
  codec: 'opus';
  bitrateBps: number;
}

export const VIDEO: VideoPattern = {
  codec: 'H264',
  framesPerSecond: 30,
  packetsPerSecond: 90,
  bitrateBps: 500_000,
  keyframeEveryMs: 2_000,
  width: 64,
  height: 48,
};

export const AUDIO: AudioPattern = { codec: 'opus', bitrateBps: 48_000 };

/** With `AUDIO`, 355 packets/s and 2.6 Mb/s: the source that the goals were measured with. */
export const BENCH_VIDEO: VideoPattern = {
  ...VIDEO,
  packetsPerSecond: 300,
  bitrateBps: 2_480_000,
  width: 128,
  height: 64,
};

export const OPUS_FRAMES_PER_SECOND = 50;
export const MAX_PAYLOAD_BYTES = 1_160;
/** What each packet of a frame has in front of its part: an FU-A header (RFC 6184) or a VP8 descriptor (RFC 7741). */
const PACKET_HEADER_BYTES = { H264: 2, VP8: 4 } as const;
/** What types, sizes and stop bits add to an H.264 frame: some bytes, and one more for each 255. */
const UNIT_OVERHEAD_BYTES = 8;
const SIZE_BYTE_COUNTS = 255;

/** The packets of one frame, and the RTP time from frame to frame. */
export interface FrameSource {
  readonly clockRate: number;
  readonly framesPerSecond: number;
  next(frame: number, isKeyframe: boolean): Buffer[];
  /**
   * Of a source whose frames are as they are, keyframes among them: when to send and when to show each, from the start.
   * Without it they are evenly spaced, and any can be a keyframe.
   */
  timing?(frame: number): { sendMs: number; presentMs: number; isKeyframe: boolean };
}

export function videoSource(pattern: VideoPattern): FrameSource {
  const { framesPerSecond, width, height } = pattern;
  const h264 = pattern.codec === 'H264' ? new H264Frames(width, height) : null;
  const { packetsPerSecond } = pattern;
  // The slice of a skipped H.264 picture is a packet of its own, next to empty.
  const emptyPackets = h264 === null ? 0 : 1;
  const fullPerSecond = Math.max(framesPerSecond, packetsPerSecond - emptyPackets * framesPerSecond);
  const bytesPerPacket = pattern.bitrateBps / 8 / fullPerSecond;
  const packetsBefore = (frame: number): number => Math.floor((frame * packetsPerSecond) / framesPerSecond);
  const sizeOf = (frame: number): { bytes: number; maxPayload: number } => {
    // A rate that the frames cannot share evenly makes some of them a packet longer.
    const packets = Math.max(1, packetsBefore(frame + 1) - packetsBefore(frame) - emptyPackets);
    const bytes = Math.round(bytesPerPacket * packets);
    const overhead = h264 === null ? 0 : UNIT_OVERHEAD_BYTES + Math.ceil(bytes / SIZE_BYTE_COUNTS);
    const share = Math.ceil((bytes + overhead) / packets) + PACKET_HEADER_BYTES[pattern.codec];
    return { bytes, maxPayload: Math.min(MAX_PAYLOAD_BYTES, share) };
  };
  return {
    clockRate: 90_000,
    framesPerSecond,
    next: (frame, isKeyframe) => {
      const { bytes, maxPayload } = sizeOf(frame);
      return (
        h264?.next(frame, isKeyframe, bytes, maxPayload) ??
        vp8Frame(frame, isKeyframe, { width, height, bytes, maxPayload })
      );
    },
  };
}

export function audioSource(pattern: AudioPattern): FrameSource {
  const bytes = Math.round(pattern.bitrateBps / 8 / OPUS_FRAMES_PER_SECOND);
  return {
    clockRate: 48_000,
    framesPerSecond: OPUS_FRAMES_PER_SECOND,
    next: (frame) => [opusFrame(frame, bytes)],
  };
}
