/**
 * Work that comes in heaps, in slices: a hundred requests that arrive with one read of the link must not make media wait
 * for all of them. What fits is done at once, the rest in the next turns of the event loop, in order.
 */

/** Of each turn; one item is always handled. */
const SLICE_MS = 3;

export class TurnSlices<T> {
  readonly #handle: (item: T) => void;
  readonly #waiting: T[] = [];
  readonly #run = (): void => this.#nextTurn();
  #immediate: NodeJS.Immediate | null = null;
  /** Of this turn's slice. */
  #usedMs = 0;

  /** @param handle must not throw */
  constructor(handle: (item: T) => void) {
    this.#handle = handle;
  }

  push(item: T): void {
    this.#immediate ??= setImmediate(this.#run);
    if (this.#waiting.length > 0 || this.#usedMs >= SLICE_MS) this.#waiting.push(item);
    else this.#handleNow(item);
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting.length = 0;
  }

  #nextTurn(): void {
    this.#immediate = null;
    this.#usedMs = 0;
    if (this.#waiting.length === 0) return;
    this.#immediate = setImmediate(this.#run);
    while (this.#usedMs < SLICE_MS) {
      const item = this.#waiting.shift();
      if (item === undefined) break;
      this.#handleNow(item);
    }
  }

  #handleNow(item: T): void {
    const fromMs = performance.now();
    this.#handle(item);
    this.#usedMs += performance.now() - fromMs;
  }
}
