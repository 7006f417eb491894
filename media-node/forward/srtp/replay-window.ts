/**
 * Replay protection (RFC 3711 §3.3.2): the highest index seen, and which of the last ones were. As wide as that of
 * browsers: what one hop of a relay recovers comes late on the next one under its own number, and in a second a stream of
 * 4 Mb/s has 400 packets.
 */
export const REPLAY_WINDOW = 1024;
const WORD_BITS = 32;

export class ReplayWindow {
  /** -1 before the first packet. */
  highest = -1;
  /** A bit for each of the last indices, in a circle. */
  readonly #seen = new Uint32Array(REPLAY_WINDOW / WORD_BITS);

  /** Whether `index` is new and not older than the window. Changes nothing. */
  accepts(index: number): boolean {
    if (index > this.highest) return true;
    if (this.highest - index >= REPLAY_WINDOW) return false;
    const place = index % REPLAY_WINDOW;
    return (((this.#seen[place >>> 5] as number) >>> (place & 31)) & 1) === 0;
  }

  /** Records an accepted and authenticated index. */
  record(index: number): void {
    if (index - this.highest >= REPLAY_WINDOW) {
      this.#seen.fill(0);
    } else {
      for (let skipped = this.highest + 1; skipped < index; skipped++) {
        const place = skipped % REPLAY_WINDOW;
        this.#seen[place >>> 5] = (this.#seen[place >>> 5] as number) & ~(1 << (place & 31));
      }
    }
    if (index > this.highest) this.highest = index;
    const place = index % REPLAY_WINDOW;
    this.#seen[place >>> 5] = (this.#seen[place >>> 5] as number) | (1 << (place & 31));
  }
}
