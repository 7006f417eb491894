/** The layers of one track that flow, best first. */
import type { IngressStream } from './ingress-stream.ts';

/** A layer without a packet for this long, while another has some, does not flow. */
const STALL_MS = 500;
/** A layer must have been there for this long to be worth a switch. */
const PROVEN_MS = 1000;
/** Bitrates of layers whose sizes nobody knows differ by at least this much before their order does. */
const BETTER_FACTOR = 1.2;

export class LayerLadder {
  readonly #steps: IngressStream[] = [];
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
    const left = this.#leave(latestMs);
    const sorted = this.#sort(nowMs);
    let sizes = 0;
    for (const layer of this.#steps) sizes += layer.sizeChanges;
    const resized = sizes !== this.#sizesSeen;
    this.#sizesSeen = sizes;
    return entered || left || sorted || resized;
  }

  clear(): void {
    this.#steps.length = 0;
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
  #leave(latestMs: number): boolean {
    const before = this.#steps.length;
    for (let at = before - 1; at >= 0 && this.#steps.length > 1; at--) {
      const layer = this.#steps[at] as IngressStream;
      if (latestMs - layer.lastArrivalMs > STALL_MS) this.#steps.splice(at, 1);
    }
    return this.#steps.length !== before;
  }

  /** One pass: what is better by far rises all the way, and nothing goes in circles. */
  #sort(nowMs: number): boolean {
    const steps = this.#steps;
    let changed = false;
    for (let at = steps.length - 1; at > 0; at--) {
      const lower = steps[at] as IngressStream;
      const upper = steps[at - 1] as IngressStream;
      if (!isBetter(lower, upper, nowMs)) continue;
      steps[at - 1] = lower;
      steps[at] = upper;
      changed = true;
    }
    return changed;
  }
}

function isBetter(a: IngressStream, b: IngressStream, nowMs: number): boolean {
  const areaA = a.width * a.height;
  const areaB = b.width * b.height;
  if (areaA > 0 && areaB > 0 && areaA !== areaB) return areaA > areaB;
  return a.meter.bitrateBps(nowMs) > b.meter.bitrateBps(nowMs) * BETTER_FACTOR;
}

/** The layer that a packet came from last. */
function latestOf(layers: readonly IngressStream[]): IngressStream | null {
  let latest: IngressStream | null = null;
  for (const layer of layers) if (latest === null || layer.lastArrivalMs > latest.lastArrivalMs) latest = layer;
  return latest;
}
