/**
 * The life of a stream's lobby as a pure function: who is in, on which node, with which request token, and what is on
 * air.
 *
 *   member:  opening ──opened──► connecting ──connected──► live ◄──connected── silent ──grace──► gone
 *               └──failed──► gone        └──closed──► gone  └──silent──────────► ▲   └──closed──► gone
 *
 * The lobby runs as long as a human member holds it, an opening one included: so a join that races the last leave finds
 * a lobby that works. With the last of them everything ends, and nothing is stored.
 */
import type { Problem } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import { type Carrier, isOn } from '../lobby/lobby-state.ts';
import type { StreamEvent, StreamPolicy, StreamStep } from './stream-events.ts';
import * as problems from './stream-problems.ts';
import { loseNode, reconcile, takeReports } from './stream-reports.ts';
import {
  firstState,
  hasMainTrack,
  isHeld,
  type Member,
  memberListeningAs,
  memberWith,
  type StreamState,
} from './stream-state.ts';
import { StreamTurn } from './stream-turn.ts';

/** All that the call that opens a session may take, with a second node tried; OBS gives up after 8 s. */
export const OPENING_BUDGET_MS = 7_000;
/** Only reached when the object died with the call that was opening the session. */
const OPENING_DEADLINE_MS = 10_000;
/** Only reached when a node forgot to report: it gives up connecting much sooner. */
const CONNECTING_DEADLINE_MS = 60_000;
/** Of a request token that nobody uses. */
export const TOKEN_LIFE_MS = 3_600_000;

type EventOf<T extends StreamEvent['type']> = Extract<StreamEvent, { type: T }>;

/** Returns the same `state` object when nothing changed. */
export function step(state: StreamState | null, event: StreamEvent, now: number, policy: StreamPolicy): StreamStep {
  const turn = new StreamTurn(state, now, policy);
  for (const member of turn.members) {
    if (member.deadline !== null && member.deadline <= now) turn.remove(member, true);
  }
  const refusal = take(turn, event);
  return { ...turn.settle(), refusal };
}

function take(turn: StreamTurn, event: StreamEvent): Problem | null {
  switch (event.type) {
    case 'join':
      return join(turn, event);
    case 'placed':
      if (turn.state?.node === null) turn.set({ node: { node: event.node, boot: event.boot } });
      return null;
    case 'unplaced':
      return unplaced(turn, event);
    case 'targeted':
      return targeted(turn, event.session);
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
      return leave(turn, event.session);
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
  const state = turn.state ?? firstState(lobby);
  if (state.members.some((member) => member.user === user && member.fixed === fixed)) return problems.SESSION_EXISTS;
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
    token: tokenHash === null ? null : { hash: tokenHash, expiresAt: turn.now + TOKEN_LIFE_MS },
  };
  turn.state = { ...state, generation, members: [...state.members, member] };
  return null;
}

/** Somebody whose offer was answered there keeps the lobby there. */
function unplaced(turn: StreamTurn, carrier: Carrier): null {
  const node = turn.state?.node ?? null;
  const isNeeded = turn.members.some(
    ({ phase, target }) => phase !== 'opening' && target !== null && isOn(target, carrier),
  );
  if (node !== null && isOn(node, carrier) && !isNeeded) turn.set({ node: null });
  return null;
}

function targeted(turn: StreamTurn, session: SessionId): Problem | null {
  const member = turn.member(session);
  const node = turn.state?.node ?? null;
  if (member === null || member.phase !== 'opening') return problems.LOBBY_CLOSED;
  if (node === null) return problems.NO_MEDIA_NODE;
  const former = member.target;
  turn.update({ ...member, target: node, early: null });
  turn.changed(former !== null && !isOn(former, node) ? former : null);
  return null;
}

function opened(turn: StreamTurn, event: EventOf<'opened'>): Problem | null {
  const member = turn.member(event.session);
  if (member === null || member.phase !== 'opening') {
    // Closed while the node was answering: what it opened must go.
    turn.disown(event.lobby, event);
    return problems.LOBBY_CLOSED;
  }
  if (turn.state?.node === null) turn.set({ node: { node: event.node, boot: event.boot } });
  const node = turn.state?.node ?? null;
  if (node === null || !isOn(node, event)) {
    // The lobby has moved meanwhile, and its members are all on one node.
    turn.remove(member, true);
    return problems.NO_MEDIA_NODE;
  }
  if (member.early === 'closed') {
    turn.remove(member, true);
    return problems.LOBBY_CLOSED;
  }
  const isLive = member.early === 'connected';
  turn.update({
    ...member,
    phase: isLive ? 'live' : 'connecting',
    deadline: isLive ? null : turn.now + CONNECTING_DEADLINE_MS,
    early: null,
    tracks: event.tracks,
  });
  return null;
}

function recovered(turn: StreamTurn): null {
  for (const member of turn.members) {
    if (member.phase === 'opening') turn.remove(member, true);
    else if (member.listener?.phase === 'opening') turn.unlisten(member.listener.session, true);
  }
  return null;
}

/** The order is part of the contract: alive, stream, (user,) token. Only a check that is passed uses the token up. */
function guard(turn: StreamTurn, event: EventOf<'guard'>): Problem | null {
  const member = memberWith(turn.state, event.session);
  if (member === null || member.token === null) return problems.NO_SESSION;
  if (turn.state?.lobby !== event.lobby) return problems.WRONG_STREAM;
  if (event.bearer !== null && !event.bearer.includes(member.user)) return problems.WRONG_USER;
  // Hashes of what was sent: the time that this takes says nothing about the token.
  const isRight = event.presented === member.token.hash;
  if (!isRight || member.token.expiresAt <= turn.now) return problems.BAD_REQUEST_TOKEN;
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

function leave(turn: StreamTurn, session: SessionId): Problem | null {
  const member = memberWith(turn.state, session);
  if (member !== null) turn.remove(member, true);
  else if (memberListeningAs(turn.state, session)) turn.unlisten(session, true);
  else return problems.NO_SESSION;
  return null;
}

function startLive(turn: StreamTurn, { session, live, url }: EventOf<'start-live'>): Problem | null {
  if (memberWith(turn.state, session) === null) return problems.NO_SESSION;
  if (turn.state?.live) return problems.ALREADY_LIVE;
  if (!hasMainTrack(turn.state)) return problems.NO_MAIN_TRACK;
  turn.set({ live: { live, url, state: 'starting', error: null } });
  turn.changed(turn.state?.node ?? null);
  return null;
}

function stopLive(turn: StreamTurn, live: string | null): Problem | null {
  const current = turn.state?.live ?? null;
  if (current === null || (live !== null && live !== current.live)) return problems.NOT_LIVE;
  turn.endLive(null);
  return null;
}
