/**
 * Which node takes a publisher or a viewer: pure, the randomness and the clock come in.
 *
 * Every node that can take one more has a price in kilometres: how far it is, more when it is crowded, more when the tracks
 * would have to be relayed to it first. Of those that cost about as little as the cheapest, the less loaded of two random
 * ones is taken: the least loaded of all would get everything that comes between two reports.
 */
import type { BootId, NodeId } from '../../shared/ids.ts';
import { CONTROL_PROTOCOL_VERSION, type Coordinates, FLEET_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { closeness, closenessAt, kmBetween, type UnitVector, unitVector } from './geography.ts';
import type { NodeSnapshot } from './rpc.ts';

/** A node that has not been heard of for this long gets nothing new, even if nobody has said that its link is down. */
export const STALE_AFTER_MS = 20_000;
/** So much farther a viewer goes rather than have the tracks relayed to another node: a hop costs about as much delay. */
export const RELAY_KM = 500;
/** Nodes whose prices differ by no more than this are equally good: a millisecond of light in glass, there and back. */
export const TIE_KM = 150;
/** A node that does not say where it is, seen from a client whose place is known: on another continent, perhaps. */
export const UNKNOWN_KM = 4_000;
/** Below this share of its capacity a node is not crowded at all; from there on the price grows to `FULL_KM`. */
export const CROWDED_SHARE = 0.7;
/** A full processor alone never refuses: busy seconds pass, and where there is only one node it is better than none. */
export const FULL_KM = 5_000;

export interface Candidate {
  readonly snapshot: NodeSnapshot;
  /** Null: nobody knows where it is. */
  readonly where: UnitVector | null;
  /** Sessions sent there since its last report. */
  pending: number;
}

/** Numbers in [0, 1). */
export type TwoRandoms = readonly [number, number];

export interface ViewerWish {
  /** Where the viewer is; null: not known, all nodes are equally far. */
  near: Coordinates | null;
  /** Nodes that have the tracks, or will have them in a moment. */
  carrying: ReadonlySet<NodeId>;
  /** Nodes that have just turned out to be unreachable or full. */
  exclude: readonly NodeId[];
  /** False: no relay can be had (the nodes that carry the tracks are too old, the tree is as deep as it may be). */
  mayRelay: boolean;
}

export interface PublisherWish {
  near: Coordinates | null;
  /** Where the viewers of the room are: taken before all others when it can take one more. */
  prefer: NodeId | null;
  exclude: readonly NodeId[];
}

export interface Placed {
  node: NodeId;
  boot: BootId;
  /** False: a relay has to bring the tracks first. */
  carries: boolean;
  /** Null when one of the two places is not known. */
  km: number | null;
  candidate: Candidate;
}

export function candidateOf(snapshot: NodeSnapshot, pending = 0): Candidate {
  return { snapshot, where: snapshot.coordinates === null ? null : unitVector(snapshot.coordinates), pending };
}

/** Null: nothing fits, which is 503 with Retry-After for the client. */
export function placeViewer(
  candidates: readonly Candidate[],
  wish: ViewerWish,
  randoms: TwoRandoms,
  now: number,
): Placed | null {
  const { carrying, exclude, mayRelay } = wish;
  return cheapest(candidates, wish.near, randoms, (candidate) => {
    const { node, protocol } = candidate.snapshot;
    if (!canTake(candidate, now) || exclude.includes(node)) return null;
    if (carrying.has(node)) return { surchargeKm: 0, carries: true };
    return mayRelay && protocol >= FLEET_PROTOCOL_VERSION ? { surchargeKm: RELAY_KM, carries: false } : null;
  });
}

/** Null: nothing fits. */
export function placePublisher(
  candidates: readonly Candidate[],
  wish: PublisherWish,
  randoms: TwoRandoms,
  now: number,
): Placed | null {
  const able = { surchargeKm: 0, carries: false };
  const judge = (candidate: Candidate) =>
    canTake(candidate, now) && !wish.exclude.includes(candidate.snapshot.node) ? able : null;
  const preferred = candidates.find((candidate) => candidate.snapshot.node === wish.prefer);
  if (preferred !== undefined && judge(preferred) !== null) {
    return placed(preferred, wish.near === null ? null : unitVector(wish.near), false);
  }
  return cheapest(candidates, wish.near, randoms, judge);
}

/** Never a stale, full, draining or version-incompatible node. */
export function canTake(candidate: Candidate, now: number): boolean {
  const { linked, draining, seenAt, protocol, capacity } = candidate.snapshot;
  return (
    linked &&
    !draining &&
    now - seenAt <= STALE_AFTER_MS &&
    Math.abs(protocol - CONTROL_PROTOCOL_VERSION) <= 1 &&
    candidate.snapshot.load.sessions + candidate.pending < capacity.sessions &&
    trafficShare(candidate) < 1
  );
}

/** The most used of what a node has: sessions, packets, bandwidth, processor. 1: all of it. */
export function shareOf(candidate: Candidate): number {
  const { capacity, load } = candidate.snapshot;
  const bySessions = (load.sessions + candidate.pending) / capacity.sessions;
  return Math.max(bySessions, trafficShare(candidate), load.cpu);
}

interface Verdict {
  surchargeKm: number;
  carries: boolean;
}

function cheapest(
  candidates: readonly Candidate[],
  near: Coordinates | null,
  [first, second]: TwoRandoms,
  judge: (candidate: Candidate) => Verdict | null,
): Placed | null {
  const from = near === null ? null : unitVector(near);
  const able: { candidate: Candidate; priceKm: number; carries: boolean }[] = [];
  let bestKm = Number.POSITIVE_INFINITY;
  let farthest = -2;
  for (const candidate of candidates) {
    // Too far whatever else is said for it: of a thousand nodes most are passed over here.
    if (from !== null && candidate.where !== null && closeness(from, candidate.where) < farthest) continue;
    const verdict = judge(candidate);
    if (verdict === null) continue;
    const priceKm = (kmFrom(from, candidate) ?? UNKNOWN_KM) + verdict.surchargeKm + crowdedKm(candidate);
    if (priceKm < bestKm) {
      bestKm = priceKm;
      farthest = closenessAt(bestKm + TIE_KM);
    }
    if (priceKm <= bestKm + TIE_KM) able.push({ candidate, priceKm, carries: verdict.carries });
  }
  const cheap = able.filter(({ priceKm }) => priceKm <= bestKm + TIE_KM);
  // Where it makes no difference to the viewer, a relay is not worth having.
  const equal = cheap.some(({ carries }) => carries) ? cheap.filter(({ carries }) => carries) : cheap;
  const one = equal[Math.floor(first * equal.length)];
  if (one === undefined) return null;
  // The second is one of the others.
  const others = equal.filter((other) => other !== one);
  const two = others[Math.floor(second * others.length)];
  const chosen = two !== undefined && shareOf(two.candidate) < shareOf(one.candidate) ? two : one;
  return placed(chosen.candidate, from, chosen.carries);
}

function placed(candidate: Candidate, from: UnitVector | null, carries: boolean): Placed {
  const { node, boot } = candidate.snapshot;
  const km = from === null ? null : kmFrom(from, candidate);
  return { node, boot, carries, km, candidate };
}

/** A client whose place is not known is equally far from all; null: the node's place is not known. */
function kmFrom(from: UnitVector | null, candidate: Candidate): number | null {
  if (from === null) return 0;
  return candidate.where === null ? null : kmBetween(from, candidate.where);
}

function crowdedKm(candidate: Candidate): number {
  const beyond = Math.min(1, (shareOf(candidate) - CROWDED_SHARE) / (1 - CROWDED_SHARE));
  return beyond <= 0 ? 0 : FULL_KM * beyond * beyond;
}

/** Packets or bandwidth, whichever is scarcer, with what is on its way; 0 when the node does not say what it has. */
function trafficShare(candidate: Candidate): number {
  const { capacity, load } = candidate.snapshot;
  const growth = load.sessions === 0 ? 1 : (load.sessions + candidate.pending) / load.sessions;
  const packets = capacity.packetsPerSecond === undefined ? 0 : load.packetsPerSecond / capacity.packetsPerSecond;
  const bits = 8 * (load.bytesOutPerSecond ?? 0);
  const bandwidth = capacity.bandwidthBps === undefined ? 0 : bits / capacity.bandwidthBps;
  return Math.max(packets, bandwidth) * growth;
}
