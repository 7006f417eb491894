/** When the addon is called to send what waits: at the end of the event loop's turn, or as much later as it asks for. */
export class SendLoop {
  readonly #work: () => number;
  readonly #run = (): void => {
    this.#isSoon = false;
    this.#plan(this.#work());
  };
  readonly #runLate = (): void => {
    this.#isLate = false;
    if (!this.#isSoon) this.#run();
  };
  #isSoon = false;
  #isLate = false;

  /** @param work says in how many milliseconds it is to be called again; 0: not before `soon` or `later`, −1: in the next turn */
  constructor(work: () => number) {
    this.#work = work;
  }

  /** At the end of this turn. */
  soon(): void {
    if (this.#isSoon) return;
    this.#isSoon = true;
    setImmediate(this.#run);
  }

  /** In that many milliseconds, if not sooner. */
  later(waitMs: number): void {
    if (this.#isSoon || this.#isLate) return;
    this.#isLate = true;
    setTimeout(this.#runLate, waitMs);
  }

  #plan(waitMs: number): void {
    if (waitMs < 0) this.soon();
    else if (waitMs > 0) this.later(waitMs);
  }
}
