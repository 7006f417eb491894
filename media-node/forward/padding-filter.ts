/**
 * Numbers the packets of a source without its padding-only packets. Publishers probe the network with padding on the
 * media SSRC; viewers need none of it, and a hole in the numbering would look like loss to them.
 */

/** Dropped packets that late ones can still be numbered around. */
const REMEMBERED = 256;

export class PaddingFilter {
  /** Extended sequence numbers of the dropped packets, the last ones, in a circle. */
  readonly #dropped = new Float64Array(REMEMBERED);
  #count = 0;

  /** Packets dropped so far. */
  get count(): number {
    return this.#count;
  }

  /** The packet is left out: all later numbers move down by one. Only for packets newer than all others. */
  drop(extended: number): void {
    this.#dropped[this.#count % REMEMBERED] = extended;
    this.#count++;
  }

  /** The number of a packet that is not left out, or -1 when it was, or when it is too old to tell. */
  number(extended: number): number {
    let before = this.#count;
    const oldest = Math.max(0, this.#count - REMEMBERED);
    while (before > oldest) {
      const dropped = this.#dropped[(before - 1) % REMEMBERED] as number;
      if (dropped === extended) return -1;
      if (dropped < extended) return extended - before;
      before--;
    }
    return before === 0 ? extended : -1;
  }
}
