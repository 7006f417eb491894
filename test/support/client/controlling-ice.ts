/**
 * A full agent in the controlling role against a lite one: one pair, checks until the first answer, nomination with the
 * first check (as FFmpeg and most libraries do against lite peers), then consent checks.
 */
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
  /** As FFmpeg 8.0: bare checks, and none once the pair works. */
  bare: boolean;
  send(datagram: Buffer): void;
  /** The peer answered a nominating check. */
  onNominated(): void;
}

export class ControllingIce {
  /** Answers with an error code, in order. */
  readonly errors: number[] = [];
  /** Answered checks. */
  answers = 0;
  readonly #options: ControllingIceOptions;
  readonly #outstanding = new Set<string>();
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

  /** Sends a nominating check now. */
  check(): void {
    const { local, remote, bare, send } = this.#options;
    const { datagram, transaction } = writeCheck({
      username: `${remote.ufrag}:${local.ufrag}`,
      password: remote.pwd,
      useCandidate: true,
      bare,
    });
    const [oldest] = this.#outstanding;
    if (this.#outstanding.size >= MAX_OUTSTANDING && oldest !== undefined) this.#outstanding.delete(oldest);
    this.#outstanding.add(transaction);
    send(datagram);
  }

  receive(datagram: Buffer): void {
    const answer = readAnswer(datagram, this.#options.remote.pwd);
    if (answer === null || !this.#outstanding.delete(answer.transaction)) return;
    if (answer.errorCode !== null) {
      this.errors.push(answer.errorCode);
      return;
    }
    this.answers += 1;
    if (this.#nominated) return;
    this.#nominated = true;
    this.#options.onNominated();
  }
}
