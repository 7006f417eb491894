/** What somebody who looks at a picture would notice: how many frames there are, and how long it stands still. */
import { type WrtcTrack, wrtc } from '../wrtc.ts';

export interface Pictures {
  /** Counts from now on. */
  reset(): void;
  seen(): { frames: number; longestGapMs: number };
  stop(): void;
}

export function watchPictures(track: WrtcTrack): Pictures {
  const sink = new wrtc.nonstandard.RTCVideoSink(track);
  let frames = 0;
  let longestGapMs = 0;
  let lastMs = performance.now();
  const note = (): void => {
    const nowMs = performance.now();
    longestGapMs = Math.max(longestGapMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  sink.onframe = () => {
    frames += 1;
    note();
  };
  return {
    reset: () => {
      note();
      frames = 0;
      longestGapMs = 0;
    },
    seen: () => {
      // A picture that stands still now counts too.
      const stillMs = performance.now() - lastMs;
      return { frames, longestGapMs: Math.max(longestGapMs, stillMs) };
    },
    stop: () => sink.stop(),
  };
}
