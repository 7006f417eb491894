/** A published track: its layers, the ladder that they make, and the viewers. */
import type { IngressTrackPlan } from '../negotiate/plan.ts';
import type { IngressStream, StreamSink } from './ingress-stream.ts';
import { removeFrom } from './ingress-stream.ts';
import { LayerLadder } from './layer-ladder.ts';
import type { LayerInfo, SourceTrack } from './types.ts';

/** A viewer's side of a track. */
export interface TrackSink extends StreamSink {
  /** The layers that flow, or their order, are others than before (or this track is new): choose one of `steps`. */
  onLayers(nowMs: number): void;
}

export class PublishedTrack implements SourceTrack {
  readonly mid: string;
  readonly kind: 'audio' | 'video';
  readonly plan: IngressTrackPlan;
  readonly layers: IngressStream[] = [];
  readonly sinks: TrackSink[] = [];
  readonly #ladder = new LayerLadder();

  constructor(plan: IngressTrackPlan) {
    this.mid = plan.mid;
    this.kind = plan.kind;
    this.plan = plan;
  }

  /** The layers that flow, best first; empty before the first packet. */
  get steps(): readonly IngressStream[] {
    return this.#ladder.steps;
  }

  /** The best layer; null before the first packet. */
  get best(): IngressStream | null {
    return this.steps[0] ?? null;
  }

  addLayer(layer: IngressStream, nowMs: number): void {
    this.layers.push(layer);
    if (this.#ladder.begin(layer)) this.#tell(nowMs);
  }

  removeLayer(layer: IngressStream, nowMs: number): void {
    removeFrom(this.layers, layer);
    layer.close(nowMs, [...this.sinks]);
    if (this.#ladder.remove(layer, this.layers)) this.#tell(nowMs);
  }

  /** Looks which layers flow; call it a few times a second. */
  watchLayers(nowMs: number): void {
    if (this.layers.length < 2 && this.steps.length === this.layers.length) return;
    if (this.#ladder.update(this.layers, nowMs)) this.#tell(nowMs);
  }

  describeLayers(nowMs: number): LayerInfo[] {
    const flowing = this.steps.map((layer) => ({
      rid: layer.rid,
      bitrateBps: Math.round(layer.meter.bitrateBps(nowMs)),
      width: layer.width,
      height: layer.height,
    }));
    const silent = this.plan.rids.filter((rid) => !flowing.some((layer) => layer.rid === rid));
    const sizeOf = (rid: string): { width: number; height: number } => {
      const { width = 0, height = 0 } = this.layers.find((layer) => layer.rid === rid) ?? {};
      return { width, height };
    };
    return [...flowing, ...silent.map((rid) => ({ rid, bitrateBps: 0, ...sizeOf(rid) }))];
  }

  #tell(nowMs: number): void {
    for (const sink of this.sinks) sink.onLayers(nowMs);
  }

  attach(sink: TrackSink, nowMs: number): void {
    this.sinks.push(sink);
    sink.onLayers(nowMs);
  }

  detach(sink: TrackSink): void {
    removeFrom(this.sinks, sink);
  }

  close(nowMs: number): void {
    for (const layer of this.layers.splice(0)) layer.close(nowMs, [...this.sinks]);
    this.#ladder.clear();
  }
}
