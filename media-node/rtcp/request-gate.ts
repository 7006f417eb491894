/**
 * How often one viewer is obeyed in what costs others: the first few times at once, then ever more seldom while it goes on
 * asking. Whoever was quiet for a while starts afresh, so a viewer on a bad line that asks when its picture breaks is
 * served, and one that asks all the time is not.
 */

export interface RequestGateRules {
  /** So many are granted at once. */
  free: number;
  /** The next one after them waits this long since the last granted; doubled each time. */
  firstWaitMs: number;
  longestWaitMs: number;
  /** Without any request for this long everything is forgotten. */
  forgetMs: number;
}

export class RequestGate {
  readonly #rules: RequestGateRules;
  #granted = 0;
  #waitMs: number;
  #lastGrantedMs = Number.NEGATIVE_INFINITY;
  #lastAskedMs = Number.NEGATIVE_INFINITY;

  constructor(rules: RequestGateRules) {
    this.#rules = rules;
    this.#waitMs = rules.firstWaitMs;
  }

  /** Whether this request is granted; it then counts. */
  take(nowMs: number): boolean {
    const { free, firstWaitMs, longestWaitMs, forgetMs } = this.#rules;
    if (nowMs - this.#lastAskedMs >= forgetMs) {
      this.#granted = 0;
      this.#waitMs = firstWaitMs;
    }
    this.#lastAskedMs = nowMs;
    if (this.#granted >= free) {
      if (nowMs - this.#lastGrantedMs < this.#waitMs) return false;
      this.#waitMs = Math.min(longestWaitMs, this.#waitMs * 2);
    }
    this.#granted++;
    this.#lastGrantedMs = nowMs;
    return true;
  }
}
