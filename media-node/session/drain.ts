/** Leaving without haste: nothing new is taken, those who are here are asked to move, and what is left ends with the time. */
import { ProblemError } from '../../shared/errors.ts';

const LOOK_INTERVAL_MS = 100;
const RETRY_AFTER_S = 1;

export interface DrainOptions {
  /** Monotonic milliseconds. */
  now(): number;
  /** Somebody is here who would miss us. */
  busy(): boolean;
  /** Called once, at the beginning. @param timeoutMs as given */
  onBegin(timeoutMs: number): void;
  /** Called once: nobody is here any more, or the time is over. Never from within `begin`. */
  onDone(): void;
}

export class Drain {
  readonly #options: DrainOptions;
  #endMs: number | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  get active(): boolean {
    return this.#endMs !== null;
  }

  /** Again: only a shorter time counts. @param timeoutMs 0: what is here ends at once */
  begin(timeoutMs: number): void {
    const endMs = this.#options.now() + timeoutMs;
    const begun = this.active;
    this.#endMs = Math.min(this.#endMs ?? Number.POSITIVE_INFINITY, endMs);
    if (begun) return;
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS);
    this.#options.onBegin(timeoutMs);
  }

  /** @throws ProblemError 503 `node_draining` while it drains */
  refuseNew(): void {
    if (!this.active) return;
    throw new ProblemError(503, 'node_draining', 'the media node is about to leave', {
      retryAfterSeconds: RETRY_AFTER_S,
    });
  }

  /** Idempotent. */
  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #look(): void {
    const isOver = this.#endMs !== null && this.#options.now() >= this.#endMs;
    if (!isOver && this.#options.busy()) return;
    this.close();
    this.#options.onDone();
  }
}
