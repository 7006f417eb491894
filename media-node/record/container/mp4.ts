/** Fragmented MP4 (ISO/IEC 14496-12 §8.8): `ftyp moov (moof mdat)* mfra`, strictly appended. */
import type { Container, ContainerTrack, Patch, Sample } from './container.ts';

const SYNC_SAMPLE = 0x02000000;
/** Depends on others, and is no sync sample. */
const DELTA_SAMPLE = 0x01010000;
/** `default-base-is-moof` (§8.8.7). */
const TFHD_FLAGS = 0x020000;
/** Data offset; duration, size and flags of each sample. */
const TRUN_FLAGS = 0x000701;
const TRUN_ENTRY_BYTES = 12;
const BOX_HEADER_BYTES = 8;

/** Where decoding can start. */
interface IndexEntry {
  /** Index of the track. */
  track: number;
  time: number;
  moofPosition: number;
  /** One-based place of the track's `traf` in the `moof`. */
  traf: number;
}

export class Mp4Container implements Container {
  readonly extension = 'mp4';
  readonly header: Buffer;
  readonly #tracks: readonly ContainerTrack[];
  readonly #index: IndexEntry[] = [];
  #sequence = 0;
  #durationS = 0;

  constructor(header: Buffer, tracks: readonly ContainerTrack[]) {
    this.header = header;
    this.#tracks = tracks;
  }

  get durationS(): number {
    return this.#durationS;
  }

  segment(position: number, tracks: readonly (readonly Sample[])[]): Buffer[] {
    const present = tracks.flatMap((samples, track) => (samples.length === 0 ? [] : [{ samples, track }]));
    if (present.length === 0) return [];
    const moofBytes = 24 + present.reduce((sum, { samples }) => sum + trafBytes(samples.length), 0);
    const data: Buffer[] = [];
    const trafs: Buffer[] = [];
    let offset = moofBytes + BOX_HEADER_BYTES;
    for (const [at, { samples, track }] of present.entries()) {
      trafs.push(traf(track + 1, samples, offset));
      for (const sample of samples) {
        data.push(...sample.data);
        offset += sample.bytes;
      }
      this.note(track, samples, position, at + 1);
    }
    const moof = box('moof', [fullBox('mfhd', 0, 0, [u32(++this.#sequence)]), ...trafs]);
    const mdat = Buffer.alloc(BOX_HEADER_BYTES);
    mdat.writeUInt32BE(offset - moofBytes, 0);
    mdat.write('mdat', 4, 'latin1');
    return [moof, mdat, ...data];
  }

  /** Remembers the first sample when decoding can start there. Of the whole file, for the index at its end. */
  note(
    track: number,
    samples: readonly Pick<Sample, 'time' | 'duration' | 'key'>[],
    position: number,
    traf: number,
  ): void {
    const first = samples[0];
    const last = samples.at(-1);
    const { timescale } = this.#tracks[track] as ContainerTrack;
    if (first === undefined || last === undefined) return;
    this.#durationS = Math.max(this.#durationS, (last.time + last.duration) / timescale);
    if (first.key) this.#index.push({ track, time: first.time, moofPosition: position, traf });
  }

  finish(): { trailer: Buffer; patches: Patch[] } {
    const tables = this.#tracks.map((_, track) => tfra(track, this.#index));
    const content = Buffer.concat(tables);
    // mfro says how long the mfra is, so that it can be found from the end.
    const length = BOX_HEADER_BYTES + content.length + 16;
    return { trailer: box('mfra', [content, fullBox('mfro', 0, 0, [u32(length)])]), patches: [] };
  }
}

function trafBytes(samples: number): number {
  return BOX_HEADER_BYTES + 16 + 20 + 20 + samples * TRUN_ENTRY_BYTES;
}

function traf(id: number, samples: readonly Sample[], dataOffset: number): Buffer {
  const entries = Buffer.alloc(samples.length * TRUN_ENTRY_BYTES);
  for (const [at, sample] of samples.entries()) {
    entries.writeUInt32BE(sample.duration, at * TRUN_ENTRY_BYTES);
    entries.writeUInt32BE(sample.bytes, at * TRUN_ENTRY_BYTES + 4);
    entries.writeUInt32BE(sample.key ? SYNC_SAMPLE : DELTA_SAMPLE, at * TRUN_ENTRY_BYTES + 8);
  }
  return box('traf', [
    fullBox('tfhd', 0, TFHD_FLAGS, [u32(id)]),
    fullBox('tfdt', 1, 0, [u64(samples[0]?.time ?? 0)]),
    fullBox('trun', 0, TRUN_FLAGS, [u32(samples.length), u32(dataOffset), entries]),
  ]);
}

/** §8.8.10; the numbers of traf, trun and sample take a byte each. */
function tfra(track: number, index: readonly IndexEntry[]): Buffer {
  const entries = index.filter((entry) => entry.track === track);
  const bytes = entries.map(({ time, moofPosition, traf }) =>
    Buffer.concat([u64(time), u64(moofPosition), Buffer.of(traf, 1, 1)]),
  );
  return fullBox('tfra', 1, 0, [u32(track + 1), u32(0), u32(entries.length), ...bytes]);
}

export function box(type: string, parts: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(BOX_HEADER_BYTES);
  header.writeUInt32BE(
    parts.reduce((sum, part) => sum + part.length, BOX_HEADER_BYTES),
    0,
  );
  header.write(type, 4, 'latin1');
  return Buffer.concat([header, ...parts]);
}

function fullBox(type: string, version: number, flags: number, parts: readonly Buffer[]): Buffer {
  return box(type, [u32(version * 0x1000000 + flags), ...parts]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), 0);
  bytes.writeUInt32BE(value % 2 ** 32, 4);
  return bytes;
}
