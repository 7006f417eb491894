/** How long ago a connected peer was heard, and what follows from that. */

export interface LivenessLimits {
  /** So long without a sign of life is a silence. */
  silenceMs: number;
  /** So long, and the peer is gone. */
  expiryMs: number;
}

export class Liveness {
  readonly #limits: LivenessLimits;
  readonly #onSilence: (silent: boolean) => void;
  #heardMs: number;
  #silent = false;

  /** @param onSilence a silence began (true), or was over (false) */
  constructor(limits: LivenessLimits, onSilence: (silent: boolean) => void, nowMs: number) {
    this.#limits = limits;
    this.#onSilence = onSilence;
    this.#heardMs = nowMs;
  }

  /** When anything authenticated came last. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** When `tick` has something to do. */
  get nextTickMs(): number {
    const { silenceMs, expiryMs } = this.#limits;
    return this.#heardMs + (this.#silent ? expiryMs : Math.min(silenceMs, expiryMs));
  }

  /** Something authenticated came. */
  hear(nowMs: number): void {
    this.#heardMs = nowMs;
    if (!this.#silent) return;
    this.#silent = false;
    this.#onSilence(false);
  }

  /** This process stood still for so long: what it did not hear meanwhile is no silence of the peer's. */
  pardon(missedMs: number, nowMs: number): void {
    this.#heardMs = Math.min(nowMs, this.#heardMs + missedMs);
  }

  /** True when the peer is gone. */
  tick(nowMs: number): boolean {
    const silentMs = nowMs - this.#heardMs;
    if (silentMs >= this.#limits.silenceMs && !this.#silent) {
      this.#silent = true;
      this.#onSilence(true);
    }
    return silentMs >= this.#limits.expiryMs;
  }
}
