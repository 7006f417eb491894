/** Encoded media of a file as it is sent over and over: what to send, and when. */

export type MediaCodec = 'H264' | 'VP8' | 'VP9' | 'AV1' | 'opus';

export interface MediaFrame {
  /** H.264: its NAL units without start codes; AV1: its OBUs without sizes; else one. */
  parts: readonly Buffer[];
  isKeyframe: boolean;
  /** When to send it, from the start of the file. */
  sendMs: number;
  /** When to show it; later than `sendMs` where frames are reordered. */
  presentMs: number;
}

export interface MediaTrack {
  codec: MediaCodec;
  /** RTP. */
  clockRate: number;
  frames: readonly MediaFrame[];
  /** Of all frames, the last one's own length included. */
  durationMs: number;
}

export interface MediaFile {
  video: MediaTrack | null;
  audio: MediaTrack | null;
}

/** The file is none of its kind, or has nothing that can be sent. The message is for whoever named the file. */
export class MediaFileError extends Error {
  override readonly name = 'MediaFileError';
}

/** Frames that are evenly spaced where their container tells no length: the mean of what is between them. */
export function withDuration(codec: MediaCodec, clockRate: number, frames: readonly MediaFrame[]): MediaTrack {
  const [first] = frames;
  const last = frames.at(-1);
  if (first === undefined || last === undefined) throw new MediaFileError('there is no frame in it');
  const spanMs = last.sendMs - first.sendMs;
  const frameMs = frames.length > 1 ? spanMs / (frames.length - 1) : 1_000 / 30;
  const moved = frames.map((frame) => ({
    ...frame,
    sendMs: frame.sendMs - first.sendMs,
    presentMs: frame.presentMs - first.sendMs,
  }));
  return { codec, clockRate, frames: moved, durationMs: spanMs + frameMs };
}
