/**
 * When a stream's sender reports are due. A player needs two of each track before it can fit sound to picture, so the
 * first come quickly, and then ever more seldom: clocks drift slowly. Each is a little sooner or later than the rule says,
 * by its SSRC, so that those of viewers who joined together do not stay together (RFC 3550 §6.2).
 */
const FIRST_INTERVAL_MS = 250;
const LONGEST_INTERVAL_MS = 2_500;
/** Of an interval, to both sides. */
const SPREAD = 0.2;
/** Knuth's multiplicative hash: SSRCs that differ little are far apart after it. */
const HASH_FACTOR = 2_654_435_761;
const HASH_RANGE = 2 ** 32;

export class ReportTimes {
  readonly #ssrc: number;
  #count = 0;
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(ssrc: number) {
    this.#ssrc = ssrc;
  }

  /** In the past: now. */
  get nextMs(): number {
    return this.#nextMs;
  }

  sent(nowMs: number): void {
    const intervalMs = Math.min(LONGEST_INTERVAL_MS, FIRST_INTERVAL_MS * 2 ** this.#count);
    this.#count++;
    const place = (Math.imul(this.#ssrc + this.#count, HASH_FACTOR) >>> 0) / HASH_RANGE;
    this.#nextMs = nowMs + intervalMs * (1 - SPREAD + 2 * SPREAD * place);
  }

  /** What is reported is not what it was: a player has to learn it anew. */
  restart(): void {
    this.#count = 0;
    this.#nextMs = Number.NEGATIVE_INFINITY;
  }
}
