/**
 * Asks the clients of a node that leaves to move, one by one. Each of them makes a new session elsewhere beside the one
 * it has: thousands in the same second would be a storm on the edge and on the nodes that take them.
 */

/** A client that may be asked to make a new session elsewhere. Asked when it is gone, it does nothing. */
export interface Mover {
  askToMove(): void;
}

const SLICE_MS = 100;
/**
 * Ten clients a second at least. With fifty, pictures stood still for up to 770 ms where one machine shows all of them
 * (`test/fleet/README.md`).
 */
const FEWEST_PER_SLICE = 1;
/** Of the time until the rest is ended: those who were asked last need some of it to move. */
const SHARE_OF_TIME = 0.5;

export class MoveRound {
  /** In reverse: the next one is the last. */
  readonly #waiting: Mover[];
  readonly #nowMs: () => number;
  #endMs: number;
  readonly #timer: NodeJS.Timeout;

  /** Asks the first of them at once. @param timeoutMs until those who have not moved are ended */
  constructor(movers: Iterable<Mover>, timeoutMs: number, nowMs: () => number) {
    this.#waiting = [...movers].reverse();
    this.#nowMs = nowMs;
    this.#endMs = nowMs() + timeoutMs * SHARE_OF_TIME;
    this.#timer = setInterval(() => this.#ask(), SLICE_MS);
    this.#ask();
  }

  /** There is less time than was said. */
  hurry(timeoutMs: number): void {
    this.#endMs = Math.min(this.#endMs, this.#nowMs() + timeoutMs * SHARE_OF_TIME);
  }

  /** Nobody is asked any more. Idempotent. */
  close(): void {
    clearInterval(this.#timer);
    this.#waiting.length = 0;
  }

  #ask(): void {
    const slicesLeft = Math.max(1, Math.floor((this.#endMs - this.#nowMs()) / SLICE_MS));
    const count = Math.max(FEWEST_PER_SLICE, Math.ceil(this.#waiting.length / slicesLeft));
    for (let asked = 0; asked < count; asked += 1) this.#waiting.pop()?.askToMove();
    if (this.#waiting.length === 0) this.close();
  }
}
