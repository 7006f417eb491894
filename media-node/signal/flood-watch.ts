/**
 * Notices a member that floods its signal channel. The transport drops what comes too fast or is too long, so it harms
 * nobody; but who does not stop is let go.
 */

/** Dropped, senseless or costly messages in a second that are too many; one in a hundred of what a flood has. */
const MAX_PER_LOOK = 100;
/** Seconds in a row that are put up with. */
const MAX_LOOKS = 10;

export class FloodWatch {
  #total = 0;
  #strikes = 0;

  /** Call it once a second. @param total such messages so far; true: it has gone on for too long */
  look(total: number): boolean {
    this.#strikes = total - this.#total > MAX_PER_LOOK ? this.#strikes + 1 : 0;
    this.#total = total;
    return this.#strikes >= MAX_LOOKS;
  }
}
