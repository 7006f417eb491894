/** Rates over a sliding second, in fixed buckets: adding costs no allocation and no division per past packet. */

const BUCKETS = 20;
const BUCKET_MS = 50;
const BITS_PER_BYTE = 8;
const MS_PER_S = 1000;

export class BitrateMeter {
  readonly #bytes = new Float64Array(BUCKETS);
  readonly #packets = new Uint32Array(BUCKETS);
  /** Number of the newest bucket since time 0; its slot is this modulo BUCKETS. */
  #newest = Number.NEGATIVE_INFINITY;

  add(bytes: number, nowMs: number): void {
    const bucket = Math.floor(nowMs / BUCKET_MS);
    if (bucket > this.#newest) this.#advance(bucket);
    const slot = this.#newest % BUCKETS;
    this.#bytes[slot] = (this.#bytes[slot] ?? 0) + bytes;
    this.#packets[slot] = (this.#packets[slot] ?? 0) + 1;
  }

  /** Bits per second over the last second. In the first second of a stream the missing time counts as silence. */
  bitrateBps(nowMs: number): number {
    return this.#sum(this.#bytes, nowMs) * BITS_PER_BYTE;
  }

  packetsPerSecond(nowMs: number): number {
    return this.#sum(this.#packets, nowMs);
  }

  /** Sum per second: the newest bucket is only partly over, so the sum covers a bit less than a second. */
  #sum(values: ArrayLike<number>, nowMs: number): number {
    this.#advance(Math.floor(nowMs / BUCKET_MS));
    let sum = 0;
    for (let slot = 0; slot < BUCKETS; slot++) sum += values[slot] ?? 0;
    const coveredMs = (BUCKETS - 1) * BUCKET_MS + Math.max(0, nowMs - this.#newest * BUCKET_MS);
    return (sum * MS_PER_S) / coveredMs;
  }

  #advance(bucket: number): void {
    if (bucket <= this.#newest) return;
    const stale = Math.min(BUCKETS, bucket - this.#newest);
    for (let back = 0; back < stale; back++) {
      const slot = (((bucket - back) % BUCKETS) + BUCKETS) % BUCKETS;
      this.#bytes[slot] = 0;
      this.#packets[slot] = 0;
    }
    this.#newest = bucket;
  }
}
