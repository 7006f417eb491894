/**
 * What was sent to a viewer on one SSRC, for retransmission: stretches of sequence numbers that map to one source stream
 * by constant differences. A viewer at the live edge has one stretch; one that was started from the cache has one more
 * per cached frame, because those got timestamps of their own.
 */
import type { IngressStream } from './ingress-stream.ts';

const INITIAL = 8;
/** A cached GOP of half a minute; beyond it the oldest are forgotten. */
const MAX_SEGMENTS = 1024;

export class SentSegments {
  #capacity = INITIAL;
  #first = new Float64Array(INITIAL);
  #sequenceDelta = new Float64Array(INITIAL);
  #timestampDelta = new Uint32Array(INITIAL);
  #streams: (IngressStream | null)[] = new Array<IngressStream | null>(INITIAL).fill(null);
  #count = 0;
  /** What `find` found last. */
  stream: IngressStream | null = null;
  sourceSequence = 0;
  timestampDelta = 0;

  /** From the extended sequence number `first` (above all before) on, packets are those of `stream` with these differences. */
  add(first: number, stream: IngressStream, sequenceDelta: number, timestampDelta: number): void {
    if (this.#count === this.#capacity && this.#capacity < MAX_SEGMENTS) this.#grow();
    const at = this.#count % this.#capacity;
    this.#first[at] = first;
    this.#sequenceDelta[at] = sequenceDelta;
    this.#timestampDelta[at] = timestampDelta;
    this.#streams[at] = stream;
    this.#count++;
  }

  /** Whether a packet was mapped to this number; `stream`, `sourceSequence` and `timestampDelta` then say how. */
  find(extSequence: number): boolean {
    // The newest one that begins at or before it; they are added in ascending order.
    let at = -1;
    let low = Math.max(0, this.#count - this.#capacity);
    let high = this.#count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if ((this.#first[middle % this.#capacity] as number) > extSequence) {
        high = middle - 1;
      } else {
        at = middle % this.#capacity;
        low = middle + 1;
      }
    }
    if (at < 0) return false;
    this.stream = this.#streams[at] ?? null;
    this.sourceSequence = extSequence - (this.#sequenceDelta[at] as number);
    this.timestampDelta = this.#timestampDelta[at] as number;
    return true;
  }

  /** Doubles; only ever called before the circle has closed, so the order is the index. */
  #grow(): void {
    const capacity = this.#capacity * 2;
    const first = new Float64Array(capacity);
    const sequenceDelta = new Float64Array(capacity);
    const timestampDelta = new Uint32Array(capacity);
    first.set(this.#first);
    sequenceDelta.set(this.#sequenceDelta);
    timestampDelta.set(this.#timestampDelta);
    this.#first = first;
    this.#sequenceDelta = sequenceDelta;
    this.#timestampDelta = timestampDelta;
    this.#capacity = capacity;
  }
}
