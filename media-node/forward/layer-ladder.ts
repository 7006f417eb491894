/** The layers of one track that flow, best first. */
import type { IngressStream } from './ingress-stream.ts';

/** A layer without a packet for this long, while another has some, does not flow. */
const STALL_MS = 500;
/**
 * The layers of one frame come one after the other: with a frame a second (a screen that stands still) the first of them
 * is far ahead of the others for a moment. A layer that has stopped stays behind for longer than this.
 */
const LATE_MS = 200;
/** A layer must have been there for this long to be worth a switch. */
const PROVEN_MS = 1000;
/** Bitrates of layers whose sizes nobody knows differ by at least this much before their order does. */
const BETTER_FACTOR = 1.2;
/** And for this long: a keyframe, or a pause between two frames, makes any layer the largest for a second. */
const BETTER_MS = 2000;

export class LayerLadder {
  readonly #steps: IngressStream[] = [];
  /** Those that are behind others, and since when. */
  readonly #behindMs = new Map<IngressStream, number>();
  /** Those that have a higher bitrate than the one above them, and since when. */
  readonly #risingMs = new Map<IngressStream, number>();
  /** Of what the sizes were at the last look. */
  #sizesSeen = 0;

  /** Best first; not empty from the first packet on. */
  get steps(): readonly IngressStream[] {
    return this.#steps;
  }

  /** The first layer needs no proof. True: the steps are others now. */
  begin(layer: IngressStream): boolean {
    if (this.#steps.length > 0) return false;
    this.#steps.push(layer);
    return true;
  }

  /** @param layers those that are left; a new one with the same rid takes the place. True: the steps are others now. */
  remove(layer: IngressStream, layers: readonly IngressStream[]): boolean {
    const at = this.#steps.indexOf(layer);
    this.#behindMs.delete(layer);
    this.#risingMs.delete(layer);
    if (at < 0) return false;
    const successor = layers.find((other) => other.rid === layer.rid && !this.#steps.includes(other));
    if (successor !== undefined) this.#steps[at] = successor;
    else this.#steps.splice(at, 1);
    const latest = latestOf(layers);
    if (this.#steps.length === 0 && latest !== null) this.#steps.push(latest);
    return true;
  }

  /** Call it a few times a second. True: the steps, their order or their sizes are others now. */
  update(layers: readonly IngressStream[], nowMs: number): boolean {
    const latestMs = latestOf(layers)?.lastArrivalMs ?? nowMs;
    const entered = this.#enter(layers, latestMs, nowMs);
    const left = this.#leave(latestMs, nowMs);
    const sorted = this.#sort(entered ? this.#steps.length : 1, entered, nowMs);
    let sizes = 0;
    for (const layer of this.#steps) sizes += layer.sizeChanges;
    const resized = sizes !== this.#sizesSeen;
    this.#sizesSeen = sizes;
    return entered || left || sorted || resized;
  }

  clear(): void {
    this.#steps.length = 0;
    this.#behindMs.clear();
    this.#risingMs.clear();
  }

  #enter(layers: readonly IngressStream[], latestMs: number, nowMs: number): boolean {
    const [top] = this.#steps;
    const isUrgent = top === undefined || latestMs - top.lastArrivalMs > STALL_MS;
    const before = this.#steps.length;
    for (const layer of layers) {
      if (this.#steps.includes(layer) || nowMs - layer.lastArrivalMs > STALL_MS) continue;
      if (isUrgent || nowMs - layer.openedMs >= PROVEN_MS) this.#steps.push(layer);
    }
    return this.#steps.length !== before;
  }

  /** Nothing leaves while nothing flows: the publisher pauses. */
  #leave(latestMs: number, nowMs: number): boolean {
    const before = this.#steps.length;
    for (let at = before - 1; at >= 0 && this.#steps.length > 1; at--) {
      const layer = this.#steps[at] as IngressStream;
      if (!this.#hasStopped(layer, latestMs, nowMs)) continue;
      this.#steps.splice(at, 1);
      this.#behindMs.delete(layer);
      this.#risingMs.delete(layer);
    }
    return this.#steps.length !== before;
  }

  #hasStopped(layer: IngressStream, latestMs: number, nowMs: number): boolean {
    const aheadMs = latestMs - layer.lastArrivalMs;
    if (aheadMs <= STALL_MS - LATE_MS) {
      this.#behindMs.delete(layer);
      return false;
    }
    const sinceMs = this.#behindMs.get(layer) ?? nowMs;
    this.#behindMs.set(layer, sinceMs);
    return aheadMs > STALL_MS && nowMs - sinceMs >= LATE_MS;
  }

  /**
   * In one pass what is better by far rises all the way; a bounded number of passes, so that nothing goes in circles.
   * @param atOnce a layer is new here, and finds its place
   */
  #sort(passes: number, atOnce: boolean, nowMs: number): boolean {
    const steps = this.#steps;
    let changed = false;
    for (let pass = 0; pass < passes; pass++) {
      for (let at = steps.length - 1; at > 0; at--) {
        const lower = steps[at] as IngressStream;
        const upper = steps[at - 1] as IngressStream;
        if (!this.#rises(lower, upper, atOnce, nowMs)) continue;
        steps[at - 1] = lower;
        steps[at] = upper;
        changed = true;
      }
    }
    return changed;
  }

  #rises(lower: IngressStream, upper: IngressStream, atOnce: boolean, nowMs: number): boolean {
    const larger = areaOf(lower) - areaOf(upper);
    const isSizeKnown = areaOf(lower) > 0 && areaOf(upper) > 0 && larger !== 0;
    const isBetter = isSizeKnown || lower.meter.bitrateBps(nowMs) > upper.meter.bitrateBps(nowMs) * BETTER_FACTOR;
    if (isSizeKnown || !isBetter) {
      this.#risingMs.delete(lower);
      return isSizeKnown && larger > 0;
    }
    const sinceMs = this.#risingMs.get(lower) ?? nowMs;
    this.#risingMs.set(lower, sinceMs);
    return atOnce || nowMs - sinceMs >= BETTER_MS;
  }
}

function areaOf({ width, height }: IngressStream): number {
  return width * height;
}

/** The layer that a packet came from last. */
function latestOf(layers: readonly IngressStream[]): IngressStream | null {
  let latest: IngressStream | null = null;
  for (const layer of layers) if (latest === null || layer.lastArrivalMs > latest.lastArrivalMs) latest = layer;
  return latest;
}
