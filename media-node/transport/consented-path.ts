/** Runs the path machine: writes what it asks, reads the answers, tells where media goes. */
import { randomBytes } from 'node:crypto';
import type { IceCredentials } from '../negotiate/plan.ts';
import { type PeerAddress, sameAddress } from './ice-lite-machine.ts';
import { openPath, type PathEvent, type PathState, step } from './path-machine.ts';
import {
  PEER_REFLEXIVE_PRIORITY,
  readBindingSuccess,
  TIE_BREAKER_BYTES,
  TRANSACTION_ID_BYTES,
  writeBindingRequest,
} from './stun-checks.ts';

export interface PathEvents {
  send(datagram: Buffer, to: PeerAddress): void;
  /** Media goes elsewhere, or somewhere for the first time. */
  onMoved(): void;
}

/** A question on its way; the same for all repetitions. */
interface Question {
  readonly to: PeerAddress;
  readonly username: string;
  readonly password: string;
  readonly transactionId: Buffer;
}

/** The present credentials of the peer, and those before: during a restart both are in use. */
const MAX_REMOTES = 2;

export class ConsentedPath {
  readonly #events: PathEvents;
  #state: PathState = openPath();
  /** The peer's credentials, newest first. */
  #remotes: readonly IceCredentials[] = [];
  /** Of the peer's last check: ours, colon, theirs. */
  #username = '';
  #question: Question | null = null;

  constructor(events: PathEvents) {
    this.#events = events;
  }

  /** Where media goes; null: nowhere yet. */
  get current(): PeerAddress | null {
    return this.#state.path;
  }

  /** When `tick` has something to do. */
  get nextTickMs(): number {
    return this.#state.asking?.nextMs ?? Number.POSITIVE_INFINITY;
  }

  /**
   * With what questions are signed; without, none is asked.
   * @param replacesNewest what came last was never used: a restart during a restart
   */
  addRemote(remote: IceCredentials, replacesNewest = false): void {
    const before = replacesNewest ? this.#remotes.slice(1) : this.#remotes;
    this.#remotes = [remote, ...before].slice(0, MAX_REMOTES);
  }

  /** The user name of an authenticated check. A question has the same, the other way round: a restart goes by halves. */
  noteUsername(username: string): void {
    this.#username = username;
  }

  /** The peer wants media there. */
  nominate(address: PeerAddress, nowMs: number): void {
    this.#step({ type: 'nominated', address }, nowMs);
  }

  /** The peer checked this address without wanting media there. */
  check(address: PeerAddress, nowMs: number): void {
    this.#step({ type: 'checked', address }, nowMs);
  }

  /** The peer has shown otherwise that it is there. */
  reach(address: PeerAddress, nowMs: number): void {
    this.#step({ type: 'reached', address }, nowMs);
  }

  forget(address: PeerAddress, nowMs: number): void {
    this.#step({ type: 'forgotten', address }, nowMs);
  }

  /** Takes a STUN answer; true when it is one to a question of ours. */
  receiveAnswer(datagram: Buffer, from: PeerAddress, nowMs: number): boolean {
    const question = this.#question;
    if (question === null || !sameAddress(question.to, from)) return false;
    const transaction = readBindingSuccess(datagram, question.password);
    if (transaction !== question.transactionId.toString('hex')) return false;
    this.#question = null;
    this.#step({ type: 'reached', address: from }, nowMs);
    return true;
  }

  tick(nowMs: number): void {
    if (this.nextTickMs <= nowMs) this.#step({ type: 'time-passed' }, nowMs);
  }

  #step(event: PathEvent, nowMs: number): void {
    const { state, effects } = step(this.#state, event, nowMs);
    this.#state = state;
    for (const effect of effects) {
      if (effect.type === 'ask') this.#ask(effect.to);
      else this.#events.onMoved();
    }
  }

  #ask(to: PeerAddress): void {
    const [ours = '', theirs = ''] = this.#username.split(':');
    const remote = this.#remotes.find(({ ufrag }) => ufrag === theirs) ?? this.#remotes[0];
    if (remote === undefined) return;
    const username = `${remote.ufrag}:${ours}`;
    let question = this.#question;
    if (question === null || question.username !== username || !sameAddress(question.to, to)) {
      question = { to, username, password: remote.pwd, transactionId: randomBytes(TRANSACTION_ID_BYTES) };
      this.#question = question;
    }
    const datagram = writeBindingRequest({
      username,
      password: question.password,
      transactionId: question.transactionId,
      priority: PEER_REFLEXIVE_PRIORITY,
      role: { name: 'controlled', tieBreaker: randomBytes(TIE_BREAKER_BYTES) },
      useCandidate: false,
    });
    this.#events.send(datagram, to);
  }
}
