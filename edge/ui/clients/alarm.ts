/** One timer that is set anew whenever a machine says when it wants to be woken next. */
export class Alarm {
  readonly #ring: () => void;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Rings once at this time of `performance.now()`, at once when it is past; null: not at all. What was set before is void. */
  set(atMs: number | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = atMs === null ? null : setTimeout(this.#ring, Math.max(0, Math.ceil(atMs - performance.now())));
  }
}
