/** A published track: its layers, the ladder that they make, and the viewers. */
import type { IngressTrackPlan } from '../negotiate/plan.ts';
import type { IngressStream, StreamSink } from './ingress-stream.ts';
import { removeFrom } from './ingress-stream.ts';
import { LayerLadder } from './layer-ladder.ts';
import type { LayerStep } from './layer-step.ts';
import type { OfferedLayer } from './relay-messages.ts';
import { RemoteLayers } from './remote-layers.ts';
import type { LayerInfo, SourceTrack } from './types.ts';

/** A viewer's side of a track. */
export interface TrackSink extends StreamSink {
  /** The layers that flow, or their order, are others than before (or this track is new): choose one of `steps`. */
  onLayers(nowMs: number): void;
  /** Adds the rids of the layers that it sends or is about to. */
  collectWanted(rids: Set<string>): void;
}

export class PublishedTrack implements SourceTrack {
  readonly mid: string;
  readonly kind: 'audio' | 'video';
  readonly plan: IngressTrackPlan;
  readonly layers: IngressStream[] = [];
  readonly sinks: TrackSink[] = [];
  readonly #ladder = new LayerLadder();
  /** Null: what flows here is all there is. */
  readonly #remote: RemoteLayers | null;
  readonly #wantedRids = new Set<string>();

  constructor(plan: IngressTrackPlan) {
    this.mid = plan.mid;
    this.kind = plan.kind;
    this.plan = plan;
    this.#remote = RemoteLayers.of(plan, this.layers);
  }

  /** The layers to choose from, best first; empty before the first packet. */
  get steps(): readonly LayerStep[] {
    const remote = this.#remote?.steps ?? [];
    return remote.length > 0 ? remote : this.#ladder.steps;
  }

  /** The best layer that flows here; null before the first packet. */
  get best(): IngressStream | null {
    return this.#ladder.steps[0] ?? null;
  }

  /** It is sent here now, or was the last to be. */
  flows(layer: IngressStream): boolean {
    return this.#ladder.steps.includes(layer);
  }

  /** The node that this track comes from has said which layers it has, best first. */
  noteOffered(layers: readonly OfferedLayer[], nowMs: number): void {
    if (this.#remote?.note(layers) === true) this.#tell(nowMs);
  }

  /** Adds the SSRCs of the layers to ask that node for; none when it does not tell them apart. */
  collectWanted(ssrcs: number[], nowMs: number): void {
    if (this.#remote === null) return;
    this.#wantedRids.clear();
    for (const sink of this.sinks) sink.collectWanted(this.#wantedRids);
    ssrcs.push(...this.#remote.wanted(this.#wantedRids, nowMs));
  }

  addLayer(layer: IngressStream, nowMs: number): void {
    this.layers.push(layer);
    // A layer that was asked for is waited for.
    if (this.#ladder.begin(layer) || this.#remote !== null) this.#tell(nowMs);
  }

  removeLayer(layer: IngressStream, nowMs: number): void {
    removeFrom(this.layers, layer);
    layer.close(nowMs, [...this.sinks]);
    if (this.#ladder.remove(layer, this.layers)) this.#tell(nowMs);
  }

  /** Looks which layers flow; call it a few times a second. */
  watchLayers(nowMs: number): void {
    if (this.layers.length < 2 && this.#ladder.steps.length === this.layers.length) return;
    if (this.#ladder.update(this.layers, nowMs)) this.#tell(nowMs);
  }

  describeLayers(nowMs: number): LayerInfo[] {
    const flowing = this.steps.map((layer) => ({
      rid: layer.rid,
      // Between two frames of a screen that stands still it is 0 for a moment, which would say that the layer has stopped.
      bitrateBps: Math.max(1, Math.round(layer.bitrateBps(nowMs))),
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
