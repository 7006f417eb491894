/** The frames of one track that are not in the file yet. All but the newest have a known duration. */
import type { Sample } from './container/container.ts';
import { opusDurationMs } from './media/opus.ts';
import { sampleData } from './media/picture-bytes.ts';
import type { Timeline } from './media/timeline.ts';
import type { Frame, TrackInput } from './media/track-input.ts';

const DEFAULT_PICTURE_MS = 33;
/** 20 ms of silence (RFC 6716), and what that is in RTP time. */
const OPUS_SILENCE = Buffer.from([0xf8, 0xff, 0xfe]);
const OPUS_SILENCE_UNITS = 960;
/** A file waits ten seconds for its tracks; by clocks that say more, its sound would begin with hours of silence. */
const MAX_LEAD_MS = 30_000;

export class SampleQueue {
  readonly input: TrackInput;
  readonly #timescale: number;
  #frames: { rtp: number; key: boolean; data: Buffer[]; bytes: number }[] = [];
  #bytes = 0;
  /** Of the newest sample that went out. */
  #lastTime = -1;
  #lastStep = 0;
  #fromZero = false;

  constructor(input: TrackInput, timescale: number) {
    this.input = input;
    this.#timescale = timescale;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#frames.length;
  }

  /** RTP time of the first one; NaN when there is none. */
  get firstRtp(): number {
    return this.#frames[0]?.rtp ?? Number.NaN;
  }

  push(frame: Frame): void {
    const data = sampleData(this.input.codec, frame);
    const bytes = data.reduce((sum, { length }) => sum + length, 0);
    this.#frames.push({ rtp: frame.rtp, key: frame.key, data, bytes });
    this.#bytes += bytes;
  }

  /**
   * Lets the track begin with the file: silence before the first sound, the first picture until the second one. Readers
   * are not at one about how long a file is whose tracks begin at different times (FFmpeg, and with it Chromium, adds the
   * beginning to the end).
   */
  leadIn(timeline: Timeline): void {
    const first = this.#frames[0];
    if (first === undefined) return;
    if (this.input.kind === 'video') {
      this.#fromZero = true;
      return;
    }
    const leadMs = Math.min(timeline.timeMs(this.input, first.rtp), MAX_LEAD_MS);
    const count = Math.floor((leadMs * this.input.clockRate) / 1000 / OPUS_SILENCE_UNITS);
    const silence = Array.from({ length: Math.max(0, count) }, (_, at) => ({
      rtp: first.rtp - (count - at) * OPUS_SILENCE_UNITS,
      key: true,
      data: [OPUS_SILENCE],
      bytes: OPUS_SILENCE.length,
    }));
    this.#frames.unshift(...silence);
    this.#bytes += count > 0 ? count * OPUS_SILENCE.length : 0;
  }

  /** Takes out all whose duration is known; `all`: the newest too. */
  take(timeline: Timeline, all: boolean): Sample[] {
    timeline.correct(this.input);
    const kept = all ? [] : this.#frames.slice(-1);
    const frames = all ? this.#frames : this.#frames.slice(0, -1);
    const samples: Sample[] = [];
    let time = Math.max(this.#lastTime + 1, this.#timeOf(timeline, this.#frames[0]?.rtp ?? 0));
    if (this.#fromZero) time = 0;
    if (frames.length > 0) this.#fromZero = false;
    for (const [at, { data, bytes, key }] of frames.entries()) {
      const next = this.#frames[at + 1];
      const duration = next === undefined ? this.#guess(data) : Math.max(1, this.#timeOf(timeline, next.rtp) - time);
      samples.push({ data, bytes, key, time, duration });
      this.#lastTime = time;
      this.#lastStep = duration;
      time += duration;
    }
    this.#frames = kept;
    this.#bytes = kept[0]?.bytes ?? 0;
    return samples;
  }

  #timeOf(timeline: Timeline, rtp: number): number {
    return Math.max(0, Math.round((timeline.timeMs(this.input, rtp) * this.#timescale) / 1000));
  }

  /** Of the last one of all. */
  #guess(data: readonly Buffer[]): number {
    if (this.input.kind === 'audio' && this.input.codec === 'opus') {
      return Math.round((opusDurationMs(data[0] ?? Buffer.alloc(0)) * this.#timescale) / 1000);
    }
    const usual = Math.round((DEFAULT_PICTURE_MS * this.#timescale) / 1000);
    return this.#lastStep > 0 && this.#lastStep < 4 * usual ? this.#lastStep : usual;
  }
}
