/** How long an SCTP sender waits for an acknowledgement (RFC 9260 §6.3.1). */

/** RFC 9260 wants 1 s; a peer may delay its SACK by 200 ms, and everything above that is waiting for nothing. */
const MIN_TIMEOUT_MS = 300;
const INITIAL_TIMEOUT_MS = 500;
/** Of doubling: RFC 9260 has 60 s, so that a peer that was away for some seconds would wait for as long again. */
const MAX_TIMEOUT_MS = 2_000;
/** Of a path: an answer that took longer was held up somewhere, once, and says nothing about the next one. */
const MAX_PATIENCE_MS = 4_000;
/** Shorter waits are for the operating system's scheduler, not for the path. */
const MIN_PATIENCE_MS = 20;
const ALPHA = 1 / 8;
const BETA = 1 / 4;

export class RoundTrip {
  #smoothedMs = Number.NaN;
  #deviationMs = 0;
  #initialMs = INITIAL_TIMEOUT_MS;

  /** By when an answer is to be expected; Infinity before the first measurement. */
  get patienceMs(): number {
    if (Number.isNaN(this.#smoothedMs)) return Number.POSITIVE_INFINITY;
    return Math.min(MAX_PATIENCE_MS, Math.max(MIN_PATIENCE_MS, this.#smoothedMs + 4 * this.#deviationMs));
  }

  /** Doubled with each of `timeouts` in a row that went before (RFC 9260 §6.3.3). */
  timeoutMs(timeouts: number): number {
    const { patienceMs } = this;
    if (patienceMs === Number.POSITIVE_INFINITY)
      return Math.max(this.#initialMs, backedOff(INITIAL_TIMEOUT_MS, timeouts));
    return backedOff(Math.max(MIN_TIMEOUT_MS, patienceMs), timeouts);
  }

  /**
   * Nothing came in time. Before the first measurement the path may just be slower than that, and what was repeated cannot
   * be measured: the next chunk gets no less patience than this one (Karn).
   */
  timedOut(): void {
    this.#initialMs = Math.min(MAX_PATIENCE_MS, 2 * this.#initialMs);
  }

  measure(measuredMs: number): void {
    const roundTripMs = Math.min(MAX_PATIENCE_MS, measuredMs);
    if (Number.isNaN(this.#smoothedMs)) {
      this.#smoothedMs = roundTripMs;
      this.#deviationMs = roundTripMs / 2;
      return;
    }
    const difference = Math.abs(this.#smoothedMs - roundTripMs);
    this.#deviationMs += BETA * (difference - this.#deviationMs);
    this.#smoothedMs += ALPHA * (roundTripMs - this.#smoothedMs);
  }
}

function backedOff(baseMs: number, timeouts: number): number {
  return Math.min(Math.max(MAX_TIMEOUT_MS, baseMs), baseMs * 2 ** timeouts);
}
