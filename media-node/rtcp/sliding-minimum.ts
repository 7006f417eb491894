/** The minimum of what was added lately, in constant space. */

const BUCKETS = 4;

export class SlidingMinimum {
  readonly #bucketMs: number;
  readonly #minima = new Float64Array(BUCKETS).fill(Number.POSITIVE_INFINITY);
  #newest = Number.NEGATIVE_INFINITY;

  /** @param windowMs a value counts for at least three quarters of this time, and for at most all of it. */
  constructor(windowMs: number) {
    this.#bucketMs = windowMs / BUCKETS;
  }

  /** Infinity when nothing was added since `clear`; otherwise never empty: the last value stays until another comes. */
  get value(): number {
    return Math.min(
      this.#minima[0] ?? Number.POSITIVE_INFINITY,
      this.#minima[1] ?? Number.POSITIVE_INFINITY,
      this.#minima[2] ?? Number.POSITIVE_INFINITY,
      this.#minima[3] ?? Number.POSITIVE_INFINITY,
    );
  }

  add(value: number, nowMs: number): void {
    const bucket = Math.floor(nowMs / this.#bucketMs);
    if (bucket > this.#newest) {
      const stale = Math.min(BUCKETS, bucket - this.#newest);
      for (let back = 0; back < stale; back++) this.#minima[(bucket - back) & (BUCKETS - 1)] = Number.POSITIVE_INFINITY;
      this.#newest = bucket;
    }
    const slot = this.#newest & (BUCKETS - 1);
    if (value < (this.#minima[slot] ?? Number.POSITIVE_INFINITY)) this.#minima[slot] = value;
  }

  clear(): void {
    this.#minima.fill(Number.POSITIVE_INFINITY);
    this.#newest = Number.NEGATIVE_INFINITY;
  }
}
