/**
 * A full agent in the controlling role, made for lite ones (the checks of others are answered): one pair, checks until the first answer, nomination with the
 * first check (as FFmpeg does) or with the check after the first answer (as libwebrtc does), then consent checks.
 */
import { bindingSuccess, hasIntegrity, parseBindingRequest } from '../../../media-node/transport/stun.ts';
import { readAnswer, writeCheck } from './stun-check.ts';

const CHECK_INTERVAL_MS = 50;
/** libwebrtc checks an established pair this often; RFC 7675 asks for one in 5 s. */
const CONSENT_INTERVAL_MS = 2_500;
const MAX_OUTSTANDING = 64;

export interface Credentials {
  ufrag: string;
  pwd: string;
}

export interface ControllingIceOptions {
  local: Credentials;
  remote: Credentials;
  /** Where its checks come from. */
  peer: { address: string; port: number };
  /** As FFmpeg 8.0: bare checks, and none once the pair works. */
  bare: boolean;
  /** Nominate not before this long after the pair works; 0: with the first check. */
  nominateAfterMs: number;
  send(datagram: Buffer): void;
  /** The peer answered: the pair works. */
  onWorking(): void;
}

export class ControllingIce {
  /** Answers with an error code, in order. */
  readonly errors: number[] = [];
  /** Answered checks. */
  answers = 0;
  readonly #options: ControllingIceOptions;
  /** Checks without an answer yet, and whether they nominate. */
  readonly #outstanding = new Map<string, boolean>();
  #working = false;
  #nominated = false;
  #nextCheckMs = 0;

  constructor(options: ControllingIceOptions) {
    this.#options = options;
  }

  get nominated(): boolean {
    return this.#nominated;
  }

  tick(nowMs: number): void {
    if (nowMs < this.#nextCheckMs || (this.#nominated && this.#options.bare)) return;
    this.#nextCheckMs = nowMs + (this.#nominated ? CONSENT_INTERVAL_MS : CHECK_INTERVAL_MS);
    this.check();
  }

  /** Sends a check now. */
  check(): void {
    const { local, remote, bare, nominateAfterMs, send } = this.#options;
    const useCandidate = nominateAfterMs === 0 || this.#working;
    const { datagram, transaction } = writeCheck({
      username: `${remote.ufrag}:${local.ufrag}`,
      password: remote.pwd,
      useCandidate,
      bare,
    });
    const [oldest] = this.#outstanding.keys();
    if (this.#outstanding.size >= MAX_OUTSTANDING && oldest !== undefined) this.#outstanding.delete(oldest);
    this.#outstanding.set(transaction, useCandidate);
    send(datagram);
  }

  receive(datagram: Buffer): void {
    if (this.#answerCheck(datagram)) return;
    const answer = readAnswer(datagram, this.#options.remote.pwd);
    const nominates = answer === null ? undefined : this.#outstanding.get(answer.transaction);
    if (answer === null || nominates === undefined) return;
    this.#outstanding.delete(answer.transaction);
    if (answer.errorCode !== null) {
      this.errors.push(answer.errorCode);
      return;
    }
    this.answers += 1;
    this.#nominated ||= nominates;
    if (this.#working) return;
    this.#working = true;
    if (!nominates) this.#nextCheckMs = performance.now() + this.#options.nominateAfterMs;
    this.#options.onWorking();
  }

  /** Lite agents send no checks; full ones need an answer before they take the pair. */
  #answerCheck(datagram: Buffer): boolean {
    const request = parseBindingRequest(datagram);
    if (request === null) return false;
    const { local, peer, send } = this.#options;
    if (hasIntegrity(request, local.pwd)) send(bindingSuccess(request, peer.address, peer.port, local.pwd));
    return true;
  }
}
