/**
 * One step in the making: the state as it changes, and who has to hear of the outcome. What is told is the outcome of the
 * whole step, once for each node.
 */
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { DesiredStream } from '../../shared/protocol/control.ts';
import { type Carrier, isOn } from '../lobby/lobby-state.ts';
import type { StreamEffect, StreamPolicy } from './stream-events.ts';
import { desiredOn, isHeld, type Member, memberListeningAs, type StreamState } from './stream-state.ts';

export class StreamTurn {
  state: StreamState | null;
  readonly now: number;
  readonly policy: StreamPolicy;
  readonly #told: Carrier[] = [];
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
    this.set({ members: this.members.filter(({ session }) => session !== member.session) });
    if (member.target !== null) this.changed(tell ? member.target : null);
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
    this.changed(this.state?.node ?? null);
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
  settle(): { state: StreamState | null; effects: StreamEffect[] } {
    if (this.state !== null && !isHeld(this.state)) {
      for (const { target } of this.members) if (target !== null) this.changed(target);
      if (this.state.node !== null) this.changed(this.state.node);
      this.set({ members: [], live: null });
    }
    if (this.#changed) this.set({ revision: this.#nextRevision() });
    const revision = this.state?.revision ?? this.#nextRevision();
    const effects = this.#told.flatMap((carrier) => this.#apply(carrier, revision));
    return { state: this.state !== null && isHeld(this.state) ? this.state : null, effects };
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
