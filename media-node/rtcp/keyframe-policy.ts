/**
 * The one place that decides when a publisher is asked for a keyframe of one stream. Everybody may request; the policy
 * throttles and repeats. A request made while one may not be sent is kept, never dropped.
 */

/**
 * Why somebody needs a keyframe:
 * - `new-viewer`, `layer-switch`, `recording`, `relay`, `resume`: something starts at this stream now, once;
 * - `viewer-pli`, `loss`: something is broken; said again and again until it is healed.
 */
export type KeyframeReason = 'new-viewer' | 'layer-switch' | 'recording' | 'relay' | 'resume' | 'viewer-pli' | 'loss';

/** At most one request per this time: each costs the publisher (and every viewer) a burst of bytes. */
const MIN_INTERVAL_MS = 500;
/** Publishers that ignore PLI (OBS, ffmpeg) are asked ever more seldom, but asked: any may start to answer. */
const MAX_INTERVAL_MS = 3000;
const BACKOFF_FACTOR = 2;

export class KeyframePolicy {
  /** Requests so far, by reason. */
  readonly requests: Readonly<Record<KeyframeReason, number>>;
  readonly #requests: Record<KeyframeReason, number> = {
    'new-viewer': 0,
    'layer-switch': 0,
    recording: 0,
    relay: 0,
    resume: 0,
    'viewer-pli': 0,
    loss: 0,
  };
  #wanted = false;
  /** Somebody whose picture is broken, or another node, asked: they are not among those who wait here. */
  #isOwed = false;
  #wantedSinceMs = 0;
  #lastWaitMs: number | null = null;
  #sent = 0;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #intervalMs = MIN_INTERVAL_MS;
  #keyframes = 0;
  #lastKeyframeMs = Number.NEGATIVE_INFINITY;

  constructor() {
    this.requests = this.#requests;
  }

  /** PLIs (or FIRs) that were due so far. */
  get sent(): number {
    return this.#sent;
  }

  get keyframes(): number {
    return this.#keyframes;
  }

  /** Somebody waits for a keyframe. */
  get wanted(): boolean {
    return this.#wanted;
  }

  /** From the first request to the keyframe that served it; null before there was one. */
  get lastWaitMs(): number | null {
    return this.#lastWaitMs;
  }

  /** Milliseconds since the last keyframe; Infinity before the first. */
  sinceKeyframeMs(nowMs: number): number {
    return nowMs - this.#lastKeyframeMs;
  }

  request(reason: KeyframeReason, nowMs: number): void {
    this.#requests[reason]++;
    // A complaint that repeats itself must not undo the backoff; a newcomer deserves a fresh try.
    const repeats = reason === 'viewer-pli' || reason === 'loss';
    if (!this.#wanted || !repeats) this.#intervalMs = MIN_INTERVAL_MS;
    if (!this.#wanted) this.#wantedSinceMs = nowMs;
    this.#wanted = true;
    if (reason !== 'new-viewer' && reason !== 'layer-switch') this.#isOwed = true;
  }

  /** True: send one request now; it counts as sent. Cheap: call it after each `request` and on every tick. */
  due(nowMs: number): boolean {
    if (!this.#wanted || nowMs - this.#lastSentMs < this.#intervalMs) return false;
    // The first try after a keyframe (or ever) is repeated soon, later ones seldom.
    const repeated = this.#lastSentMs > this.#lastKeyframeMs;
    this.#intervalMs = repeated ? Math.min(this.#intervalMs * BACKOFF_FACTOR, MAX_INTERVAL_MS) : MIN_INTERVAL_MS;
    this.#lastSentMs = nowMs;
    this.#sent++;
    return true;
  }

  /** A keyframe started to arrive: everybody who waits is served. Call it once per keyframe. */
  keyframeSeen(nowMs: number): void {
    this.#keyframes++;
    if (this.#wanted) this.#lastWaitMs = nowMs - this.#wantedSinceMs;
    this.#lastKeyframeMs = nowMs;
    this.#wanted = false;
    this.#isOwed = false;
    this.#intervalMs = MIN_INTERVAL_MS;
  }

  /** Nobody waits any more (the last viewer left, or wants another layer). What was broken still is. */
  cancel(): void {
    if (!this.#isOwed) this.#wanted = false;
  }
}
