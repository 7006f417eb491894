/** Which layer of a track a viewer gets: what it asked for, and how far down its line makes it go. */

import { GOOD_LINE, type LineReport, step } from './layer-machine.ts';
import type { LayerStep } from './layer-step.ts';
import type { LayerChoice } from './types.ts';

/** What a choice looks at of a layer. */
type Layer = Pick<LayerStep, 'rid' | 'width' | 'height'>;

/** The best that flows, as the viewer's line allows. */
export const AUTOMATIC: LayerChoice = { rid: null, maxWidth: Infinity, maxHeight: Infinity };

/**
 * The layer to send; null: none flows. A rid that does not flow is left for what an automatic choice would take, until it
 * comes back. When nothing is as small as the limits want, it is the lowest.
 * @param steps best first
 * @param down steps to stay below the best, of an automatic choice
 */
export function chooseLayer<L extends Layer>(steps: readonly L[], choice: LayerChoice, down: number): L | null {
  if (choice.rid !== null) for (const layer of steps) if (layer.rid === choice.rid) return layer;
  let left = down;
  let chosen: L | null = null;
  for (const layer of steps) {
    if (!fits(layer, choice)) continue;
    chosen = layer;
    if (left-- <= 0) break;
  }
  return chosen ?? steps[steps.length - 1] ?? null;
}

/** How many layers an automatic choice has. */
export function choicesOf(steps: readonly Layer[], choice: LayerChoice): number {
  let count = 0;
  for (const layer of steps) if (fits(layer, choice)) count++;
  return count;
}

/** Sizes that are not known are not too large. */
function fits({ width, height }: Layer, { maxWidth, maxHeight }: LayerChoice): boolean {
  return width <= maxWidth && height <= maxHeight;
}

/** The choice of one viewer, and what its reports make of it. */
export class ViewerLayer {
  #choice = AUTOMATIC;
  #line = GOOD_LINE;
  /** Of the layer that was chosen last. */
  #rid: string | null = null;
  /** Of the layer that was too much for its line; null: none was, or it has come back to it since. */
  #failedRid: string | null = null;

  set choice(choice: LayerChoice) {
    this.#choice = choice;
    this.#line = GOOD_LINE;
    this.#failedRid = null;
  }

  /** Its line bears no more than it gets. */
  get isHeld(): boolean {
    return this.#failedRid !== null;
  }

  /** There is a smaller layer, which its line may make it take. */
  canGoDown(steps: readonly LayerStep[]): boolean {
    return this.#choice.rid === null && this.#line.down < choicesOf(steps, this.#choice) - 1;
  }

  /** The layer to send of `steps`; null: none flows. */
  from(steps: readonly LayerStep[]): LayerStep | null {
    this.#keepPlace(steps);
    const chosen = chooseLayer(steps, this.#choice, this.#line.down);
    this.#rid = chosen?.rid ?? null;
    if (this.#rid === this.#failedRid) this.#failedRid = null;
    return chosen;
  }

  /**
   * A publisher stops its best layer and begins it again as it pleases. For whoever is held below it that is no reason to go
   * down as well, nor to be thrown up: the layer that the line bears stays, as long as it flows.
   */
  #keepPlace(steps: readonly LayerStep[]): void {
    if (this.#failedRid === null || this.#rid === null) return;
    let place = 0;
    for (const layer of steps) {
      if (!fits(layer, this.#choice)) continue;
      if (layer.rid === this.#rid) {
        if (place !== this.#line.down) this.#line = { ...this.#line, down: place };
        return;
      }
      place++;
    }
  }

  /**
   * The viewer has reported on a second or so. Who asked for a layer gets it, whatever its line is like.
   * @returns whether another layer is due
   */
  noteReport(
    steps: readonly LayerStep[],
    { fractionLost, queueMs }: Omit<LineReport, 'choices'>,
    nowMs: number,
  ): boolean {
    if (steps.length < 2 || this.#choice.rid !== null) return false;
    const choices = choicesOf(steps, this.#choice);
    const { down } = this.#line;
    this.#line = step(this.#line, { fractionLost, queueMs, choices }, nowMs);
    if (this.#line.down === down) return false;
    if (this.#line.down > down) this.#failedRid ??= this.#rid;
    this.#rid = null;
    return true;
  }
}
