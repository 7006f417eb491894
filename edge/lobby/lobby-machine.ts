/**
 * The life of a room as a pure function: who may publish, where, and what becomes of it when the publisher, its node or
 * the call that was opening it goes away.
 *
 *   free ──publish──► opening ──opened──► connecting ──connected──► live ◄──connected── lost ──deadline──► free
 *                        └──failed──► free                            └──silent, closed──► ▲
 *
 * A `lost` publisher keeps its viewers. Another one may open beside it and take them over; when that fails, it is as if
 * nobody had tried. A live one may be replaced by a `successor` that it has asked for itself: on another node, and only
 * when that is connected.
 *
 * Here is what is asked of a room. What its node says of it is in `lobby-reports.ts`; what follows at the end of each step
 * by itself, its relays included, in `lobby-turn.ts`.
 */
import type { Problem } from '../../shared/errors.ts';
import type { NodeId } from '../../shared/ids.ts';
import { isOn } from '../carrier.ts';
import { relayOn } from '../relay/relay-tree.ts';
import type { LobbyEvent, LobbyPolicy, LobbyStep } from './lobby-events.ts';
import { NO_ROOM, NO_SESSION, PUBLISHER_EXISTS, ROOM_CLOSED } from './lobby-problems.ts';
import { loseNode, reconcile, takeReports } from './lobby-reports.ts';
import { firstState, isOver, type LobbyState, type Opening, type Publisher, treeOf } from './lobby-state.ts';
import { LobbyTurn } from './lobby-turn.ts';
import { CONNECTING_DEADLINE_MS, OPENING_DEADLINE_MS } from './opening.ts';

/**
 * A publisher that has been connecting for so long hardly comes any more: it went away while its offer was being answered,
 * of which nobody hears. Its node waits for it all the same, unless somebody else wants the room.
 */
const CONNECTING_PATIENCE_MS = 15_000;
/** One that is to take the place of a live publisher keeps the room from others who want to. */
const SUCCESSOR_DEADLINE_MS = 15_000;

type EventOf<T extends LobbyEvent['type']> = Extract<LobbyEvent, { type: T }>;

/** Returns the same `state` object when nothing changed. */
export function step(state: LobbyState | null, event: LobbyEvent, now: number, policy: LobbyPolicy): LobbyStep {
  const turn = new LobbyTurn(state, now, policy);
  turn.expire();
  const refusal = take(turn, event);
  turn.settle(event);
  return { state: turn.state, effects: turn.effects, refusal };
}

/** The node that a new publisher should go to: where the viewers of the lost one are. */
export function preferredNode(state: LobbyState | null): NodeId | null {
  const publisher = state?.publisher ?? null;
  return publisher === null || publisher.gone ? null : publisher.node;
}

function take(turn: LobbyTurn, event: LobbyEvent): Problem | null {
  switch (event.type) {
    case 'publish':
      return publish(turn, event);
    case 'placed':
      return placed(turn, event);
    case 'opened':
      return opened(turn, event);
    case 'open-failed':
      if (turn.state?.opening?.session === event.session) turn.failOpening(event.uncertain);
      return null;
    case 'recovered':
      if (turn.state?.opening) turn.failOpening(true);
      return null;
    case 'unpublish':
      return unpublish(turn, event);
    case 'close':
      return close(turn);
    case 'reported':
      takeReports(turn, event.ingress, event);
      return null;
    case 'reconcile':
      reconcile(turn, event.ingress, event);
      return null;
    case 'node-lost':
      loseNode(turn, event);
      return null;
    default:
      // Time, and what only the relays hear of: the end of the step takes care of both.
      return null;
  }
}

function publish(turn: LobbyTurn, { lobby, session, replaces }: EventOf<'publish'>): Problem | null {
  const state = turn.state ?? firstState(lobby);
  const { publisher } = state;
  const isFree = publisher === null || publisher.session === replaces || isGivenUp(publisher, turn.now);
  if (state.opening !== null || state.successor !== null || !isFree) return PUBLISHER_EXISTS;
  const opening: Opening = {
    session,
    // Not less than the clock: a session id may come again (`/whip/{session_id}`) when this count is long forgotten.
    generation: Math.max(state.generation + 1, turn.now),
    deadline: turn.now + OPENING_DEADLINE_MS,
    target: null,
    replaces: null,
    early: null,
  };
  turn.state = { ...state, generation: opening.generation, opening };
  return null;
}

/** Another one may take its place. */
function isGivenUp({ phase, deadline, generation }: Publisher, now: number): boolean {
  if (phase !== 'connecting' || deadline === null) return phase === 'lost';
  // A successor has a nearer deadline; its generation is the time at which it came.
  return now >= Math.max(generation, deadline - CONNECTING_DEADLINE_MS) + CONNECTING_PATIENCE_MS;
}

function placed(turn: LobbyTurn, { session, node, boot }: EventOf<'placed'>): Problem | null {
  const { opening, publisher } = turn.state ?? {};
  if (!opening || opening.session !== session) return ROOM_CLOSED;
  const target = { node, boot };
  const hasViewers = publisher && (isOn(publisher, target) || relayOn(treeOf(turn.state), target) !== null);
  const replaces = hasViewers ? publisher.session : null;
  const before = opening.target;
  turn.set({ opening: { ...opening, target, replaces, early: null } });
  if (before !== null && !isOn(before, target)) turn.tell(before);
  turn.bump();
  return null;
}

function opened(turn: LobbyTurn, event: EventOf<'opened'>): Problem | null {
  const { opening, publisher } = turn.state ?? {};
  if (!opening || opening.session !== event.session) {
    // Closed while the node was answering: what it opened must go.
    turn.tell(event, { lobby: event.lobby, revision: event.revision });
    return ROOM_CLOSED;
  }
  if (opening.early === 'closed') {
    turn.failOpening(true);
    return ROOM_CLOSED;
  }
  const live = opening.early === 'connected';
  // Also where a relay of the present one is: that serves on until this one brings media.
  const isBeside = publisher && publisher.phase !== 'lost' && !isOn(publisher, event);
  const deadline = turn.now + (isBeside ? SUCCESSOR_DEADLINE_MS : CONNECTING_DEADLINE_MS);
  const next: Publisher = {
    session: opening.session,
    generation: opening.generation,
    node: event.node,
    boot: event.boot,
    phase: live ? 'live' : 'connecting',
    deadline: live ? null : deadline,
    watched: live || (opening.replaces !== null && event.resumed),
    tracks: event.tracks,
    gone: false,
  };
  turn.set({ opening: null });
  // Make before break: the present one goes on until this one is connected.
  if (isBeside && !live) turn.set({ successor: next });
  else turn.promote(next, event.resumed);
  return null;
}

function unpublish(turn: LobbyTurn, { session }: EventOf<'unpublish'>): Problem | null {
  const { publisher, opening, successor } = turn.state ?? {};
  if (successor?.session === session) {
    turn.dropSuccessor(successor);
    return null;
  }
  if (!publisher || publisher.session !== session || isOver(publisher, turn.now)) return NO_SESSION;
  if (successor) {
    turn.promote(successor, true);
    return null;
  }
  // With a successor on its way the viewers are the successor's; whatever comes of it, this one is over.
  if (opening) turn.set({ publisher: { ...publisher, phase: 'lost', deadline: turn.now } });
  else turn.endPublisher(publisher);
  return null;
}

function close(turn: LobbyTurn): Problem | null {
  if (turn.state === null) return NO_ROOM;
  const { publisher, opening, successor } = turn.state;
  turn.set({ publisher: null, opening: null, successor: null });
  if (publisher) turn.tell(publisher);
  if (successor) turn.tell(successor);
  if (opening?.target && !isOn(publisher, opening.target)) turn.tell(opening.target);
  return null;
}
