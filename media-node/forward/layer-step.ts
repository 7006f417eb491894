/** A layer as viewers choose it: it flows here, or could be had from the node that this track is relayed from. */
import type { IngressStream } from './ingress-stream.ts';

export interface LayerStep {
  readonly rid: string | null;
  /** Pixels; 0: not known. */
  readonly width: number;
  readonly height: number;
  /** Null: not a packet of it has come yet. */
  readonly stream: IngressStream | null;
  bitrateBps(nowMs: number): number;
}
