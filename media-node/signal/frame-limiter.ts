/** How many frames a member may send on its signal channel. Counted before they are read: reading is what costs. */

/** A busy client sends a few in a second. */
export const MAX_FRAMES_PER_SECOND = 200;
/** The longest: an answer with hundreds of media sections. */
export const MAX_FRAME_BYTES = 256 * 1024;
/** Seconds above the limit, in a row, that are put up with. */
const MAX_BAD_SECONDS = 10;
const SECOND_MS = 1_000;

/** `take`: read it; `ignore`: drop it; `end`: it does not stop, so let the member go. */
export type FrameVerdict = 'take' | 'ignore' | 'end';

export class FrameLimiter {
  #secondStartMs = Number.NEGATIVE_INFINITY;
  #frames = 0;
  #badSeconds = 0;

  judge(bytes: number, nowMs: number): FrameVerdict {
    if (nowMs - this.#secondStartMs >= SECOND_MS) {
      const isNext = nowMs - this.#secondStartMs < 2 * SECOND_MS;
      this.#badSeconds = isNext && this.#frames > MAX_FRAMES_PER_SECOND ? this.#badSeconds + 1 : 0;
      this.#secondStartMs = nowMs;
      this.#frames = 0;
    }
    this.#frames += 1;
    if (this.#badSeconds >= MAX_BAD_SECONDS) return 'end';
    return this.#frames > MAX_FRAMES_PER_SECOND || bytes > MAX_FRAME_BYTES ? 'ignore' : 'take';
  }
}
