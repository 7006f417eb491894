/**
 * The life of a stream's lobby as a pure function: who is in, on which node, with which request token, by which relays
 * the others get their tracks, and what is on air.
 *
 *   member:  opening ──opened──► connecting ──connected──► live ◄──connected── silent ──grace──► gone
 *               └──failed──► gone        └──closed──► gone  └──silent──────────► ▲   └──closed──► gone
 *
 * The lobby runs as long as a human member holds it, an opening one included: so a join that races the last leave finds
 * a lobby that works. With the last of them everything ends, and nothing is stored.
 */

import type { Problem } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import { isOn } from '../carrier.ts';
import { CONNECTING_DEADLINE_MS, OPENING_DEADLINE_MS } from '../lobby/opening.ts';
import type { StreamEvent, StreamPolicy, StreamStep } from './stream-events.ts';
import { canBeWatchedOn } from './stream-places.ts';
import * as problems from './stream-problems.ts';
import { disownPulled } from './stream-relays.ts';
import { loseNode, reconcile, takeReports } from './stream-reports.ts';
import {
  firstState,
  hasMainTrack,
  isHeld,
  lineageOf,
  type Member,
  memberListeningAs,
  memberWith,
  type StreamState,
  sessionsOf,
} from './stream-state.ts';
import { endHandovers, endUnfinished, placeFor, SUCCESSOR_DEADLINE_MS } from './stream-successors.ts';
import { StreamTurn } from './stream-turn.ts';

/** Of a request token that nobody uses. */
export const TOKEN_LIFE_MS = 3_600_000;

type EventOf<T extends StreamEvent['type']> = Extract<StreamEvent, { type: T }>;

/** Returns the same `state` object when nothing changed. */
export function step(state: StreamState | null, event: StreamEvent, now: number, policy: StreamPolicy): StreamStep {
  const turn = new StreamTurn(state, now, policy);
  for (const member of turn.members) {
    if (member.deadline !== null && member.deadline <= now) turn.remove(member, true);
  }
  endHandovers(turn);
  const refusal = take(turn, event);
  return { ...turn.settle(event), refusal };
}

function take(turn: StreamTurn, event: StreamEvent): Problem | null {
  switch (event.type) {
    case 'join':
      return join(turn, event);
    case 'targeted':
      return targeted(turn, event);
    case 'opened':
      return opened(turn, event);
    case 'open-failed': {
      const member = turn.member(event.session);
      if (member?.phase === 'opening') turn.remove(member, event.uncertain);
      return null;
    }
    case 'recovered':
      return recovered(turn);
    case 'guard':
      return guard(turn, event);
    case 'listen':
      return listen(turn, event);
    case 'listening':
      return listening(turn, event.listener);
    case 'listen-failed':
      turn.unlisten(event.listener, event.uncertain);
      return null;
    case 'leave':
      return leave(turn, event);
    case 'start-live':
      return startLive(turn, event);
    case 'live-refused':
      if (turn.state?.live?.live === event.live) turn.endLive(event.error);
      return null;
    case 'stop-live':
      return stopLive(turn, event.live);
    case 'close':
      if (turn.state === null) return problems.LOBBY_NOT_RUNNING;
      for (const member of turn.members) turn.remove(member, true);
      return null;
    case 'keep':
      for (const member of turn.members) if (!event.users.includes(member.user)) turn.remove(member, true);
      return null;
    case 'watched':
      return watched(turn, event);
    case 'unwatched':
      return unwatched(turn, event);
    case 'relay':
      // Its tree hears of it when the rest is settled.
      disownPulled(turn, event);
      return null;
    case 'reported':
      takeReports(turn, event, event);
      return null;
    case 'reconcile':
      reconcile(turn, event, event);
      return null;
    case 'node-lost':
      loseNode(turn, event);
      return null;
    case 'deadline':
      return null;
  }
}

function join(turn: StreamTurn, event: EventOf<'join'>): Problem | null {
  const { lobby, user, session, fixed, tokenHash } = event;
  const place = placeFor(turn, event);
  if (place.problem !== null) return place.problem;
  const state = turn.state ?? firstState(lobby);
  if (fixed && !isHeld(state)) return problems.LOBBY_NOT_RUNNING;
  const generation = Math.max(state.generation + 1, turn.now);
  const member: Member = {
    user,
    session,
    generation,
    fixed,
    phase: 'opening',
    deadline: turn.now + OPENING_DEADLINE_MS,
    target: null,
    early: null,
    tracks: [],
    listener: null,
    relays: null,
    lineage: place.lineage,
    replaces: place.replaces,
    token: tokenHash === null ? null : { hash: tokenHash, expiresAt: turn.now + TOKEN_LIFE_MS },
  };
  turn.state = { ...state, generation, members: [...state.members, member] };
  return null;
}

function targeted(turn: StreamTurn, { session, node, boot }: EventOf<'targeted'>): Problem | null {
  const member = turn.member(session);
  if (member === null || member.phase !== 'opening') return problems.LOBBY_CLOSED;
  const former = member.target;
  const target = { node, boot };
  turn.update({ ...member, target, early: null });
  // It may have opened the session all the same.
  turn.changed(former !== null && !isOn(former, target) ? former : null);
  return null;
}

function opened(turn: StreamTurn, event: EventOf<'opened'>): Problem | null {
  const member = turn.member(event.session);
  if (member === null || member.phase !== 'opening' || !isOn(member.target, event)) {
    // Closed while the node was answering, or sent to another one: what it opened must go.
    turn.disown(event.lobby, event);
    return problems.LOBBY_CLOSED;
  }
  if (member.early === 'closed') {
    turn.remove(member, true);
    return problems.LOBBY_CLOSED;
  }
  const isLive = member.early === 'connected';
  const patienceMs = member.replaces === null ? CONNECTING_DEADLINE_MS : SUCCESSOR_DEADLINE_MS;
  turn.update({
    ...member,
    phase: isLive ? 'live' : 'connecting',
    deadline: isLive ? null : turn.now + patienceMs,
    early: null,
    tracks: event.tracks,
  });
  return null;
}

function watched(turn: StreamTurn, { node, boot }: EventOf<'watched'>): Problem | null {
  if (!hasMainTrack(turn.state)) return problems.NOTHING_ON;
  const audiences = turn.state?.audiences ?? [];
  if (!audiences.some((place) => isOn(place, { node, boot }))) turn.set({ audiences: [...audiences, { node, boot }] });
  return null;
}

/** Where something can be watched, somebody else may be doing so. */
function unwatched(turn: StreamTurn, { node, boot }: EventOf<'unwatched'>): null {
  const place = { node, boot };
  const isThere = turn.state?.audiences.some((one) => isOn(one, place)) ?? false;
  if (isThere && !canBeWatchedOn(turn.state, place)) turn.unwatch(place);
  return null;
}

function recovered(turn: StreamTurn): null {
  for (const member of turn.members) {
    if (member.phase === 'opening') turn.remove(member, true);
    else if (member.listener?.phase === 'opening') turn.unlisten(member.listener.session, true);
  }
  return null;
}

/**
 * The order is part of the contract: alive, stream, (user,) token. Only a check that is passed uses the token up. A member
 * who moves has two sessions with a token each: the token says which of them is meant.
 */
function guard(turn: StreamTurn, event: EventOf<'guard'>): Problem | null {
  const own = sessionsOf(turn.state, event.session).filter(({ token }) => token !== null);
  const [first] = own;
  if (first === undefined) return problems.NO_SESSION;
  if (turn.state?.lobby !== event.lobby) return problems.WRONG_STREAM;
  if (event.bearer !== null && !event.bearer.includes(first.user)) return problems.WRONG_USER;
  // Hashes of what was sent: the time that this takes says nothing about the token.
  const member = own.find(({ token }) => token?.hash === event.presented) ?? null;
  if ((member?.token?.expiresAt ?? 0) <= turn.now || member === null) return problems.BAD_REQUEST_TOKEN;
  turn.update({ ...member, token: { hash: event.next, expiresAt: turn.now + TOKEN_LIFE_MS } });
  return null;
}

function listen(turn: StreamTurn, { member: session, listener }: EventOf<'listen'>): Problem | null {
  const member = memberWith(turn.state, session);
  if (member === null || member.fixed) return problems.NO_SESSION;
  if (member.listener !== null) return problems.LISTENER_EXISTS;
  turn.update({ ...member, listener: { session: listener, phase: 'opening', seen: false } });
  turn.changed(null);
  return null;
}

function listening(turn: StreamTurn, listener: SessionId): Problem | null {
  const member = memberListeningAs(turn.state, listener);
  if (!member?.listener) return problems.NO_SESSION;
  turn.update({ ...member, listener: { ...member.listener, phase: 'open' } });
  return null;
}

function leave(turn: StreamTurn, { session, whole = false }: EventOf<'leave'>): Problem | null {
  const member = memberWith(turn.state, session);
  if (member !== null) {
    const all = whole ? lineageOf(member).session : null;
    for (const own of turn.members) if (lineageOf(own).session === all) turn.remove(own, true);
    endUnfinished(turn, member);
    if (turn.member(session) !== null) turn.remove(member, true);
  } else if (memberListeningAs(turn.state, session)) turn.unlisten(session, true);
  else return problems.NO_SESSION;
  return null;
}

function startLive(turn: StreamTurn, { session, live, url }: EventOf<'start-live'>): Problem | null {
  if (memberWith(turn.state, session) === null) return problems.NO_SESSION;
  if (turn.state?.live) return problems.ALREADY_LIVE;
  if (!hasMainTrack(turn.state)) return problems.NO_MAIN_TRACK;
  // Which node it is pushed from is settled with the rest of the step.
  turn.set({ live: { live, url, state: 'starting', error: null, node: null } });
  return null;
}

function stopLive(turn: StreamTurn, live: string | null): Problem | null {
  const current = turn.state?.live ?? null;
  if (current === null || (live !== null && live !== current.live)) return problems.NOT_LIVE;
  turn.endLive(null);
  return null;
}
