/**
 * Members who move to another node: a session that is to take the place of another of the same user, beside which it is
 * opened. Both are members of the lobby until the former is left, which is at the latest a while after the new one stands;
 * whichever of the two ends, the other goes on.
 *
 *   successor:  opening ──► connecting ──connected──► stands ──the other has gone, or the time is over──► a member as others
 *                  └────────────┴── failed, too late, or the other one left meanwhile ──► gone
 */
import type { Problem } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import type { Lineage } from '../../shared/protocol/control.ts';
import { NO_SESSION, NOT_YOUR_SESSION, SESSION_EXISTS } from './stream-problems.ts';
import { lineageOf, type Member } from './stream-state.ts';
import type { StreamTurn } from './stream-turn.ts';

/** From its answer until it has to be connected. */
export const SUCCESSOR_DEADLINE_MS = 15_000;
/** A client that gives the move up does so sooner: ours 15 s after its POST, which was a while before this begins. */
export const HANDOVER_MS = 15_000;

interface Joining {
  user: string;
  fixed: boolean;
  replaces?: SessionId | null;
}

type Place = { problem: Problem } | { problem: null; lineage: Lineage | null; replaces: Member['replaces'] };

/**
 * The place that is free for a session: the only one of its user, or beside the one that it is to replace. That one has to be
 * there: who was sent out, or has left, does not come back this way.
 */
export function placeFor(turn: StreamTurn, { user, fixed, replaces = null }: Joining): Place {
  const own = turn.members.filter((member) => member.user === user && member.fixed === fixed);
  if (replaces === null) {
    return own.length > 0 ? { problem: SESSION_EXISTS } : { problem: null, lineage: null, replaces: null };
  }
  const replaced = turn.member(replaces);
  if (replaced === null || replaced.phase === 'opening') return { problem: NO_SESSION };
  if (!own.includes(replaced)) return { problem: NOT_YOUR_SESSION };
  // The one that carries the member is not given up for one that never has.
  if (replaced.replaces !== null && !stands(replaced)) return { problem: SESSION_EXISTS };
  // Who asks again has given up the last try, or never heard of it.
  for (const other of own) if (other !== replaced) turn.remove(other, true);
  return { problem: null, lineage: lineageOf(replaced), replaces: { session: replaces, until: null } };
}

/** Its user has left by the session that it was to replace: it is not to appear any more. One that stands goes on. */
export function endUnfinished(turn: StreamTurn, { session }: Member): void {
  for (const member of turn.members) {
    // Of a machine nobody can tell whether it has left or moved.
    if (member.replaces?.session === session && !member.fixed && !stands(member)) turn.remove(member, true);
  }
}

/** The time of those who have two sessions is over: the new one stays if it is well, the old one if only that is. */
export function endHandovers(turn: StreamTurn): void {
  for (const { session } of turn.members) {
    const member = turn.member(session);
    if (member === null || member.replaces === null || (member.replaces.until ?? turn.now + 1) > turn.now) continue;
    const replaced = turn.member(member.replaces.session);
    if (replaced === null) continue;
    if (member.phase === 'live') turn.remove(replaced, true);
    else if (replaced.phase === 'live') turn.remove(member, true);
    // Nobody knows by which of them the member comes back: each has its own grace.
    else turn.update({ ...member, replaces: { ...member.replaces, until: turn.now + HANDOVER_MS } });
  }
}

/** At the end of each step. */
export function settleSuccessors(turn: StreamTurn): void {
  for (const member of turn.members) {
    const { replaces } = member;
    if (replaces === null) continue;
    if (turn.member(replaces.session) === null) turn.update({ ...member, replaces: null });
    else if (replaces.until === null && stands(member)) {
      turn.update({ ...member, replaces: { ...replaces, until: turn.now + HANDOVER_MS } });
    }
  }
}

/** It is connected; a listener can only be had then, though nobody may have said so yet. */
function stands({ phase, listener }: Member): boolean {
  return phase === 'live' || phase === 'silent' || listener !== null;
}
