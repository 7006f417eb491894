/** The upstream end of a relay whose layers are told apart: which the other node wants, and which it could have. */
import type { RtcpWriter } from '../rtcp/write.ts';
import type { EgressStream } from './egress-stream.ts';
import { BEST, type OfferedLayer, readWanted, writeOffered } from './relay-messages.ts';

/** They are told again after this, because bitrates change and packets get lost. */
const REPEAT_MS = 1_000;

interface RelayedTrack {
  /** One for each layer, in the order of the offer. */
  readonly streams: readonly EgressStream[];
  /** What was told last, without bitrates. */
  told: string;
}

export class RelayedLayers {
  readonly #tracks: readonly RelayedTrack[];
  #repeatMs = Number.NEGATIVE_INFINITY;

  /** Null when no track is sent layer by layer. */
  static of(streams: readonly EgressStream[]): RelayedLayers | null {
    const layered = streams.filter(({ plan }) => plan.layer !== undefined);
    if (layered.length === 0) return null;
    const mids = [...new Set(layered.map(({ plan }) => plan.mid))];
    return new RelayedLayers(mids.map((mid) => layered.filter(({ plan }) => plan.mid === mid)));
  }

  private constructor(tracks: readonly (readonly EgressStream[])[]) {
    this.#tracks = tracks.map((streams) => ({ streams, told: '' }));
  }

  /** What the other node wants. */
  read(subtype: number, name: number, words: readonly number[], nowMs: number): void {
    const wanted = readWanted(subtype, name, words);
    if (wanted === null) return;
    for (const { streams } of this.#tracks) {
      const named = streams.filter(({ plan }) => wanted.includes(plan.ssrc));
      const best = wanted.includes(BEST) ? bestOf(streams) : null;
      const chosen = named.length > 0 || best === null ? named : [best];
      // A viewer over there that changes layers keeps what it has: it must not get the best one, nor make its publisher send
      // everybody a keyframe of that, only because this node has to fetch the layer first.
      const hasNothing = streams.every(({ rewriter }) => rewriter.source === null);
      for (const stream of streams) stream.setWanted(chosen.includes(stream), hasNothing, nowMs);
    }
  }

  /** Writes what there is, each track into a packet of its own, when that is due; `send` sends the packet. */
  write(writer: RtcpWriter, nowMs: number, send: () => void): void {
    const repeats = nowMs >= this.#repeatMs;
    if (repeats) this.#repeatMs = nowMs + REPEAT_MS;
    for (const track of this.#tracks) {
      for (const stream of track.streams) stream.checkLease(nowMs);
      const layers = offered(track.streams, nowMs);
      const shape = layers.map(({ ssrc, width, height }) => `${ssrc} ${width} ${height}`).join();
      if (layers.length === 0 || (shape === track.told && !repeats)) continue;
      track.told = shape;
      writer.reset();
      if (writeOffered(writer, track.streams[0]?.plan.ssrc ?? 0, layers)) send();
    }
  }
}

function bestOf(streams: readonly EgressStream[]): EgressStream | null {
  const [top] = streams[0]?.steps ?? [];
  return streams.find(({ plan }) => plan.layer?.rid === top?.rid) ?? streams[0] ?? null;
}

function offered(streams: readonly EgressStream[], nowMs: number): OfferedLayer[] {
  const layers: OfferedLayer[] = [];
  for (const step of streams[0]?.steps ?? []) {
    const stream = streams.find(({ plan }) => plan.layer?.rid === step.rid);
    const ssrc = stream?.plan.ssrc ?? streams[0]?.plan.ssrc ?? 0;
    if (layers.some((layer) => layer.ssrc === ssrc)) continue;
    const bitrateBps = Math.round(step.bitrateBps(nowMs));
    layers.push({ ssrc, bitrateBps, width: step.width, height: step.height });
  }
  return layers;
}
