/** Reads back what `WebmContainer` wrote: the header, and each whole cluster. */
import type { FileHandle } from 'node:fs/promises';
import type { Remains } from '../repair.ts';
import type { ContainerTrack } from './container.ts';
import { EBML_ID, readElement } from './ebml.ts';
import { WEBM_TIMESCALE, WebmContainer } from './webm.ts';

const MAX_HEADER_BYTES = 64 * 1024;
const MAX_CLUSTER_BYTES = 64 * 1024 * 1024;
const ELEMENT_HEADER_BYTES = 12;
const KEY_FRAME = 0x80;
const TRACK_ENTRY = 0xae;
const TRACK_TYPE = 0x83;
const TRACK_TYPE_VIDEO = 1;

/** Null: it holds no whole header. */
export async function readWebmClusters(file: FileHandle, size: number): Promise<Remains | null> {
  const start = Buffer.alloc(Math.min(size, MAX_HEADER_BYTES));
  await file.read(start, 0, start.length, 0);
  const header = headerOf(start);
  if (header === null) return null;
  const container = new WebmContainer(header.bytes, header.tracks);
  const head = Buffer.alloc(ELEMENT_HEADER_BYTES);
  let end = header.bytes.length;
  for (;;) {
    const { bytesRead } = await file.read(head, 0, head.length, end);
    const cluster = readElement(head.subarray(0, bytesRead), 0);
    if (cluster?.id !== EBML_ID.cluster || cluster.dataBytes > MAX_CLUSTER_BYTES) break;
    const next = end + cluster.dataPosition + cluster.dataBytes;
    if (next > size) break;
    const data = Buffer.alloc(cluster.dataBytes);
    await file.read(data, 0, data.length, end + cluster.dataPosition);
    noteCluster(container, data, end);
    end = next;
  }
  return { container, end };
}

function headerOf(data: Buffer): { bytes: Buffer; tracks: ContainerTrack[] } | null {
  const ebml = readElement(data, 0);
  const segment = ebml === null ? null : readElement(data, ebml.dataPosition + ebml.dataBytes);
  if (segment === null) return null;
  const tracks: ContainerTrack[] = [];
  let at = segment.dataPosition;
  for (;;) {
    const child = readElement(data, at);
    if (child === null || child.dataPosition + child.dataBytes > data.length) {
      return tracks.length > 0 ? { bytes: data.subarray(0, at), tracks } : null;
    }
    if (child.id === EBML_ID.cluster || child.id === EBML_ID.cues) break;
    if (child.id === EBML_ID.tracks) {
      tracks.push(...tracksOf(data.subarray(child.dataPosition, child.dataPosition + child.dataBytes)));
    }
    at = child.dataPosition + child.dataBytes;
  }
  return { bytes: data.subarray(0, at), tracks };
}

function tracksOf(data: Buffer): ContainerTrack[] {
  const tracks: ContainerTrack[] = [];
  for (const entry of elements(data)) {
    if (entry.id !== TRACK_ENTRY) continue;
    const type = elements(entry.data).find(({ id }) => id === TRACK_TYPE)?.data[0];
    const isVideo = type === TRACK_TYPE_VIDEO;
    tracks.push(
      isVideo
        ? { kind: 'video', codec: 'VP8', timescale: WEBM_TIMESCALE }
        : { kind: 'audio', codec: 'opus', timescale: WEBM_TIMESCALE },
    );
  }
  return tracks;
}

function elements(data: Buffer): { id: number; data: Buffer }[] {
  const found = [];
  for (let at = 0; at < data.length; ) {
    const child = readElement(data, at);
    if (child === null || child.dataPosition + child.dataBytes > data.length) break;
    at = child.dataPosition + child.dataBytes;
    found.push({ id: child.id, data: data.subarray(child.dataPosition, at) });
  }
  return found;
}

function noteCluster(container: WebmContainer, data: Buffer, position: number): void {
  let start = 0;
  const samples = new Map<number, { time: number; duration: number; key: boolean }[]>();
  for (const { id, data: content } of elements(data)) {
    if (id === EBML_ID.timestamp) for (const byte of content) start = start * 256 + byte;
    if (id !== EBML_ID.simpleBlock || content.length < 4) continue;
    const track = ((content[0] as number) & 0x7f) - 1;
    const list = samples.get(track) ?? [];
    const key = ((content[3] as number) & KEY_FRAME) !== 0;
    list.push({ time: start + content.readInt16BE(1), duration: 0, key });
    samples.set(track, list);
  }
  for (const [track, list] of samples) container.note(track, list, position);
}
