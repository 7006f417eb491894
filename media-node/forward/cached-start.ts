/**
 * Decides what of a stream's ring a new viewer can be started with.
 */
import type { IngressStream } from './ingress-stream.ts';

/** A packet that is missing for longer than this will not come any more. */
const RECOVERY_MS = 400;

export interface CachedStart {
  /** First packet of the keyframe. */
  first: number;
  /**
   * From this packet on timestamps are true; frames before it are history and get compressed ones. The packet starts a
   * frame: the newest, or the first with a packet that may still be recovered.
   */
  join: number;
  /** Frames before `join`. */
  frames: number;
  /** Not null: the packets from here on cannot be decoded (one is lost for good), so only those before are of use. */
  end: number | null;
}

/** Null when there is no keyframe in the ring, it is not whole, or the GOP is larger than the cache may be. */
export function findCachedStart(stream: IngressStream, nowMs: number): CachedStart | null {
  const { ring, keyframeSequence: first, highest } = stream;
  if (first < 0 || stream.cacheBytes === 0 || !ring.has(first) || ring.bytesSince(first) > stream.cacheBytes)
    return null;
  let frameStart = first;
  let frames = 0;
  let timestamp = ring.timestampOf(first);
  for (let sequence = first + 1; sequence <= highest; sequence++) {
    if (!ring.has(sequence)) {
      if (missingSince(stream, sequence) + RECOVERY_MS > nowMs) return { first, join: frameStart, frames, end: null };
      return frames === 0 ? null : { first, join: frameStart, frames, end: frameStart };
    }
    const next = ring.timestampOf(sequence);
    if (next === timestamp) continue;
    timestamp = next;
    frameStart = sequence;
    frames++;
  }
  return { first, join: frameStart, frames, end: null };
}

/** When the first packet after a missing one came. */
function missingSince(stream: IngressStream, sequence: number): number {
  let next = sequence + 1;
  while (!stream.ring.has(next)) next++; // ends at `highest` at the latest
  return stream.ring.arrivalOf(next);
}
