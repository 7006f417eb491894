/**
 * WebM: clusters of a second or two, appended whole. At the end come the cues, and the header learns where they are and
 * how long the file is; nothing else ever changes, so all parts of an upload but the first may leave at once.
 */
import type { Container, ContainerTrack, Patch, Sample } from './container.ts';
import { EBML_ID, element, elementHeader, readElement, sizeField, uint } from './ebml.ts';

export const WEBM_TIMESCALE = 1_000;
const KEY_FRAME = 0x80;
/** A block's time is its distance from its cluster's, in 16 bits with a sign. */
const MAX_DISTANCE_MS = 0x7fff;

interface Block {
  sample: Sample;
  track: number;
}

interface CueEntry {
  time: number;
  track: number;
  position: number;
}

/** Where in the header something is filled in at the end. */
interface Places {
  segmentSize: { position: number; bytes: number };
  segmentData: number;
  /** Of the 8 bytes. */
  duration: number | null;
  /** Of `SeekPosition` of the cues. */
  cues: { position: number; bytes: number } | null;
}

export class WebmContainer implements Container {
  readonly extension = 'webm';
  readonly header: Buffer;
  readonly #tracks: readonly ContainerTrack[];
  readonly #places: Places;
  readonly #cues: CueEntry[] = [];
  #durationMs = 0;

  /** @param header as mediabunny made it, or as it stands in an unfinished file */
  constructor(header: Buffer, tracks: readonly ContainerTrack[]) {
    this.#tracks = tracks;
    this.#places = findPlaces(header);
    this.header = Buffer.from(header);
    const { segmentSize, duration } = this.#places;
    // Until it is finished the file says that it does not know its own length.
    sizeField(Number.POSITIVE_INFINITY, segmentSize.bytes).copy(this.header, segmentSize.position);
    if (duration !== null) this.header.writeDoubleBE(0, duration);
  }

  get durationS(): number {
    return this.#durationMs / WEBM_TIMESCALE;
  }

  segment(position: number, tracks: readonly (readonly Sample[])[]): Buffer[] {
    const blocks = tracks.flatMap((samples, track) => samples.map((sample) => ({ sample, track })));
    blocks.sort((a, b) => a.sample.time - b.sample.time || a.track - b.track);
    const out: Buffer[] = [];
    let place = position;
    for (const cluster of inClusters(blocks)) {
      const parts = this.#cluster(place, cluster);
      place += parts.reduce((sum, part) => sum + part.length, 0);
      out.push(...parts);
    }
    return out;
  }

  #cluster(position: number, blocks: readonly Block[]): Buffer[] {
    const start = blocks[0]?.sample.time ?? 0;
    const parts: Buffer[] = [element(EBML_ID.timestamp, uint(start))];
    for (const { sample, track } of blocks) {
      const prelude = Buffer.of(0x80 | (track + 1), 0, 0, sample.key ? KEY_FRAME : 0);
      prelude.writeInt16BE(sample.time - start, 1);
      parts.push(elementHeader(EBML_ID.simpleBlock, prelude.length + sample.bytes), prelude, ...sample.data);
    }
    for (const track of this.#tracks.keys()) {
      const own = blocks.filter((block) => block.track === track);
      this.note(
        track,
        own.map(({ sample }) => sample),
        position,
      );
    }
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    return [elementHeader(EBML_ID.cluster, bytes), ...parts];
  }

  /** As `Mp4Container.note`. Of a video only: players seek by its keyframes. */
  note(track: number, samples: readonly Pick<Sample, 'time' | 'duration' | 'key'>[], position: number): void {
    const first = samples.find(({ key }) => key);
    const last = samples.at(-1);
    if (last !== undefined) this.#durationMs = Math.max(this.#durationMs, last.time + last.duration);
    const hasVideo = this.#tracks.some(({ kind }) => kind === 'video');
    if (first === undefined || (hasVideo && this.#tracks[track]?.kind !== 'video')) return;
    this.#cues.push({ time: first.time, track, position: position - this.#places.segmentData });
  }

  finish(position: number): { trailer: Buffer; patches: Patch[] } {
    const { segmentSize, segmentData, duration, cues } = this.#places;
    const points = this.#cues.map(({ time, track, position: at }) =>
      element(EBML_ID.cuePoint, [
        element(EBML_ID.cueTime, uint(time)),
        element(EBML_ID.cueTrackPositions, [
          element(EBML_ID.cueTrack, uint(track + 1)),
          element(EBML_ID.cueClusterPosition, uint(at)),
        ]),
      ]),
    );
    const trailer = element(EBML_ID.cues, points);
    const patches: Patch[] = [
      {
        position: segmentSize.position,
        data: sizeField(position + trailer.length - segmentData, segmentSize.bytes),
      },
    ];
    if (duration !== null) {
      const data = Buffer.alloc(8);
      data.writeDoubleBE(this.#durationMs);
      patches.push({ position: duration, data });
    }
    if (cues !== null) {
      const data = Buffer.alloc(cues.bytes);
      data.writeUIntBE(position - segmentData, cues.bytes - 5, 5);
      patches.push({ position: cues.position, data });
    }
    return { trailer, patches };
  }
}

/**
 * A keyframe begins a cluster unless its track's first picture there is one already: a player that has no cues goes to
 * where a cluster begins and decodes what it finds. (Chromium has none for good when its first seek is cut short by a
 * second one while they are read; it then fails with a decode error at a picture that is no keyframe.)
 * After a pause there is one more: a track that was silent for a minute comes with its last sample from before it.
 */
function inClusters(blocks: readonly Block[]): Block[][] {
  const clusters: Block[][] = [];
  let cluster: Block[] = [];
  const beginsWithKey = new Map<number, boolean>();
  for (const block of blocks) {
    const { sample, track } = block;
    const isFar = sample.time - (cluster[0]?.sample.time ?? sample.time) > MAX_DISTANCE_MS;
    if (cluster.length === 0 || isFar || (sample.key && beginsWithKey.get(track) === false)) {
      cluster = [];
      clusters.push(cluster);
      beginsWithKey.clear();
    }
    cluster.push(block);
    if (!beginsWithKey.has(track)) beginsWithKey.set(track, sample.key);
  }
  return clusters;
}

function findPlaces(header: Buffer): Places {
  const ebml = readElement(header, 0);
  const segment = ebml === null ? null : readElement(header, ebml.dataPosition + ebml.dataBytes);
  if (segment === null || segment.id !== EBML_ID.segment) throw new Error('the header holds no segment');
  const places: Places = {
    segmentSize: { position: segment.sizePosition, bytes: segment.sizeBytes },
    segmentData: segment.dataPosition,
    duration: null,
    cues: null,
  };
  for (const child of children(header, segment.dataPosition, header.length)) {
    const end = child.dataPosition + child.dataBytes;
    for (const grandchild of child.id === EBML_ID.tracks ? [] : children(header, child.dataPosition, end)) {
      if (grandchild.id === EBML_ID.duration && grandchild.dataBytes === 8) places.duration = grandchild.dataPosition;
      if (grandchild.id !== EBML_ID.seek) continue;
      const [id, position] = children(header, grandchild.dataPosition, grandchild.dataPosition + grandchild.dataBytes);
      if (id === undefined || position === undefined || position.dataBytes < 5) continue;
      if (header.readUIntBE(id.dataPosition, id.dataBytes) !== EBML_ID.cues) continue;
      places.cues = { position: position.dataPosition, bytes: position.dataBytes };
    }
  }
  return places;
}

function children(data: Buffer, from: number, to: number) {
  const found = [];
  for (let at = from; at < to; ) {
    const child = readElement(data, at);
    if (child === null || child.dataPosition + child.dataBytes > to) break;
    found.push(child);
    at = child.dataPosition + child.dataBytes;
  }
  return found;
}
