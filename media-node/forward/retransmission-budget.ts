/** Bounds what one viewer can make us send again: per interval, and per packet within a round trip. */

const INTERVAL_MS = 100;
/** At 1200 bytes per packet 15 Mb/s: a burst of loss is repaired, a hostile or drowning viewer is not fed. */
const PACKETS_PER_INTERVAL = 128;
/** Numbers that are looked up at all: a datagram full of NACKs names thousands. */
const LOOKED_UP_PER_INTERVAL = 1024;
/** The same packet again: not sooner than this, nor than a round trip (up to the maximum). */
const MIN_REPEAT_MS = 20;
const MAX_REPEAT_MS = 250;
const REMEMBERED = 256;

export class RetransmissionBudget {
  #intervalStartMs = Number.NEGATIVE_INFINITY;
  #used = 0;
  #lookedUp = 0;
  /** Made at the first loss: most viewers never have one. */
  #sequence: Float64Array | null = null;
  #sentMs: Float64Array | null = null;

  /** Whether another number that the viewer asks for is worth looking up; call it before `take`. */
  mayLookUp(nowMs: number): boolean {
    this.#renew(nowMs);
    if (this.#used >= PACKETS_PER_INTERVAL || this.#lookedUp >= LOOKED_UP_PER_INTERVAL) return false;
    this.#lookedUp++;
    return true;
  }

  /** Whether the packet may be sent again now; it then counts as sent. */
  take(extSequence: number, roundTripMs: number | null, nowMs: number): boolean {
    this.#renew(nowMs);
    if (this.#used >= PACKETS_PER_INTERVAL) return false;
    this.#sequence ??= new Float64Array(REMEMBERED).fill(-1);
    this.#sentMs ??= new Float64Array(REMEMBERED);
    const slot = extSequence % REMEMBERED;
    const repeatMs = Math.max(MIN_REPEAT_MS, Math.min(MAX_REPEAT_MS, roundTripMs ?? 0));
    if (this.#sequence[slot] === extSequence && nowMs - (this.#sentMs[slot] as number) < repeatMs) return false;
    this.#sequence[slot] = extSequence;
    this.#sentMs[slot] = nowMs;
    this.#used++;
    return true;
  }

  #renew(nowMs: number): void {
    if (nowMs - this.#intervalStartMs < INTERVAL_MS) return;
    this.#intervalStartMs = nowMs;
    this.#used = 0;
    this.#lookedUp = 0;
  }
}
