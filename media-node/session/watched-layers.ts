/**
 * The layers of what one viewer watches: which there are, which it wants, and when to tell it that they are others.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { EgressMedia, LayerChoice, LayerInfo, SourceTrack } from '../forward/types.ts';
import type { EgressTrackPlan } from '../negotiate/plan.ts';

/** Thousands of viewers are told of the same change: they are told one by one, within this time. */
const TELL_WITHIN_MS = 500;

/** One layer, as the WHEP extension describes it: at least one of `rid` and `spatialLayerId`. */
interface DescribedLayer {
  rid?: string;
  spatialLayerId?: number;
  /** Bits per second; 0: it does not flow. */
  bitrate: number;
  width?: number;
  height?: number;
}

/** By the index of the m-section. */
export type DescribedLayers = Record<string, DescribedLayer[]>;

export interface WantedLayer {
  /** Index of an m-section, or its mid; null: the first video. */
  media: string | null;
  rid: string | null;
  /** Pixels; null: no limit. */
  maxWidth: number | null;
  maxHeight: number | null;
}

export interface WatchedLayersOptions {
  /** Of all m-sections, in order. */
  mids: readonly string[];
  now(): number;
  /** The layers are others than before; only while, or after, there is a choice. */
  tell(layers: DescribedLayers): void;
}

export class WatchedLayers {
  readonly #options: WatchedLayersOptions;
  readonly #sources = new Map<string, SourceTrack>();
  #media: EgressMedia | null = null;
  #videos: readonly string[] = [];
  #timer: NodeJS.Timeout | null = null;
  /** The last word was of several layers. */
  #told = false;
  /** What was chosen before media could flow, by mid. */
  readonly #early = new Map<string, LayerChoice>();

  constructor(options: WatchedLayersOptions) {
    this.#options = options;
  }

  /** What was negotiated. */
  setTracks(tracks: readonly EgressTrackPlan[]): void {
    this.#videos = tracks.filter(({ kind }) => kind === 'video').map(({ mid }) => mid);
  }

  /** Media flows by `media` from now on. */
  open(media: EgressMedia): void {
    this.#media = media;
    for (const [mid, choice] of this.#early) media.setLayer(mid, choice, this.#options.now());
    this.#early.clear();
  }

  attached(mid: string, source: SourceTrack | null): void {
    if (source === null) this.#sources.delete(mid);
    else this.#sources.set(mid, source);
  }

  /** Something is there to be watched. */
  get active(): boolean {
    return this.#sources.size > 0;
  }

  /** Before the session is connected it is only noted. @throws ProblemError 422 `no_media`, `no_layer` */
  choose({ media, rid, maxWidth, maxHeight }: WantedLayer): void {
    const mid = this.#find(media);
    if (mid === undefined) throw new ProblemError(422, 'no_media', 'the session has no such video');
    const layers = this.#layersOf(mid);
    // While the publisher is away nobody knows which there will be.
    if (rid !== null && layers.length > 0 && !layers.some((layer) => layer.rid === rid)) {
      throw new ProblemError(422, 'no_layer', 'the video has no such layer');
    }
    const choice: LayerChoice = { rid, maxWidth: maxWidth ?? Infinity, maxHeight: maxHeight ?? Infinity };
    if (this.#media === null) this.#early.set(mid, choice);
    else this.#media.setLayer(mid, choice, this.#options.now());
  }

  #find(media: string | null): string | undefined {
    if (media === null) return this.#videos[0];
    const byIndex = /^\d+$/.test(media) ? this.#options.mids[Number(media)] : undefined;
    return [byIndex, media].find((mid) => mid !== undefined && this.#videos.includes(mid));
  }

  #layersOf(mid: string): LayerInfo[] {
    return this.#sources.get(mid)?.describeLayers(this.#options.now()) ?? [];
  }

  /** Of every video that has begun. */
  describe(): DescribedLayers {
    const described: DescribedLayers = {};
    for (const mid of this.#videos) {
      const layers = this.#layersOf(mid);
      if (layers.length > 0) described[this.#options.mids.indexOf(mid)] = layers.map(describe);
    }
    return described;
  }

  /** Cheap: it only notes it. */
  changed(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const hasChoice = this.#videos.some((mid) => this.#layersOf(mid).length > 1);
      if (hasChoice || this.#told) this.#options.tell(this.describe());
      this.#told = hasChoice;
    }, Math.random() * TELL_WITHIN_MS);
    this.#timer.unref();
  }

  /** Idempotent. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#media = null;
    this.#sources.clear();
  }
}

function describe({ rid, bitrateBps, width, height }: LayerInfo): DescribedLayer {
  const name = rid === null ? { spatialLayerId: 0 } : { rid };
  return { ...name, bitrate: bitrateBps, ...(width > 0 && height > 0 ? { width, height } : {}) };
}
