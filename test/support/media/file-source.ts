/** The frames of a file as a publisher's source: over and over, with times that go on. */
import type { FrameSource } from '../client/pattern.ts';
import type { MediaTrack } from './media-track.ts';
import { packetize } from './packetize.ts';

const MS_PER_S = 1_000;

/** @param loopMs the same for all tracks of a file, so that sound and picture stay together: the longer one's */
export function fileSource(track: MediaTrack, loopMs: number): FrameSource {
  const { frames, clockRate, codec } = track;
  const at = (frame: number) => {
    const found = frames[frame % frames.length];
    if (found === undefined) throw new RangeError('a track without frames');
    return { found, loopStartMs: Math.floor(frame / frames.length) * loopMs };
  };
  return {
    clockRate,
    framesPerSecond: (frames.length * MS_PER_S) / loopMs,
    next: (frame) => packetize(codec, at(frame).found, frame),
    timing: (frame) => {
      const { found, loopStartMs } = at(frame);
      return {
        sendMs: loopStartMs + found.sendMs,
        presentMs: loopStartMs + found.presentMs,
        isKeyframe: found.isKeyframe,
      };
    },
  };
}
