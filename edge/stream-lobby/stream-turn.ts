/**
 * One step in the making: the state as it changes, and who has to hear of the outcome. What is told is the outcome of the
 * whole step, once for each node.
 */

import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { DesiredStream } from '../../shared/protocol/control.ts';
import { type Carrier, isOn } from '../carrier.ts';
import { placeAir } from './stream-air.ts';
import type { StreamEffect, StreamEvent, StreamPolicy } from './stream-events.ts';
import { settleRelays } from './stream-relays.ts';
import { desiredOn, isHeld, type Member, memberListeningAs, type StreamState } from './stream-state.ts';
import { settleSuccessors } from './stream-successors.ts';

export class StreamTurn {
  state: StreamState | null;
  readonly now: number;
  readonly policy: StreamPolicy;
  /** What is to be done besides telling nodes what they shall carry. */
  readonly effects: StreamEffect[] = [];
  readonly #told: Carrier[] = [];
  /** Where somebody or something was that is there no more. */
  readonly #left: Carrier[] = [];
  /** What some node shall carry has changed. */
  #changed = false;
  #lobby: LobbyId | null;

  constructor(state: StreamState | null, now: number, policy: StreamPolicy) {
    this.state = state;
    this.now = now;
    this.policy = policy;
    this.#lobby = state?.lobby ?? null;
  }

  get members(): readonly Member[] {
    return this.state?.members ?? [];
  }

  /** In whatever phase. */
  member(session: SessionId): Member | null {
    return this.members.find((one) => one.session === session) ?? null;
  }

  set(change: Partial<StreamState>): void {
    if (this.state !== null) this.state = { ...this.state, ...change };
  }

  /** Takes the place of the member with the same session. */
  update(member: Member): void {
    if (this.members.includes(member)) return;
    this.set({ members: this.members.map((one) => (one.session === member.session ? member : one)) });
  }

  /** `tell`: its node does not know yet. */
  remove(member: Member, tell: boolean): void {
    this.lose(member);
    if (member.target === null) return;
    this.#left.push(member.target);
    this.changed(tell ? member.target : null);
  }

  /** With its node: nobody there can be told. */
  lose({ session, relays }: Member): void {
    this.set({ members: this.members.filter((one) => one.session !== session) });
    this.changed(null);
    for (const relay of relays?.relays ?? []) this.changed(relay);
  }

  /** Nobody of the audience is there any more. */
  unwatch(carrier: Carrier): void {
    this.set({ audiences: this.state?.audiences.filter((place) => !isOn(place, carrier)) ?? [] });
    this.#left.push(carrier);
    this.changed(null);
  }

  unlisten(listener: SessionId, tell: boolean): void {
    const member = memberListeningAs(this.state, listener);
    if (member === null) return;
    this.update({ ...member, listener: null });
    this.changed(tell ? member.target : null);
  }

  endLive(error: string | null): void {
    const live = this.state?.live;
    if (!live) return;
    this.set({ live: null, lastLive: { live: live.live, error } });
    this.changed(live.node);
  }

  /** What nodes shall carry is not what it was; `carrier` has to be told. */
  changed(carrier: Carrier | null): void {
    this.#changed = true;
    if (carrier === null || this.#told.some((one) => isOn(one, carrier))) return;
    this.#told.push({ node: carrier.node, boot: carrier.boot });
  }

  /** `carrier` opened something in a lobby that is over. */
  disown(lobby: LobbyId, carrier: Carrier): void {
    this.#lobby = lobby;
    this.changed(carrier);
  }

  /** A lobby that nobody holds is over: machines, audience and push go with the last human. */
  settle(event: StreamEvent): { state: StreamState | null; effects: StreamEffect[] } {
    if (this.state !== null) {
      settleSuccessors(this);
      if (isHeld(this.state)) {
        placeAir(this);
        settleRelays(this, event);
      } else this.#end(this.state);
    }
    for (const carrier of this.#left) {
      if (this.state !== null && desiredOn(this.state, carrier) === null) this.changed(carrier);
    }
    if (this.#changed) this.set({ revision: this.#nextRevision() });
    const revision = this.state?.revision ?? this.#nextRevision();
    const applies = this.#told.flatMap((carrier) => this.#apply(carrier, revision));
    const state = this.state !== null && isHeld(this.state) ? this.state : null;
    return { state, effects: [...applies, ...this.effects] };
  }

  #end({ members, audiences, live }: StreamState): void {
    for (const { target, relays } of members) {
      if (target !== null) this.changed(target);
      for (const relay of relays?.relays ?? []) this.changed(relay);
    }
    for (const place of audiences) this.changed(place);
    this.changed(live?.node ?? null);
    this.set({ members: [], audiences: [], live: null });
  }

  #apply(carrier: Carrier, revision: number): StreamEffect[] {
    const lobby = this.state?.lobby ?? this.#lobby;
    if (lobby === null) return [];
    const nothing: DesiredStream = { lobby, revision, members: [], live: null };
    return [{ type: 'apply', ...carrier, desired: desiredOn(this.state, carrier) ?? nothing }];
  }

  #nextRevision(): number {
    return Math.max((this.state?.revision ?? 0) + 1, this.policy.revisionFloor + 1, this.now);
  }
}
