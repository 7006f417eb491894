/**
 * The life of a room as a pure function: who may publish, where, and what becomes of it when the publisher, its node or
 * the call that was opening it goes away.
 *
 *   free ──publish──► opening ──opened──► connecting ──connected──► live ◄──connected── lost ──deadline──► free
 *                        └──failed──► free                            └──silent, closed──► ▲
 *
 * A `lost` publisher keeps its viewers. Another one may open beside it and take them over; when that fails, it is as if
 * nobody had tried.
 */
import type { Problem } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type { IngressReport, TrackReport } from '../../shared/protocol/control.ts';
import type { LobbyEffect, LobbyEvent, LobbyPolicy, LobbyStep } from './lobby-events.ts';
import {
  type Carrier,
  desiredOn,
  firstState,
  isOn,
  isOver,
  type LobbyState,
  NO_ROOM,
  NO_SESSION,
  type Opening,
  PUBLISHER_EXISTS,
  type Publisher,
  ROOM_CLOSED,
  summaryOf,
} from './lobby-state.ts';

/** All that the call that opens a publisher may take, with a second node tried; OBS gives up after 8 s. */
export const OPENING_BUDGET_MS = 7_000;
/** Only reached when the object died with the call. */
const OPENING_DEADLINE_MS = 10_000;
/** Only reached when a node forgot to report: it gives up connecting much sooner. */
const CONNECTING_DEADLINE_MS = 60_000;

/** Returns the same `state` object when nothing changed. */
export function step(state: LobbyState | null, event: LobbyEvent, now: number, policy: LobbyPolicy): LobbyStep {
  const turn = new Turn(state, now, policy);
  turn.expire();
  const refusal = turn.take(event);
  turn.settle();
  const before = summaryOf(state);
  const after = summaryOf(turn.state);
  if (after !== null && turn.state !== null) {
    if (before?.hasPublisher !== after.hasPublisher || before.tracks !== after.tracks) {
      turn.effects.push({ type: 'announce', lobby: turn.state.lobby, ...after });
    }
  } else if (before !== null && state !== null) {
    turn.effects.push({ type: 'ended', lobby: state.lobby });
  }
  return { state: turn.state, effects: turn.effects, refusal };
}

/** The node that a new publisher should go to: where the viewers of the lost one are. */
export function preferredNode(state: LobbyState | null): NodeId | null {
  return state?.publisher?.node ?? null;
}

class Turn {
  state: LobbyState | null;
  readonly effects: LobbyEffect[] = [];
  readonly #now: number;
  readonly #graceMs: number;

  constructor(state: LobbyState | null, now: number, policy: LobbyPolicy) {
    this.state = state;
    this.#now = now;
    this.#graceMs = policy.publisherGraceMs;
  }

  take(event: LobbyEvent): Problem | null {
    switch (event.type) {
      case 'publish':
        return this.#publish(event.lobby, event.session);
      case 'placed':
        return this.#placed(event.session, event);
      case 'opened':
        return this.#opened(event);
      case 'open-failed':
        if (this.state?.opening?.session === event.session) this.#failOpening(event.uncertain);
        return null;
      case 'recovered':
        if (this.state?.opening) this.#failOpening(true);
        return null;
      case 'unpublish':
        return this.#unpublish(event.session);
      case 'close':
        return this.#close();
      case 'reported':
        for (const report of event.ingress) this.#reported(report, event);
        return null;
      case 'reconcile':
        this.#reconcile(event.ingress, event);
        return null;
      case 'node-lost':
        if (this.state?.publisher && isOn(this.state.publisher, event)) this.#set({ publisher: null });
        return null;
      case 'deadline':
        return null;
    }
  }

  /** Does what the clock says. A publisher that is being replaced does not expire: the outcome of that decides. */
  expire(): void {
    const { opening } = this.state ?? {};
    if (opening && opening.deadline <= this.#now) this.#failOpening(true);
    const publisher = this.state?.publisher;
    if (!publisher || this.state?.opening || publisher.deadline === null || publisher.deadline > this.#now) return;
    if (publisher.phase === 'connecting') this.#lose(publisher);
    else this.#endPublisher(publisher);
  }

  /** A room in which nothing runs is no room. */
  settle(): void {
    if (this.state !== null && this.state.opening === null) {
      if (this.state.publisher && isOver(this.state.publisher, this.#now)) this.#endPublisher(this.state.publisher);
      if (this.state.publisher === null) this.state = null;
    }
  }

  #publish(lobby: LobbyId, session: SessionId): Problem | null {
    const state = this.state ?? firstState(lobby);
    if (state.opening !== null || (state.publisher !== null && state.publisher.phase !== 'lost'))
      return PUBLISHER_EXISTS;
    const opening: Opening = {
      session,
      // Not less than the clock: a session id may come again (`/whip/{session_id}`) when this count is long forgotten.
      generation: Math.max(state.generation + 1, this.#now),
      deadline: this.#now + OPENING_DEADLINE_MS,
      target: null,
      replaces: null,
      early: null,
    };
    this.state = { ...state, generation: opening.generation, opening };
    return null;
  }

  #placed(session: SessionId, carrier: Carrier): Problem | null {
    const { opening, publisher } = this.state ?? {};
    if (!opening || opening.session !== session) return ROOM_CLOSED;
    const target = { node: carrier.node, boot: carrier.boot };
    const replaces = publisher && isOn(publisher, target) ? publisher.session : null;
    const before = opening.target;
    this.#set({ opening: { ...opening, target, replaces, early: null } });
    if (before !== null && !isOn(before, target)) this.#applyTo(before);
    this.#bump();
    return null;
  }

  #opened(event: Extract<LobbyEvent, { type: 'opened' }>): Problem | null {
    const { opening, publisher } = this.state ?? {};
    if (!opening || opening.session !== event.session) {
      // Closed while the node was answering: what it opened must go.
      this.#applyTo(event, { lobby: event.lobby, revision: event.revision });
      return ROOM_CLOSED;
    }
    if (opening.early === 'closed') {
      this.#failOpening(true);
      return ROOM_CLOSED;
    }
    const live = opening.early === 'connected';
    const next: Publisher = {
      session: opening.session,
      generation: opening.generation,
      node: event.node,
      boot: event.boot,
      phase: live ? 'live' : 'connecting',
      deadline: live ? null : this.#now + CONNECTING_DEADLINE_MS,
      watched: live || (opening.replaces !== null && event.resumed),
      tracks: event.tracks,
    };
    this.#set({ publisher: next, opening: null });
    if (publisher && !isOn(publisher, next)) this.#applyTo(publisher);
    return null;
  }

  #failOpening(uncertain: boolean): void {
    const target = this.state?.opening?.target;
    this.#set({ opening: null });
    if (uncertain && target) this.#applyTo(target);
  }

  #unpublish(session: SessionId): Problem | null {
    const { publisher, opening } = this.state ?? {};
    if (!publisher || publisher.session !== session || isOver(publisher, this.#now)) return NO_SESSION;
    // With a successor on its way the viewers are the successor's; whatever comes of it, this one is over.
    if (opening) this.#set({ publisher: { ...publisher, phase: 'lost', deadline: this.#now } });
    else this.#endPublisher(publisher);
    return null;
  }

  #close(): Problem | null {
    if (this.state === null) return NO_ROOM;
    const { publisher, opening } = this.state;
    this.#set({ publisher: null, opening: null });
    if (publisher) this.#applyTo(publisher);
    if (opening?.target && !(publisher && isOn(publisher, opening.target))) this.#applyTo(opening.target);
    return null;
  }

  #reported(report: IngressReport, carrier: Carrier): void {
    const { publisher, opening } = this.state ?? {};
    if (opening?.target && opening.session === report.session && opening.generation === report.generation) {
      const early = report.state === 'closed' ? 'closed' : report.state === 'connected' ? 'connected' : opening.early;
      if (isOn(opening.target, carrier) && early !== opening.early) this.#set({ opening: { ...opening, early } });
      return;
    }
    if (!publisher || publisher.session !== report.session || publisher.generation !== report.generation) return;
    if (!isOn(publisher, carrier)) return;
    const { state: said, reason, tracks } = report;
    if (said === 'silent' || said === 'closed') {
      // Only a connected peer can fall silent or take its leave, even if the word of its connecting was skipped.
      const wasConnected = said === 'silent' || reason === 'peer-closed' || reason === 'silence';
      this.#lose(wasConnected ? { ...publisher, watched: true } : publisher);
      return;
    }
    // Over, and only still here because a successor is being opened.
    if (isOver(publisher, this.#now)) return;
    const known = sameTracks(publisher.tracks, tracks) ? publisher : { ...publisher, tracks };
    if (said === 'connected' && publisher.phase !== 'live') {
      this.#set({ publisher: { ...known, phase: 'live', deadline: null, watched: true } });
    } else if (known !== publisher) {
      this.#set({ publisher: known });
    }
  }

  /** Gone without a word to us: its viewers wait a while, should there be any. */
  #lose(publisher: Publisher): void {
    if (publisher.phase === 'lost') return;
    if (publisher.phase === 'live' || publisher.watched) {
      this.#set({ publisher: { ...publisher, phase: 'lost', deadline: this.#now + this.#graceMs, watched: true } });
    } else {
      this.#endPublisher(publisher);
    }
  }

  #reconcile(ingress: IngressReport[], carrier: Carrier): void {
    const publisher = this.state?.publisher;
    for (const report of ingress) this.#reported(report, carrier);
    if (!publisher || publisher.node !== carrier.node) return;
    // Restarted: the viewers' media is gone as well, so there is nothing to wait for.
    if (publisher.boot !== carrier.boot) this.#set({ publisher: null });
    else if (!ingress.some((report) => report.session === publisher.session)) {
      if (this.state?.publisher === publisher) this.#lose(publisher);
    }
  }

  #endPublisher(publisher: Publisher): void {
    this.#set({ publisher: null });
    this.#applyTo(publisher);
  }

  /** Tells a node what it shall carry now. `known`: of a room whose state is already gone. */
  #applyTo(carrier: Carrier, known?: { lobby: LobbyId; revision: number }): void {
    this.#bump();
    const { node, boot } = carrier;
    const lobby = this.state?.lobby ?? known?.lobby;
    if (lobby === undefined) return;
    // More than what the end of the room said, which was one more than the opening's or the time then.
    const revision = this.state?.revision ?? Math.max((known?.revision ?? 0) + 2, this.#now + 1);
    const desired = desiredOn(this.state, { node, boot }) ?? { lobby, revision, publisher: null };
    this.effects.push({ type: 'apply', node, boot, desired });
  }

  #bump(): void {
    if (this.state === null) return;
    this.#set({ revision: Math.max(this.state.revision + 1, this.#now) });
  }

  #set(change: Partial<LobbyState>): void {
    if (this.state !== null) this.state = { ...this.state, ...change };
  }
}

function sameTracks(a: readonly TrackReport[], b: readonly TrackReport[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
