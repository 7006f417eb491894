/**
 * Bounds what one viewer can make us send again: packets per interval, the same packet within a round trip, and bytes in
 * proportion to what its stream carries. A viewer that loses a third of everything is repaired; one that asks for
 * everything all the time costs twice a viewer, and no more.
 */

const INTERVAL_MS = 100;
/** A burst of loss is repaired at once. */
const PACKETS_PER_INTERVAL = 128;
/** Numbers that are looked up at all: a datagram full of NACKs names thousands. */
const LOOKED_UP_PER_INTERVAL = 1024;
/** The same packet again: not sooner than this, nor than a round trip (up to the maximum). */
const MIN_REPEAT_MS = 20;
const MAX_REPEAT_MS = 250;
const REMEMBERED = 256;
/** In the long run as much again as the stream itself, and something for streams that hardly flow. */
const SHARE_OF_STREAM = 1;
const LEAST_BYTES_PER_MS = 16;
/** Saved up by a viewer that asks for little: a keyframe of a stream of any rate, or half a second of a fast one. */
const LEAST_BURST_BYTES = 160_000;
const BURST_MS = 500;
/** Of a reduced budget. */
const RESERVED_SHARE = 1 / 2;
const BITS_PER_BYTE = 8;
const MS_PER_S = 1_000;

export class RetransmissionBudget {
  #intervalStartMs = Number.NEGATIVE_INFINITY;
  #used = 0;
  #lookedUp = 0;
  #share = 1;
  #bytes = LEAST_BURST_BYTES;
  /** What only packets of keyframes may use: without those no other is of use. */
  #reserved = 0;
  #refilledMs = Number.NEGATIVE_INFINITY;
  /** Made at the first loss: most viewers never have one. */
  #sequence: Float64Array | null = null;
  #sentMs: Float64Array | null = null;

  /** 0 to 1: what is left of it for a line that bears no more. Half of that is kept for keyframes. */
  set share(share: number) {
    this.#share = share;
  }

  /** Whether another number that the viewer asks for is worth looking up; call it before `take`. */
  mayLookUp(nowMs: number): boolean {
    this.#renew(nowMs);
    if (this.#used >= PACKETS_PER_INTERVAL || this.#lookedUp >= LOOKED_UP_PER_INTERVAL) return false;
    this.#lookedUp++;
    return true;
  }

  /**
   * Whether the packet may be sent again now; it then counts as sent.
   * @param bytes of the packet
   * @param streamBps what the stream carries, bits per second
   * @param ofKeyframe it belongs to the newest keyframe
   */
  take(
    extSequence: number,
    bytes: number,
    streamBps: number,
    roundTripMs: number | null,
    nowMs: number,
    ofKeyframe = false,
  ): boolean {
    this.#renew(nowMs);
    this.#refill(streamBps, nowMs);
    if (this.#used >= PACKETS_PER_INTERVAL || this.#bytes - (ofKeyframe ? 0 : this.#reserved) < bytes) return false;
    this.#sequence ??= new Float64Array(REMEMBERED).fill(-1);
    this.#sentMs ??= new Float64Array(REMEMBERED);
    const slot = extSequence % REMEMBERED;
    const repeatMs = Math.max(MIN_REPEAT_MS, Math.min(MAX_REPEAT_MS, roundTripMs ?? 0));
    if (this.#sequence[slot] === extSequence && nowMs - (this.#sentMs[slot] as number) < repeatMs) return false;
    this.#sequence[slot] = extSequence;
    this.#sentMs[slot] = nowMs;
    this.#used++;
    this.#bytes -= bytes;
    return true;
  }

  #renew(nowMs: number): void {
    if (nowMs - this.#intervalStartMs < INTERVAL_MS) return;
    this.#intervalStartMs = nowMs;
    this.#used = 0;
    this.#lookedUp = 0;
  }

  #refill(streamBps: number, nowMs: number): void {
    const whole = Math.max(LEAST_BYTES_PER_MS, (streamBps * SHARE_OF_STREAM) / BITS_PER_BYTE / MS_PER_S);
    const bytesPerMs = whole * this.#share;
    const most = Math.max(LEAST_BURST_BYTES * this.#share, bytesPerMs * BURST_MS);
    // The first time there is nothing to add: it begins full.
    const elapsedMs = Number.isFinite(this.#refilledMs) ? Math.max(0, nowMs - this.#refilledMs) : 0;
    this.#bytes = Math.min(most, this.#bytes + elapsedMs * bytesPerMs);
    this.#reserved = this.#share < 1 ? most * RESERVED_SHARE : 0;
    this.#refilledMs = nowMs;
  }
}
