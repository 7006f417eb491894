/** The controlling ICE agent of a transport that dials: runs the ICE machine, writes its checks and reads what comes back. */
import { randomBytes } from 'node:crypto';
import type { IceCredentials } from '../negotiate/plan.ts';
import type { DatagramOwner } from './datagram-socket.ts';
import type { DialledSockets } from './dialled-sockets.ts';
import {
  type ControllingEvent,
  type ControllingState,
  type DialledAddress,
  openControlling,
  step,
} from './ice-controlling-machine.ts';
import { bindingSuccess, hasIntegrity, localFragment, parseBindingRequest } from './stun.ts';
import {
  PEER_REFLEXIVE_PRIORITY,
  readBindingSuccess,
  TIE_BREAKER_BYTES,
  TRANSACTION_ID_BYTES,
  writeBindingRequest,
} from './stun-checks.ts';

export interface ControllingAgentOptions<T extends DatagramOwner> {
  sockets: DialledSockets<T>;
  /** Whom datagrams of the peer are for. */
  owner: T;
  local: IceCredentials;
  remote: IceCredentials;
  events: {
    /** The peer authenticated something. */
    onAlive(nowMs: number): void;
    /** The peer answers somewhere: the first time, or somewhere else, too. */
    onWorking(nowMs: number): void;
    /** Where media goes is settled. */
    onNominated(): void;
    /** The peer answers no longer. */
    onLost(): void;
  };
}

export class ControllingIceAgent<T extends DatagramOwner> {
  readonly #options: ControllingAgentOptions<T>;
  readonly #tieBreaker = randomBytes(TIE_BREAKER_BYTES);
  /** Null until there are sockets. */
  #ice: ControllingState | null = null;
  /** Numbers of checks by transaction id. */
  readonly #transactions = new Map<string, number>();
  readonly #working: DialledAddress[] = [];
  #nominated: DialledAddress | null = null;
  #closed = false;

  constructor(options: ControllingAgentOptions<T>) {
    this.#options = options;
  }

  /** Where media goes; null: not settled yet. */
  get nominated(): DialledAddress | null {
    return this.#nominated;
  }

  /** Where a handshake goes, which need not wait for that; null while no pair works. */
  get path(): DialledAddress | null {
    return this.#nominated ?? this.#working[0] ?? null;
  }

  /** Checks the candidates, in order of preference. */
  begin(candidates: readonly DialledAddress[], nowMs: number): void {
    if (!this.#closed) this.#ice = openControlling(candidates, nowMs);
  }

  /** @param heardMs when anything authenticated came last */
  tick(heardMs: number, nowMs: number): void {
    this.#step({ type: 'time-passed', heardMs, random: Math.random() }, nowMs);
  }

  /** Takes what may be STUN; it proves itself, wherever it comes from. */
  receive(datagram: Buffer, from: DialledAddress, nowMs: number): void {
    const transaction = readBindingSuccess(datagram, this.#options.remote.pwd);
    if (transaction === null) {
      this.#answerQuestion(datagram, from, nowMs);
      return;
    }
    const number = this.#transactions.get(transaction);
    if (number === undefined) return;
    this.#transactions.delete(transaction);
    this.#options.events.onAlive(nowMs);
    const { address, port } = from;
    this.#step({ type: 'answered', number, address, port, random: Math.random() }, nowMs);
  }

  /** Says to the sockets anew whose the peer's addresses are: the owner's keyring has changed. */
  claimAll(): void {
    for (const address of this.#working) this.#options.sockets.claim(address, this.#options.owner);
  }

  /** Gives the addresses back. */
  close(): void {
    this.#closed = true;
    this.#transactions.clear();
    for (const address of this.#working) this.#options.sockets.release(address, this.#options.owner);
  }

  /** A node asks whether we are where we want to have media (`path-machine.ts`). */
  #answerQuestion(datagram: Buffer, from: DialledAddress, nowMs: number): void {
    const { local, sockets, events } = this.#options;
    const request = parseBindingRequest(datagram);
    if (request === null || request.username === null || localFragment(request.username) !== local.ufrag) return;
    if (!request.iceControlled || !hasIntegrity(request, local.pwd)) return;
    events.onAlive(nowMs);
    sockets.send(bindingSuccess(request, from.address, from.port, local.pwd), from);
  }

  #step(event: ControllingEvent, nowMs: number): void {
    if (this.#ice === null || this.#closed) return;
    const { sockets, owner, events } = this.#options;
    const { state, effects } = step(this.#ice, event, nowMs);
    this.#ice = state;
    for (const effect of effects) {
      switch (effect.type) {
        case 'check':
          this.#sendCheck(effect.number, effect.to, effect.useCandidate);
          break;
        case 'working':
          this.#working.push(effect.to);
          sockets.claim(effect.to, owner);
          events.onWorking(nowMs);
          break;
        case 'nominated':
          this.#nominated = effect.to;
          events.onNominated();
          break;
        case 'forgotten':
          this.#forget(effect.number);
          break;
        case 'consent-lost':
          events.onLost();
          break;
      }
    }
  }

  #sendCheck(number: number, to: DialledAddress, useCandidate: boolean): void {
    const { local, remote, sockets } = this.#options;
    const transactionId = randomBytes(TRANSACTION_ID_BYTES);
    this.#transactions.set(transactionId.toString('hex'), number);
    const check = writeBindingRequest({
      username: `${remote.ufrag}:${local.ufrag}`,
      password: remote.pwd,
      transactionId,
      priority: PEER_REFLEXIVE_PRIORITY,
      role: { name: 'controlling', tieBreaker: this.#tieBreaker },
      useCandidate,
    });
    sockets.send(check, to);
  }

  #forget(number: number): void {
    for (const [transaction, known] of this.#transactions) {
      if (known === number) this.#transactions.delete(transaction);
    }
  }
}
