/** One file with all tracks of a publisher: waits for their first frames, then writes a segment every second or two. */
import type { Container, Patch, Sample } from './container/container.ts';
import { containerHeader, type HeaderTrack, OPUS_RATE_HZ, VIDEO_TIMESCALE } from './container/header.ts';
import { Mp4Container } from './container/mp4.ts';
import { WEBM_TIMESCALE, WebmContainer } from './container/webm.ts';
import { streamData } from './media/picture-bytes.ts';
import type { PictureFormat } from './media/picture-format.ts';
import { Timeline } from './media/timeline.ts';
import type { Frame, Rotation, TrackInput } from './media/track-input.ts';
import type { RecordFile } from './record-file.ts';
import { SampleQueue } from './sample-queue.ts';

/** How long a file waits for a track that sends nothing: for sound, and for the first keyframe of those who send one seldom. */
const WAIT_FOR_SOUND_MS = 2_000;
const WAIT_FOR_PICTURE_MS = 10_000;
/** A segment ends at a keyframe when it is this long, and at any frame when it is that long, that large or of so many frames. */
const SEGMENT_MS = 1_000;
const LONG_SEGMENT_MS = 2_000;
const LARGE_SEGMENT_BYTES = 4 * 1024 * 1024;
/** A frame in memory costs more than its bytes, which may be one. */
const LONG_SEGMENT_FRAMES = 4_096;

export interface ContainerFileOptions {
  extension: 'mp4' | 'webm';
  /** Those that may be in the file, in its order. */
  inputs: readonly TrackInput[];
  channels: number;
  /** Makes the file when it is known what will be in it. */
  create(codecs: readonly string[]): Promise<RecordFile>;
}

interface Opened {
  container: Container;
  timeline: Timeline;
  queues: SampleQueue[];
}

export class ContainerFile {
  readonly #options: ContainerFileOptions;
  /** In the file, or waiting for it to begin. */
  readonly #queues = new Map<TrackInput, SampleQueue>();
  readonly #firstKeys = new Map<TrackInput, { format: PictureFormat; rotation: Rotation; bytes: Buffer }>();
  #firstMs = Number.NaN;
  #opening: Promise<void> | null = null;
  #opened: Opened | null = null;
  #file: RecordFile | null = null;
  #segmentStartMs = 0;
  #closed = false;
  #ended: Promise<void> | null = null;

  constructor(options: ContainerFileOptions) {
    this.#options = options;
  }

  /** False: the file began without it. */
  takes(input: TrackInput): boolean {
    return this.#opening === null || this.#queues.has(input);
  }

  /** Of a video that is in the file. */
  rotationOf(input: TrackInput): Rotation | null {
    return this.#firstKeys.get(input)?.rotation ?? null;
  }

  get bytes(): number {
    return this.#file?.position ?? 0;
  }

  get pendingBytes(): number {
    let bytes = this.#file?.pendingBytes ?? 0;
    for (const queue of this.#queues.values()) bytes += queue.bytes;
    return bytes;
  }

  get failed(): boolean {
    return this.#file?.failed ?? false;
  }

  /** Nothing more is written into it. */
  fail(reason: string): void {
    this.#file?.fail(reason);
  }

  /** @param format of a video's keyframe; null for all else. @param nowMs Unix */
  frame(input: TrackInput, frame: Frame, format: PictureFormat | null, nowMs: number): void {
    if (this.#closed || !this.takes(input)) return;
    if (format !== null && !this.#firstKeys.has(input)) {
      this.#firstKeys.set(input, { format, rotation: frame.rotation, bytes: streamData(input.codec, frame) });
    }
    if (input.kind === 'video' && !this.#firstKeys.has(input)) return;
    let queue = this.#queues.get(input);
    if (queue === undefined) {
      queue = new SampleQueue(input, this.#timescale(input));
      this.#queues.set(input, queue);
    }
    queue.push(frame);
    if (Number.isNaN(this.#firstMs)) this.#firstMs = nowMs;
    if (this.#opened === null) this.tick(nowMs);
    else this.#cutWhenDue(this.#opened, input, frame);
  }

  /** Begins the file when everything is there, or has been waited for long enough. @param nowMs Unix */
  tick(nowMs: number): void {
    if (this.#opening !== null || this.#closed || this.#queues.size === 0) return;
    const waitedMs = nowMs - this.#firstMs;
    const missing = this.#options.inputs.filter((input) => !this.#queues.has(input));
    const patient = missing.some(({ kind }) => waitedMs < (kind === 'video' ? WAIT_FOR_PICTURE_MS : WAIT_FOR_SOUND_MS));
    if (!patient) this.#opening = this.#open();
  }

  async #open(): Promise<void> {
    const { inputs, extension, channels, create } = this.#options;
    const present = inputs.filter((input) => this.#queues.has(input));
    const file = await create(present.map(({ codec }) => codec));
    this.#file = file;
    try {
      const tracks = present.map((input) => this.#headerTrack(input, channels));
      const header = await containerHeader(extension, tracks);
      const described = present.map((input) => ({
        kind: input.kind,
        codec: input.codec,
        timescale: this.#timescale(input),
      }));
      const container =
        extension === 'mp4' ? new Mp4Container(header, described) : new WebmContainer(header, described);
      const queues = present.map((input) => this.#queues.get(input) as SampleQueue);
      file.append([container.header]);
      const timeline = startTimeline(queues);
      for (const queue of queues) queue.leadIn(timeline);
      this.#opened = { container, timeline, queues };
    } catch (error) {
      file.fail(`the file cannot be made: ${error instanceof Error ? error.message : error}`);
    }
  }

  #headerTrack(input: TrackInput, channels: number): HeaderTrack {
    const first = this.#firstKeys.get(input);
    if (first === undefined) return { kind: 'audio', channels };
    const { codec } = input;
    if (codec === 'opus' || codec === 'PCMU' || codec === 'PCMA') throw new Error(`${codec} is no video`);
    return { kind: 'video', codec, format: first.format, rotation: first.rotation, key: first.bytes };
  }

  #timescale({ kind }: TrackInput): number {
    if (this.#options.extension === 'webm') return WEBM_TIMESCALE;
    return kind === 'audio' ? OPUS_RATE_HZ : VIDEO_TIMESCALE;
  }

  #cutWhenDue(opened: Opened, input: TrackInput, frame: Frame): void {
    const lengthMs = opened.timeline.timeMs(input, frame.rtp) - this.#segmentStartMs;
    const atKeyframe = input.kind === 'video' && frame.key;
    const bytes = opened.queues.reduce((sum, queue) => sum + queue.bytes, 0);
    const frames = opened.queues.reduce((sum, queue) => sum + queue.length, 0);
    const isSmall = bytes < LARGE_SEGMENT_BYTES && frames < LONG_SEGMENT_FRAMES;
    if (lengthMs < (atKeyframe ? SEGMENT_MS : LONG_SEGMENT_MS) && isSmall) return;
    this.#cut(opened, false);
    this.#segmentStartMs += Math.max(0, lengthMs);
  }

  #cut({ container, timeline, queues }: Opened, all: boolean): void {
    const file = this.#file;
    if (file === null) return;
    const samples: Sample[][] = queues.map((queue) => queue.take(timeline, all));
    file.append(container.segment(file.position, samples));
    file.durationMs = container.durationS * 1000;
  }

  /** Writes what is left and ends the file. Idempotent. */
  finish(): Promise<void> {
    this.#ended ??= this.#finish();
    return this.#ended;
  }

  async #finish(): Promise<void> {
    this.#closed = true;
    if (this.#opening === null && this.#queues.size > 0) this.#opening = this.#open();
    await this.#opening;
    const file = this.#file;
    if (file === null) return;
    const opened = this.#opened;
    if (opened === null) {
      await file.finish([]);
      return;
    }
    await file.finish(this.#ending(opened, file));
  }

  /** What is left goes to the file; a container that does not take it must not keep the file open. */
  #ending(opened: Opened, file: RecordFile): readonly Patch[] {
    try {
      this.#cut(opened, true);
      const { trailer, patches } = opened.container.finish(file.position);
      file.append([trailer]);
      return patches;
    } catch (error) {
      file.fail(`its end cannot be written: ${error instanceof Error ? error.message : error}`);
      return [];
    }
  }
}

/** Sound leads: a player hears each hole in it, while a picture that is shown some milliseconds sooner is not seen. */
function startTimeline(queues: readonly SampleQueue[]): Timeline {
  const lead = queues.find(({ input }) => input.kind === 'audio') ?? (queues[0] as SampleQueue);
  const starts = queues.map(({ input, firstRtp }) => (firstRtp * 1000) / input.clockRate + input.offsetMs);
  return new Timeline(lead.input, Math.min(...starts));
}
