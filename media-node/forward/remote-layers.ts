/**
 * The layers of a track that comes from another node: which there are, as that node says, and which are wanted here. What
 * nobody here watches is not sent here.
 */
import type { IngressTrackPlan } from '../negotiate/plan.ts';
import type { IngressStream } from './ingress-stream.ts';
import type { LayerStep } from './layer-step.ts';
import { BEST, type OfferedLayer } from './relay-messages.ts';

/** A layer that nobody watches any more is still taken for this long: whoever goes often comes back. */
const GRACE_MS = 4_000;

interface RemoteStep extends LayerStep {
  readonly ssrc: number;
}

export class RemoteLayers {
  readonly #plan: IngressTrackPlan;
  readonly #streams: readonly IngressStream[];
  #steps: readonly RemoteStep[] = [];
  #offered: readonly OfferedLayer[] = [];
  /** When each was wanted last, by rid. */
  readonly #wantedMs = new Map<string, number>();

  /** Null when the other node does not tell layers apart. @param streams those that have come, which may change */
  static of(plan: IngressTrackPlan, streams: readonly IngressStream[]): RemoteLayers | null {
    return plan.ssrcs.some(({ rid }) => rid !== undefined) ? new RemoteLayers(plan, streams) : null;
  }

  private constructor(plan: IngressTrackPlan, streams: readonly IngressStream[]) {
    this.#plan = plan;
    this.#streams = streams;
  }

  /** Best first; empty until the other node has said. */
  get steps(): readonly LayerStep[] {
    return this.#steps;
  }

  /** The other node has said which there are. True: they are others, or of other sizes, than before. */
  note(offered: readonly OfferedLayer[]): boolean {
    const shape = (layers: readonly OfferedLayer[]): string =>
      layers.map(({ ssrc, width, height }) => `${ssrc} ${width} ${height}`).join();
    const isNew = shape(offered) !== shape(this.#offered);
    this.#offered = offered;
    if (isNew) this.#steps = offered.flatMap((layer) => this.#step(layer) ?? []);
    return isNew;
  }

  #step({ ssrc, width, height }: OfferedLayer): RemoteStep | null {
    const rid = this.#plan.ssrcs.find(({ primary }) => primary === ssrc)?.rid;
    if (rid === undefined) return null;
    const streams = this.#streams;
    return {
      rid,
      ssrc,
      width,
      height,
      get stream() {
        return streams.find((stream) => stream.ssrc === ssrc) ?? null;
      },
      bitrateBps: () => this.#offered.find((layer) => layer.ssrc === ssrc)?.bitrateBps ?? 0,
    };
  }

  /** The SSRCs to ask for. @param rids that are watched here now */
  wanted(rids: ReadonlySet<string>, nowMs: number): number[] {
    for (const rid of rids) this.#wantedMs.set(rid, nowMs);
    const ssrcs: number[] = [];
    for (const { primary, rid = '' } of this.#plan.ssrcs) {
      if (nowMs - (this.#wantedMs.get(rid) ?? Number.NEGATIVE_INFINITY) <= GRACE_MS) ssrcs.push(primary);
    }
    // Whoever comes is served at once, and whether anything comes is how a relay is judged.
    return ssrcs.length > 0 ? ssrcs : [BEST];
  }
}
