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
 * Which other nodes carry the tracks is the relay tree's business (`relay-tree-machine.ts`): here it is told where the
 * publisher is.
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
  treeOf,
} from './lobby-state.ts';
import { relayOn } from './relay-tree.ts';
import type { TreeContext } from './relay-tree-events.ts';
import { leavesRelay } from './relay-tree-machine.ts';
import { NO_RELAYS, relayTurn } from './room-relays.ts';

/** All that the call that opens a publisher may take, with a second node tried; OBS gives up after 8 s. */
export const OPENING_BUDGET_MS = 7_000;
/** Only reached when the object died with the call. */
const OPENING_DEADLINE_MS = 10_000;
/** Only reached when a node forgot to report: it gives up connecting much sooner. */
const CONNECTING_DEADLINE_MS = 60_000;
/** One that is to take the place of a live publisher keeps the room from others who want to. */
const SUCCESSOR_DEADLINE_MS = 15_000;

/** Returns the same `state` object when nothing changed. */
export function step(state: LobbyState | null, event: LobbyEvent, now: number, policy: LobbyPolicy): LobbyStep {
  const turn = new Turn(state, now, policy);
  turn.expire();
  const refusal = turn.take(event);
  turn.settle();
  turn.relay(state, event);
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
  const publisher = state?.publisher ?? null;
  return publisher === null || publisher.gone ? null : publisher.node;
}

class Turn {
  state: LobbyState | null;
  readonly effects: LobbyEffect[] = [];
  readonly #now: number;
  readonly #graceMs: number;
  readonly #around: TreeContext;
  /** Whether those who were attached to the former publisher are attached to the present one. */
  #resumed = true;

  constructor(state: LobbyState | null, now: number, policy: LobbyPolicy) {
    this.state = state;
    this.#now = now;
    this.#graceMs = policy.publisherGraceMs;
    this.#around = policy.around ?? NO_RELAYS;
  }

  take(event: LobbyEvent): Problem | null {
    switch (event.type) {
      case 'publish':
        return this.#publish(event);
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
        this.#nodeLost(event);
        return null;
      default:
        return null;
    }
  }

  /** Brings the relay tree to what is so now; at the end of a room its relays end, too. */
  relay(before: LobbyState | null, event: LobbyEvent): void {
    if (this.state === null) {
      for (const { node, boot } of before?.tree?.relays ?? []) {
        this.#applyTo({ node, boot }, before === null ? undefined : before);
      }
      return;
    }
    const { tree, effects } = relayTurn({
      before,
      state: this.state,
      event,
      resumed: this.#resumed,
      now: this.#now,
      around: this.#around,
    });
    if (tree !== this.state.tree) this.#set({ tree });
    // First what nodes shall carry, then the requests that build upon it.
    for (const effect of effects) if (effect.type === 'tell') this.#applyTo(effect);
    const { lobby } = this.state;
    const tracks = this.state.publisher?.tracks ?? [];
    for (const effect of effects) {
      if (effect.type === 'hang-up') this.effects.push(effect);
      if (effect.type !== 'pull') continue;
      this.#bump();
      this.effects.push({ ...effect, lobby, tracks, revision: this.state.revision });
    }
  }

  /** Does what the clock says. A publisher that is being replaced does not expire: the outcome of that decides. */
  expire(): void {
    const { opening, successor } = this.state ?? {};
    if (opening && opening.deadline <= this.#now) this.#failOpening(true);
    if (successor && (successor.deadline ?? 0) <= this.#now) this.#dropSuccessor(successor);
    const publisher = this.state?.publisher;
    if (!publisher || this.state?.opening || publisher.deadline === null || publisher.deadline > this.#now) return;
    if (publisher.phase === 'connecting') this.#lose(publisher);
    else this.#endPublisher(publisher);
  }

  /** A room in which nothing runs is no room. */
  settle(): void {
    if (this.state !== null && this.state.opening === null) {
      if (this.state.publisher && isOver(this.state.publisher, this.#now)) this.#endPublisher(this.state.publisher);
      const { publisher, successor } = this.state;
      if (successor && (publisher === null || publisher.phase === 'lost')) this.#promote(successor, true);
      if (this.state.publisher === null) this.state = null;
    }
  }

  #publish({ lobby, session, replaces }: Extract<LobbyEvent, { type: 'publish' }>): Problem | null {
    const state = this.state ?? firstState(lobby);
    const { publisher } = state;
    const isFree = publisher === null || publisher.phase === 'lost' || publisher.session === replaces;
    if (state.opening !== null || state.successor !== null || !isFree) return PUBLISHER_EXISTS;
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
    const hasViewers = publisher && (isOn(publisher, target) || relayOn(treeOf(this.state), target) !== null);
    const replaces = hasViewers ? publisher.session : null;
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
    // Also where a relay of the present one is: that serves on until this one brings media.
    const isBeside = publisher && publisher.phase !== 'lost' && !isOn(publisher, event);
    const deadline = this.#now + (isBeside ? SUCCESSOR_DEADLINE_MS : CONNECTING_DEADLINE_MS);
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
    this.#set({ opening: null });
    // Make before break: the present one goes on until this one is connected.
    if (isBeside && !live) this.#set({ successor: next });
    else this.#promote(next, event.resumed);
    return null;
  }

  #promote(next: Publisher, resumed: boolean): void {
    const publisher = this.state?.publisher ?? null;
    // Viewers on other nodes have been waiting for it.
    const watched = next.watched || (this.state?.tree ?? null) !== null || publisher?.phase === 'live';
    this.#set({ publisher: { ...next, watched }, successor: null });
    this.#resumed = resumed;
    if (publisher === null || publisher.gone || isOn(publisher, next)) return;
    if (!leavesRelay(publisher.node, next.node, this.#around)) this.#applyTo(publisher);
  }

  #dropSuccessor(successor: Publisher): void {
    this.#set({ successor: null });
    this.#applyTo(successor);
  }

  #failOpening(uncertain: boolean): void {
    const target = this.state?.opening?.target;
    this.#set({ opening: null });
    if (uncertain && target) this.#applyTo(target);
  }

  #unpublish(session: SessionId): Problem | null {
    const { publisher, opening, successor } = this.state ?? {};
    if (successor?.session === session) {
      this.#dropSuccessor(successor);
      return null;
    }
    if (!publisher || publisher.session !== session || isOver(publisher, this.#now)) return NO_SESSION;
    if (successor) {
      this.#promote(successor, true);
      return null;
    }
    // With a successor on its way the viewers are the successor's; whatever comes of it, this one is over.
    if (opening) this.#set({ publisher: { ...publisher, phase: 'lost', deadline: this.#now } });
    else this.#endPublisher(publisher);
    return null;
  }

  #close(): Problem | null {
    if (this.state === null) return NO_ROOM;
    const { publisher, opening, successor } = this.state;
    this.#set({ publisher: null, opening: null, successor: null });
    if (publisher) this.#applyTo(publisher);
    if (successor) this.#applyTo(successor);
    if (opening?.target && !(publisher && isOn(publisher, opening.target))) this.#applyTo(opening.target);
    return null;
  }

  #reported(report: IngressReport, carrier: Carrier): void {
    const { publisher, opening, successor } = this.state ?? {};
    if (opening?.target && opening.session === report.session && opening.generation === report.generation) {
      const early = report.state === 'closed' ? 'closed' : report.state === 'connected' ? 'connected' : opening.early;
      if (isOn(opening.target, carrier) && early !== opening.early) this.#set({ opening: { ...opening, early } });
      return;
    }
    if (successor?.session === report.session && successor.generation === report.generation) {
      if (isOn(successor, carrier)) this.#successorReported(successor, report);
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
    // Its node was only out of reach.
    const here = publisher.gone ? { ...publisher, gone: false } : publisher;
    const known = sameTracks(here.tracks, tracks) ? here : { ...here, tracks };
    if (said === 'connected' && publisher.phase !== 'live') {
      this.#set({ publisher: { ...known, phase: 'live', deadline: null, watched: true } });
    } else if (known !== publisher) {
      this.#set({ publisher: known });
    }
  }

  #successorReported(successor: Publisher, { state: said, tracks }: IngressReport): void {
    if (said === 'connected') this.#promote({ ...successor, phase: 'live', deadline: null, tracks }, true);
    else if (said !== 'connecting') this.#dropSuccessor(successor);
  }

  /** What it carried is gone with it. The room is free at once, and viewers on other nodes wait for the next publisher. */
  #nodeLost(carrier: Carrier): void {
    const { publisher, successor } = this.state ?? {};
    if (successor && isOn(successor, carrier)) this.#set({ successor: null });
    if (!publisher || !isOn(publisher, carrier) || publisher.gone) return;
    const waiting = this.state?.tree?.relays.some(({ inUse }) => inUse) ?? false;
    if (!waiting) this.#set({ publisher: null });
    else if (publisher.phase === 'lost') this.#set({ publisher: { ...publisher, gone: true } });
    else this.#lose({ ...publisher, watched: true, gone: true });
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
    const { successor } = this.state ?? {};
    if (successor?.node === carrier.node) {
      if (successor.boot !== carrier.boot) this.#set({ successor: null });
      else if (!ingress.some(({ session }) => session === successor.session)) this.#dropSuccessor(successor);
    }
    if (!publisher || publisher.node !== carrier.node) return;
    // Restarted: the media of the viewers there is gone as well, so there is nothing to wait for.
    if (publisher.boot !== carrier.boot) this.#nodeLost(publisher);
    else if (!ingress.some((report) => report.session === publisher.session)) {
      if (this.state?.publisher === publisher) this.#lose(publisher);
    }
  }

  #endPublisher(publisher: Publisher): void {
    this.#set({ publisher: null });
    if (!publisher.gone) this.#applyTo(publisher);
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
