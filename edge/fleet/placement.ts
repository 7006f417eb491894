/** Which node takes a new publisher: pure, the randomness comes in. */
import type { NodeId } from '../../shared/ids.ts';
import type { NodeSnapshot } from '../rpc.ts';

/** A node that has not been heard of for this long gets nothing new, even if nobody has said that its link is down. */
export const STALE_AFTER_MS = 20_000;

export interface Candidate {
  snapshot: NodeSnapshot;
  /** Sessions sent there since its last report. */
  pending: number;
}

export interface PlacementWish {
  /** Where the viewers of the room are. */
  prefer: NodeId | null;
  exclude: readonly NodeId[];
}

/** Numbers in [0, 1). */
export type TwoRandoms = readonly [number, number];

/**
 * The preferred node when it can take one more, or the better one of two random choices: the least loaded of all would
 * get everything that comes between two reports.
 */
export function place(
  candidates: readonly Candidate[],
  wish: PlacementWish,
  random: TwoRandoms,
  now: number,
): Candidate | null {
  const able = candidates.filter(
    (candidate) => canTake(candidate, now) && !wish.exclude.includes(candidate.snapshot.node),
  );
  const preferred = able.find((candidate) => candidate.snapshot.node === wish.prefer);
  if (preferred !== undefined) return preferred;
  const first = able[Math.floor(random[0] * able.length)];
  // The second is one of the others.
  const others = able.filter((candidate) => candidate !== first);
  const second = others[Math.floor(random[1] * others.length)];
  if (first === undefined || second === undefined) return first ?? null;
  return isLessLoaded(second, first) ? second : first;
}

function canTake(candidate: Candidate, now: number): boolean {
  const { linked, seenAt, capacity } = candidate.snapshot;
  return linked && now - seenAt <= STALE_AFTER_MS && sessionsOf(candidate) < capacity.sessions;
}

function isLessLoaded(a: Candidate, b: Candidate): boolean {
  const byShare = shareOf(a) - shareOf(b);
  return byShare === 0 ? a.snapshot.load.cpu < b.snapshot.load.cpu : byShare < 0;
}

function shareOf(candidate: Candidate): number {
  return sessionsOf(candidate) / candidate.snapshot.capacity.sessions;
}

function sessionsOf(candidate: Candidate): number {
  return candidate.snapshot.load.sessions + candidate.pending;
}
