/** How long an SCTP sender waits for an acknowledgement (RFC 9260 §6.3.1). */

/** RFC 9260 wants 1 s; a peer may delay its SACK by 200 ms, and everything above that is waiting for nothing. */
const MIN_TIMEOUT_MS = 300;
const INITIAL_TIMEOUT_MS = 500;
const MAX_TIMEOUT_MS = 5_000;
const ALPHA = 1 / 8;
const BETA = 1 / 4;

export class RoundTrip {
  #smoothedMs = Number.NaN;
  #deviationMs = 0;
  #timeoutMs = INITIAL_TIMEOUT_MS;

  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  measure(roundTripMs: number): void {
    if (Number.isNaN(this.#smoothedMs)) {
      this.#smoothedMs = roundTripMs;
      this.#deviationMs = roundTripMs / 2;
    } else {
      const difference = Math.abs(this.#smoothedMs - roundTripMs);
      this.#deviationMs += BETA * (difference - this.#deviationMs);
      this.#smoothedMs += ALPHA * (roundTripMs - this.#smoothedMs);
    }
    const timeoutMs = this.#smoothedMs + 4 * this.#deviationMs;
    this.#timeoutMs = Math.min(MAX_TIMEOUT_MS, Math.max(MIN_TIMEOUT_MS, timeoutMs));
  }

  /** After a timeout, until the next measurement. */
  backOff(): void {
    this.#timeoutMs = Math.min(2 * this.#timeoutMs, MAX_TIMEOUT_MS);
  }
}
