/** How much of what one viewer misses may be sent again, by what its reports say. */
import type { LineMeter } from './layer-line.ts';
import { ALL_REPAIRS, FEW_REPAIRS, step } from './repair-machine.ts';

export class RepairShare {
  readonly #hasRtx: boolean;
  #state = ALL_REPAIRS;
  #source: object | null = null;
  #resent = 0;

  /** @param hasRtx what is sent again has numbers of its own, which the reports do not count */
  constructor(hasRtx: boolean) {
    this.#hasRtx = hasRtx;
  }

  /**
   * The meter has measured another window.
   * @param source what the viewer gets; with another one it begins afresh
   * @param resent packets that were sent again, ever
   * @param hasWayOut there is a smaller layer: that is the way out of a full line, and the loss has to show until it is taken
   * @returns the share of the budget, 0 to 1
   */
  note(
    { sent, fractionLost }: Pick<LineMeter, 'sent' | 'fractionLost'>,
    source: object,
    resent: number,
    hasWayOut: boolean,
    nowMs: number,
  ): number {
    const again = resent - this.#resent;
    this.#resent = resent;
    if (source !== this.#source || hasWayOut) {
      this.#source = source;
      this.#state = ALL_REPAIRS;
      return 1;
    }
    const arrived = (sent * (1 - fractionLost)) / (sent + (this.#hasRtx ? 0 : again));
    this.#state = step(this.#state, { arrived, repairs: again / sent }, nowMs);
    return this.#state.phase === 'all' ? 1 : FEW_REPAIRS;
  }
}
