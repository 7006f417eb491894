/** Makes a file that was left in the middle a whole one: what is torn at its end is cut off, the index is written. */
import { type FileHandle, open } from 'node:fs/promises';
import type { Container } from './container/container.ts';
import { readMp4Fragments } from './container/mp4-reader.ts';
import { readWebmClusters } from './container/webm-reader.ts';

export interface Repaired {
  bytes: number;
  durationMs: number;
  /** Up to here nothing was changed. */
  trustedBytes: number;
}

/** What a reader of a container finds. */
export interface Remains {
  container: Container;
  /** End of the last whole segment; not more than the header: there is none. */
  end: number;
}

const IVF_HEADER_BYTES = 32;
const IVF_FRAME_HEADER_BYTES = 12;
const OGG_HEADER_BYTES = 27;
const OPUS_UNITS_PER_MS = 48;

/** Null: there is nothing in it that could be played. @throws Error when it cannot be read or written */
export async function repair(path: string): Promise<Repaired | null> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    if (path.endsWith('.mp4')) return await finishContainer(file, await readMp4Fragments(file, size));
    if (path.endsWith('.webm')) return await finishContainer(file, await readWebmClusters(file, size));
    if (path.endsWith('.ogg')) return await cutOgg(file, size);
    if (path.endsWith('.ivf')) return await cutIvf(file, size);
    return size === 0 ? null : { bytes: size, durationMs: 0, trustedBytes: size };
  } finally {
    await file.close();
  }
}

async function finishContainer(file: FileHandle, remains: Remains | null): Promise<Repaired | null> {
  if (remains === null || remains.container.durationS === 0) return null;
  const { container, end } = remains;
  await file.truncate(end);
  const { trailer, patches } = container.finish(end);
  await file.write(trailer, 0, trailer.length, end);
  for (const { position, data } of patches) await file.write(data, 0, data.length, position);
  await file.datasync();
  return { bytes: end + trailer.length, durationMs: container.durationS * 1000, trustedBytes: end };
}

async function cutOgg(file: FileHandle, size: number): Promise<Repaired | null> {
  const header = Buffer.alloc(OGG_HEADER_BYTES + 255);
  let end = 0;
  let granule = 0;
  for (;;) {
    const { bytesRead } = await file.read(header, 0, header.length, end);
    if (bytesRead < OGG_HEADER_BYTES || header.toString('latin1', 0, 4) !== 'OggS') break;
    const segments = header[26] as number;
    let next = end + OGG_HEADER_BYTES + segments;
    for (let i = 0; i < segments; i++) next += header[OGG_HEADER_BYTES + i] as number;
    if (bytesRead < OGG_HEADER_BYTES + segments || next > size) break;
    granule = Number(header.readBigUInt64LE(6));
    end = next;
  }
  return await cut(file, end, granule / OPUS_UNITS_PER_MS);
}

async function cutIvf(file: FileHandle, size: number): Promise<Repaired | null> {
  const header = Buffer.alloc(IVF_FRAME_HEADER_BYTES);
  let end = IVF_HEADER_BYTES;
  let durationMs = 0;
  while (end + IVF_FRAME_HEADER_BYTES <= size) {
    await file.read(header, 0, header.length, end);
    const next = end + IVF_FRAME_HEADER_BYTES + header.readUInt32LE(0);
    if (next > size) break;
    durationMs = header.readUInt32LE(4) + header.readUInt32LE(8) * 2 ** 32;
    end = next;
  }
  return end <= IVF_HEADER_BYTES ? null : await cut(file, end, durationMs);
}

async function cut(file: FileHandle, end: number, durationMs: number): Promise<Repaired | null> {
  await file.truncate(end);
  await file.datasync();
  return durationMs === 0 ? null : { bytes: end, durationMs, trustedBytes: end };
}
