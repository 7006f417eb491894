/** What a file format must be able to do, so that a file can be played up to its last segment at any moment. */
import type { CodecName } from '../../negotiate/plan.ts';

export interface ContainerTrack {
  kind: 'audio' | 'video';
  codec: CodecName;
  /** Units per second of the times in the file. */
  timescale: number;
}

/** A picture or a packet of sound with its place in the file. */
export interface Sample {
  data: readonly Buffer[];
  bytes: number;
  /** Since the start of the file, in units of the track's timescale; grows from sample to sample. */
  time: number;
  duration: number;
  key: boolean;
}

export interface Patch {
  position: number;
  data: Buffer;
}

/**
 * Writes one file. All that it returns is appended in order; nothing behind the first part of an upload changes later.
 */
export interface Container {
  readonly extension: 'mp4' | 'webm';
  /** The start of the file. */
  readonly header: Buffer;
  /** @param position where it will be in the file. @param tracks samples of each track, in the order of the tracks */
  segment(position: number, tracks: readonly (readonly Sample[])[]): Buffer[];
  /** What is appended at the end, and what changes in the header then. */
  finish(position: number): { trailer: Buffer; patches: Patch[] };
  /** Of what was written so far, seconds. */
  readonly durationS: number;
}
