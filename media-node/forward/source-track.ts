/** A published track: its layers, the one that viewers should get, and the viewers. */
import type { IngressTrackPlan } from '../negotiate/plan.ts';
import type { IngressStream, StreamSink } from './ingress-stream.ts';
import { removeFrom } from './ingress-stream.ts';
import type { SourceTrack } from './types.ts';

/** A layer without a packet for this long, while another has some, does not flow. */
const STALL_MS = 500;
/** A better layer must have been there for this long, and be better by this much, to be worth a switch. */
const PROVEN_MS = 1000;
const BETTER_FACTOR = 1.2;

/** A viewer's side of a track. */
export interface TrackSink extends StreamSink {
  /** Send this layer as soon as it can be decoded; null: none flows. */
  aim(stream: IngressStream | null, nowMs: number): void;
}

export class PublishedTrack implements SourceTrack {
  readonly mid: string;
  readonly kind: 'audio' | 'video';
  readonly plan: IngressTrackPlan;
  readonly layers: IngressStream[] = [];
  readonly sinks: TrackSink[] = [];
  #best: IngressStream | null = null;

  constructor(plan: IngressTrackPlan) {
    this.mid = plan.mid;
    this.kind = plan.kind;
    this.plan = plan;
  }

  /** The layer that viewers should get; null before the first packet. */
  get best(): IngressStream | null {
    return this.#best;
  }

  addLayer(layer: IngressStream, nowMs: number): void {
    this.layers.push(layer);
    if (this.#best === null) this.#choose(layer, nowMs);
  }

  removeLayer(layer: IngressStream, nowMs: number): void {
    removeFrom(this.layers, layer);
    const wasBest = this.#best === layer;
    layer.close(nowMs, [...this.sinks]);
    if (wasBest) this.#choose(this.#latest(), nowMs);
  }

  /** Highest measured bitrate among the layers that flow, with hysteresis. */
  chooseLayer(nowMs: number): void {
    const current = this.#best;
    if (current === null || this.layers.length < 2) return;
    const currentBps = current.meter.bitrateBps(nowMs);
    const latest = this.#latest();
    const stalled = latest !== null && latest.lastArrivalMs - current.lastArrivalMs > STALL_MS;
    let best: IngressStream | null = null;
    let bestBps = stalled ? -1 : currentBps * BETTER_FACTOR;
    for (const layer of this.layers) {
      if (layer === current || nowMs - layer.lastArrivalMs > STALL_MS) continue;
      if (!stalled && nowMs - layer.openedMs < PROVEN_MS) continue;
      const bitrateBps = layer.meter.bitrateBps(nowMs);
      if (bitrateBps <= bestBps) continue;
      best = layer;
      bestBps = bitrateBps;
    }
    if (best !== null) this.#choose(best, nowMs);
  }

  /** The layer that a packet came from last. */
  #latest(): IngressStream | null {
    let latest: IngressStream | null = null;
    for (const layer of this.layers) {
      if (latest === null || layer.lastArrivalMs > latest.lastArrivalMs) latest = layer;
    }
    return latest;
  }

  #choose(layer: IngressStream | null, nowMs: number): void {
    this.#best = layer;
    for (const sink of this.sinks) sink.aim(layer, nowMs);
  }

  attach(sink: TrackSink, nowMs: number): void {
    this.sinks.push(sink);
    sink.aim(this.#best, nowMs);
  }

  detach(sink: TrackSink): void {
    removeFrom(this.sinks, sink);
  }

  close(nowMs: number): void {
    for (const layer of this.layers.splice(0)) layer.close(nowMs, [...this.sinks]);
    this.#best = null;
  }
}
