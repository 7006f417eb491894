/** What an independent demuxer and its decoders find in a recorded file. */
import { Decoder, Demuxer } from 'node-av/api';
import type { Frame } from 'node-av/lib';
import { readFrameMarker } from '../../support/client/frame-marker.ts';

export interface RecordedTrackFacts {
  kind: 'audio' | 'video';
  codec: string;
  packets: number;
  decoded: number;
  firstS: number;
  /** End of the last packet. */
  endS: number;
  /** Presentation times of the packets, seconds. */
  timesS: number[];
  /** Which frame of a synthetic publisher each packet is; NaN: of none. */
  numbers: number[];
  /** Of the largest distance between two packets, seconds. */
  largestGapS: number;
  sizes: string[];
  /** When the picture turned white, or the sound began after silence: seconds. For clips with marks. */
  marksS: number[];
}

export interface RecordedFacts {
  durationS: number;
  tracks: RecordedTrackFacts[];
}

const FFMPEG_VIDEO = 0;

/**
 * Reads the whole file and decodes every packet, unless `decodes` is false: synthetic VP8 has the shape only.
 * @throws what the demuxer or a decoder throws
 */
export async function readRecorded(path: string, decodes = true): Promise<RecordedFacts> {
  const input = await Demuxer.open(path);
  const tracks: RecordedTrackFacts[] = [];
  try {
    for (const stream of input.streams) {
      tracks[stream.index] = {
        kind: stream.codecpar.codecType === FFMPEG_VIDEO ? 'video' : 'audio',
        codec: String(stream.codecpar.codecId),
        packets: 0,
        decoded: 0,
        firstS: Number.NaN,
        endS: 0,
        timesS: [],
        numbers: [],
        largestGapS: 0,
        sizes: [],
        marksS: [],
      };
    }
    const durationS = input.duration;
    for await (const packet of input.packets()) {
      if (packet === null) break;
      const track = tracks[packet.streamIndex];
      const stream = input.streams[packet.streamIndex];
      if (track === undefined || stream === undefined) continue;
      const unit = stream.timeBase.num / stream.timeBase.den;
      const time = Number(packet.pts) * unit;
      const last = track.timesS.at(-1);
      if (last !== undefined) track.largestGapS = Math.max(track.largestGapS, time - last);
      if (Number.isNaN(track.firstS)) track.firstS = time;
      track.timesS.push(time);
      track.numbers.push((packet.data === null ? null : readFrameMarker(packet.data)) ?? Number.NaN);
      track.packets++;
      track.endS = Math.max(track.endS, time + Number(packet.duration) * unit);
    }
    await input.close();
    for (const index of decodes ? tracks.keys() : []) await decodeAll(path, index, tracks[index] as RecordedTrackFacts);
    return { durationS, tracks };
  } finally {
    await input.close();
  }
}

async function decodeAll(path: string, index: number, facts: RecordedTrackFacts): Promise<void> {
  const input = await Demuxer.open(path);
  try {
    const stream = input.streams[index];
    if (stream === undefined) return;
    const decoder = await Decoder.create(stream, { exitOnError: true });
    const marks = new MarkFinder(facts);
    for await (const frame of decoder.frames(input.packets(index))) {
      if (frame === null) break;
      facts.decoded++;
      marks.frame(frame);
      const size = `${frame.width}x${frame.height}`;
      if (facts.kind === 'video' && facts.sizes.at(-1) !== size) facts.sizes.push(size);
      frame.free();
    }
    decoder.close();
  } finally {
    await input.close();
  }
}

/** Every how many bytes of a picture one is looked at. */
const LUMA_STEP = 997;
const WHITE_ABOVE = 200;
const LOUD_ABOVE = 0.05;
/** A tone crosses zero; this long without a loud sample is silence. */
const SILENCE_S = 0.2;

/** Finds white pictures and tones. Decoders give 8-bit planar pictures and 32-bit floats. */
class MarkFinder {
  readonly #facts: RecordedTrackFacts;
  #wasWhite = true;
  #loudS = Number.NEGATIVE_INFINITY;

  constructor(facts: RecordedTrackFacts) {
    this.#facts = facts;
  }

  frame(frame: Frame): void {
    const plane = frame.data?.[0];
    if (plane === undefined) return;
    const atS = (Number(frame.pts) * frame.timeBase.num) / frame.timeBase.den;
    if (this.#facts.kind === 'video') this.#picture(plane.subarray(0, (frame.linesize[0] ?? 0) * frame.height), atS);
    else this.#sound(plane, frame.nbSamples, frame.sampleRate, atS);
  }

  #picture(luma: Buffer, atS: number): void {
    let sum = 0;
    let count = 0;
    for (let at = 0; at < luma.length; at += LUMA_STEP) {
      sum += luma[at] as number;
      count++;
    }
    const isWhite = sum / count > WHITE_ABOVE;
    if (isWhite && !this.#wasWhite) this.#facts.marksS.push(atS);
    this.#wasWhite = isWhite;
  }

  #sound(plane: Buffer, count: number, rateHz: number, startS: number): void {
    const step = Math.floor(plane.length / count / 4) || 1;
    for (let at = 0; at < count; at++) {
      if (Math.abs(plane.readFloatLE(at * step * 4)) < LOUD_ABOVE) continue;
      const atS = startS + at / rateHz;
      if (atS - this.#loudS > SILENCE_S) this.#facts.marksS.push(atS);
      this.#loudS = atS;
    }
  }
}

/** Of the middle one; NaN: there is none. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** How much later each tone comes than its white picture, ms, in the order of the file. */
export function soundDelaysMs({ tracks }: RecordedFacts): number[] {
  const flashes = tracks.find(({ kind }) => kind === 'video')?.marksS ?? [];
  const tones = tracks.find(({ kind }) => kind === 'audio')?.marksS ?? [];
  return flashes.flatMap((flashS) => {
    const near = tones.map((toneS) => (toneS - flashS) * 1000).filter((ms) => Math.abs(ms) < MARK_WINDOW_MS);
    return near.length === 1 ? (near as [number]) : [];
  });
}

/** Marks are a second apart. */
const MARK_WINDOW_MS = 450;
