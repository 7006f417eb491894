/** One track of a synthetic publisher: frames by the clock, in one stream or in simulcast layers. */
import { randomInt } from 'node:crypto';
import type { RtcpWriter } from '../../../media-node/rtcp/write.ts';
import type { OutgoingStream } from './outgoing-stream.ts';
import type { FrameSource } from './pattern.ts';

/** Frames whose sending time is remembered. */
const REMEMBERED_FRAMES = 4_096;
const MS_PER_S = 1_000;

export interface Layer {
  rid: string | null;
  source: FrameSource;
  stream: OutgoingStream;
  /** A paused layer sends nothing. */
  active: boolean;
  wantsKeyframe: boolean;
  /** When the last one was sent. */
  keyframeMs: number;
}

export class OutgoingTrack {
  readonly kind: 'audio' | 'video';
  readonly mid: string;
  readonly layers: readonly Layer[];
  frames = 0;
  keyframes = 0;
  readonly #keyframeEveryMs: number;
  readonly #clockRate: number;
  readonly #frameMs: number;
  readonly #timing: ((frame: number) => { sendMs: number; presentMs: number; isKeyframe: boolean }) | null;
  readonly #firstTimestamp: number;
  readonly #sentAtMs = new Float64Array(REMEMBERED_FRAMES);
  #startMs = Number.NaN;

  constructor(
    kind: 'audio' | 'video',
    mid: string,
    layers: readonly Layer[],
    keyframeEveryMs: number,
    firstTimestamp = randomInt(2 ** 32),
  ) {
    const [first] = layers;
    if (first === undefined) throw new RangeError('a track needs a layer');
    this.kind = kind;
    this.mid = mid;
    this.layers = layers;
    this.#keyframeEveryMs = keyframeEveryMs;
    this.#firstTimestamp = firstTimestamp;
    this.#timing = first.source.timing?.bind(first.source) ?? null;
    this.#clockRate = first.source.clockRate;
    this.#frameMs = MS_PER_S / first.source.framesPerSecond;
  }

  /** Sends the frames that are due; after a stall all that were missed. */
  pump(nowMs: number): void {
    if (Number.isNaN(this.#startMs)) this.#startMs = nowMs;
    while (this.#startMs + this.#dueMs(this.frames) <= nowMs) this.#sendFrame(nowMs);
  }

  /** When that frame was sent; undefined when it was not, or is forgotten. */
  sentAtMs(frame: number): number | undefined {
    if (frame >= this.frames || frame < this.frames - REMEMBERED_FRAMES) return undefined;
    return this.#sentAtMs[frame % REMEMBERED_FRAMES];
  }

  requestKeyframe(ssrc: number): void {
    for (const layer of this.layers) if (layer.stream.ssrc === ssrc) layer.wantsKeyframe = true;
  }

  writeSenderReports(writer: RtcpWriter, ntp: { high: number; low: number }, nowMs: number): void {
    if (Number.isNaN(this.#startMs)) return;
    const timestamp = this.#timestampAt(nowMs - this.#startMs);
    for (const { stream } of this.layers) stream.writeSenderReport(writer, ntp, timestamp);
  }

  #dueMs(frame: number): number {
    return this.#timing?.(frame).sendMs ?? frame * this.#frameMs;
  }

  #timestampAt(elapsedMs: number): number {
    return (this.#firstTimestamp + Math.round((elapsedMs * this.#clockRate) / MS_PER_S)) >>> 0;
  }

  #sendFrame(nowMs: number): void {
    const frame = this.frames++;
    const timing = this.#timing?.(frame) ?? null;
    const timestamp = this.#timestampAt(timing?.presentMs ?? frame * this.#frameMs);
    this.#sentAtMs[frame % REMEMBERED_FRAMES] = nowMs;
    for (const layer of this.layers) {
      if (!layer.active) {
        layer.wantsKeyframe = true; // an encoder starts anew
        continue;
      }
      const isKeyframe =
        this.kind === 'video' &&
        (timing?.isKeyframe ?? (layer.wantsKeyframe || nowMs - layer.keyframeMs >= this.#keyframeEveryMs));
      if (isKeyframe) {
        layer.wantsKeyframe = false;
        layer.keyframeMs = nowMs;
        this.keyframes += 1;
      }
      const payloads = layer.source.next(frame, isKeyframe);
      payloads.forEach((payload, index) => {
        // Audio sets the marker at the start of a talk spurt only (RFC 3551 §4.1).
        const marker = this.kind === 'video' ? index === payloads.length - 1 : frame === 0;
        layer.stream.send(payload, timestamp, marker);
      });
    }
  }
}
