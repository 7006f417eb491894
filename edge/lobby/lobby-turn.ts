/** One step of a room in the making: its state as it changes, and who has to hear of that. */
import type { LobbyId } from '../../shared/ids.ts';
import { type Carrier, isOn } from '../carrier.ts';
import { leavesRelay } from '../relay/relay-tree-machine.ts';
import type { LobbyEffect, LobbyEvent, LobbyPolicy } from './lobby-events.ts';
import { desiredOn, isOver, type LobbyState, type Publisher, summaryOf } from './lobby-state.ts';
import { NO_RELAYS, relayTurn } from './room-relays.ts';

export class LobbyTurn {
  state: LobbyState | null;
  readonly now: number;
  readonly effects: LobbyEffect[] = [];
  readonly #before: LobbyState | null;
  readonly #graceMs: number;
  readonly #around: NonNullable<LobbyPolicy['around']>;
  /** Whether those who were attached to the former publisher are attached to the present one. */
  #resumed = true;

  constructor(state: LobbyState | null, now: number, policy: LobbyPolicy) {
    this.state = state;
    this.now = now;
    this.#before = state;
    this.#graceMs = policy.publisherGraceMs;
    this.#around = policy.around ?? NO_RELAYS;
  }

  set(change: Partial<LobbyState>): void {
    if (this.state !== null) this.state = { ...this.state, ...change };
  }

  bump(): void {
    if (this.state !== null) this.set({ revision: Math.max(this.state.revision + 1, this.now) });
  }

  /** Tells a node what it shall carry now. `known`: of a room whose state is already gone. */
  tell(carrier: Carrier, known?: { lobby: LobbyId; revision: number }): void {
    this.bump();
    const { node, boot } = carrier;
    const lobby = this.state?.lobby ?? known?.lobby;
    if (lobby === undefined) return;
    // More than what the end of the room said, which was one more than the opening's or the time then.
    const revision = this.state?.revision ?? Math.max((known?.revision ?? 0) + 2, this.now + 1);
    const desired = desiredOn(this.state, { node, boot }) ?? { lobby, revision, publisher: null };
    this.effects.push({ type: 'apply', node, boot, desired });
  }

  /** `next` is the publisher from now on. `resumed`: who was attached to the former one on its node is attached to it. */
  promote(next: Publisher, resumed: boolean): void {
    const publisher = this.state?.publisher ?? null;
    // Viewers on other nodes have been waiting for it.
    const watched = next.watched || (this.state?.tree ?? null) !== null || publisher?.phase === 'live';
    this.set({ publisher: { ...next, watched }, successor: null });
    this.#resumed = resumed;
    if (publisher === null || publisher.gone || isOn(publisher, next)) return;
    if (!leavesRelay(publisher.node, next.node, this.#around)) this.tell(publisher);
  }

  /** Gone without a word to us: its viewers wait a while, should there be any. */
  lose(publisher: Publisher): void {
    if (publisher.phase === 'lost') return;
    if (publisher.phase === 'live' || publisher.watched) {
      this.set({ publisher: { ...publisher, phase: 'lost', deadline: this.now + this.#graceMs, watched: true } });
    } else {
      this.endPublisher(publisher);
    }
  }

  endPublisher(publisher: Publisher): void {
    this.set({ publisher: null });
    if (!publisher.gone) this.tell(publisher);
  }

  dropSuccessor(successor: Publisher): void {
    this.set({ successor: null });
    this.tell(successor);
  }

  /** `uncertain`: the node may have opened it all the same. */
  failOpening(uncertain: boolean): void {
    const target = this.state?.opening?.target;
    this.set({ opening: null });
    if (uncertain && target) this.tell(target);
  }

  /** Does what the clock says. A publisher that is being replaced does not expire: the outcome of that decides. */
  expire(): void {
    const { opening, successor } = this.state ?? {};
    if (opening && opening.deadline <= this.now) this.failOpening(true);
    if (successor && (successor.deadline ?? 0) <= this.now) this.dropSuccessor(successor);
    const publisher = this.state?.publisher;
    if (!publisher || this.state?.opening || publisher.deadline === null || publisher.deadline > this.now) return;
    if (publisher.phase === 'connecting') this.lose(publisher);
    else this.endPublisher(publisher);
  }

  /** The end of the step: a room in which nothing runs is no room; its relays and the room list hear what became of it. */
  settle(event: LobbyEvent): void {
    if (this.state !== null && this.state.opening === null) {
      if (this.state.publisher && isOver(this.state.publisher, this.now)) this.endPublisher(this.state.publisher);
      const { publisher, successor } = this.state;
      if (successor && (publisher === null || publisher.phase === 'lost')) this.promote(successor, true);
      if (this.state.publisher === null) this.state = null;
    }
    if (this.state === null) this.#endRelays();
    else this.#settleRelays(this.state, event);
    this.#announce();
  }

  #endRelays(): void {
    const before = this.#before;
    for (const { node, boot } of before?.tree?.relays ?? []) this.tell({ node, boot }, before ?? undefined);
  }

  /** Brings the relay tree to what is so now. */
  #settleRelays(state: LobbyState, event: LobbyEvent): void {
    const { tree, effects } = relayTurn({
      before: this.#before,
      state,
      event,
      resumed: this.#resumed,
      now: this.now,
      around: this.#around,
    });
    if (tree !== state.tree) this.set({ tree });
    // First what nodes shall carry, then the requests that build upon it.
    for (const effect of effects) if (effect.type === 'tell') this.tell(effect);
    const { lobby } = state;
    const tracks = state.publisher?.tracks ?? [];
    for (const effect of effects) {
      if (effect.type === 'hang-up') this.effects.push(effect);
      if (effect.type !== 'pull') continue;
      this.bump();
      this.effects.push({ ...effect, lobby, tracks, revision: this.state?.revision ?? state.revision });
    }
  }

  /** The room list hears what has changed in it. */
  #announce(): void {
    const before = summaryOf(this.#before);
    const after = summaryOf(this.state);
    if (after !== null && this.state !== null) {
      if (before?.hasPublisher !== after.hasPublisher || before.tracks !== after.tracks) {
        this.effects.push({ type: 'announce', lobby: this.state.lobby, ...after });
      }
    } else if (before !== null && this.#before !== null) {
      this.effects.push({ type: 'ended', lobby: this.#before.lobby });
    }
  }
}
