/** Replay protection (RFC 3711 §3.3.2): the highest index seen and a bitmap of the 128 indices up to it. */
export const REPLAY_WINDOW = 128;
const WORDS = REPLAY_WINDOW / 32;

export class ReplayWindow {
  /** -1 before the first packet. */
  highest = -1;
  /** Bit n of the whole: index `highest - n` was seen. */
  readonly #bits = new Uint32Array(WORDS);

  /** Whether `index` is new and not older than the window. Changes nothing. */
  accepts(index: number): boolean {
    if (index > this.highest) return true;
    const age = this.highest - index;
    if (age >= REPLAY_WINDOW) return false;
    return (((this.#bits[age >>> 5] as number) >>> (age & 31)) & 1) === 0;
  }

  /** Records an accepted and authenticated index. */
  record(index: number): void {
    if (index > this.highest) {
      this.#shift(this.highest < 0 ? REPLAY_WINDOW : index - this.highest);
      this.highest = index;
    }
    const age = this.highest - index;
    this.#bits[age >>> 5] = (this.#bits[age >>> 5] as number) | (1 << (age & 31));
  }

  #shift(by: number): void {
    const bits = this.#bits;
    if (by >= REPLAY_WINDOW) {
      bits.fill(0);
      return;
    }
    const words = by >>> 5;
    const rest = by & 31;
    for (let i = WORDS - 1; i >= 0; i--) {
      const source = i - words;
      const high = source >= 0 ? (bits[source] as number) : 0;
      const low = source >= 1 ? (bits[source - 1] as number) : 0;
      bits[i] = rest === 0 ? high : (high << rest) | (low >>> (32 - rest));
    }
  }
}
