/**
 * The timeline of a viewer's stream: which RTP timestamp belongs to which time of ours. It goes on while nothing is sent,
 * so that whatever is sent next (another layer, a publisher that came back) continues it.
 */
export class OutClock {
  readonly #unitsPerMs: number;
  #anchorMs: number;
  #anchorTimestamp: number;

  /** @param clockRate Hz */
  constructor(clockRate: number, timestamp: number, nowMs: number) {
    this.#unitsPerMs = clockRate / 1000;
    this.#anchorMs = nowMs;
    this.#anchorTimestamp = timestamp;
  }

  /** The timestamp at `nowMs`, unsigned. */
  at(nowMs: number): number {
    return (this.#anchorTimestamp + Math.round((nowMs - this.#anchorMs) * this.#unitsPerMs)) >>> 0;
  }

  /** Says what the timestamp at `nowMs` is: by the source that is being sent. */
  set(timestamp: number, nowMs: number): void {
    this.#anchorTimestamp = timestamp >>> 0;
    this.#anchorMs = nowMs;
  }
}
