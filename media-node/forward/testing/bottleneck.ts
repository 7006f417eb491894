/** A line of so many bits per second with a queue before it, in the time of a test: what finds the queue full is lost. */

const BITS_PER_BYTE = 8;
const MS_PER_S = 1_000;

export interface BottleneckOptions {
  rateBps: number;
  /** How long the queue makes a datagram wait at most. */
  queueMs: number;
  /** One way, besides the queue. */
  delayMs: number;
  /** Lost by chance, before the queue: 0 to 1. */
  loss: number;
}

export class Bottleneck {
  /** May be changed at any time. */
  readonly options: BottleneckOptions;
  dropped = 0;
  readonly #random: () => number;
  readonly #deliver: (datagram: Buffer) => void;
  readonly #onTheWay: { atMs: number; datagram: Buffer }[] = [];
  /** When the last byte of what is in the queue has left. */
  #freeMs = 0;

  constructor(options: BottleneckOptions, random: () => number, deliver: (datagram: Buffer) => void) {
    this.options = options;
    this.#random = random;
    this.#deliver = deliver;
  }

  send(datagram: Buffer, nowMs: number): void {
    const { rateBps, queueMs, delayMs, loss } = this.options;
    const beginMs = Math.max(nowMs, this.#freeMs);
    if (this.#random() < loss || beginMs - nowMs > queueMs) {
      this.dropped++;
      return;
    }
    this.#freeMs = beginMs + (datagram.length * BITS_PER_BYTE * MS_PER_S) / rateBps;
    this.#onTheWay.push({ atMs: this.#freeMs + delayMs, datagram });
  }

  /** Delivers what has arrived by now. */
  run(nowMs: number): void {
    for (let next = this.#onTheWay[0]; next !== undefined && next.atMs <= nowMs; next = this.#onTheWay[0]) {
      this.#onTheWay.shift();
      this.#deliver(next.datagram);
    }
  }
}
