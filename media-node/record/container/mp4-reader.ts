/** Reads back what `Mp4Container` wrote: the tracks, and each whole fragment. */
import type { FileHandle } from 'node:fs/promises';
import type { Remains } from '../repair.ts';
import type { ContainerTrack } from './container.ts';
import { Mp4Container } from './mp4.ts';

/** `ftyp` and `moov` of ours take a kilobyte; a larger one is none of ours. */
const MAX_HEADER_BYTES = 1024 * 1024;
const MAX_MOOF_BYTES = 16 * 1024 * 1024;
const BOX_HEADER_BYTES = 8;
const NON_SYNC = 0x00010000;
const TRUN_ENTRY_BYTES = 12;

interface Box {
  type: string;
  start: number;
  end: number;
}

/** Null: it holds no whole header. */
export async function readMp4Fragments(file: FileHandle, size: number): Promise<Remains | null> {
  const header = await readHeader(file, size);
  if (header === null) return null;
  const container = new Mp4Container(header, readTracks(header));
  let end = header.length;
  for (;;) {
    const moof = await boxAt(file, end, size);
    if (moof?.type !== 'moof' || moof.end - moof.start > MAX_MOOF_BYTES) break;
    const mdat = await boxAt(file, moof.end, size);
    if (mdat?.type !== 'mdat') break;
    const bytes = Buffer.alloc(moof.end - moof.start);
    await file.read(bytes, 0, bytes.length, moof.start);
    noteFragment(container, bytes, moof.start);
    end = mdat.end;
  }
  return { container, end };
}

async function readHeader(file: FileHandle, size: number): Promise<Buffer | null> {
  const ftyp = await boxAt(file, 0, size);
  const moov = ftyp === null ? null : await boxAt(file, ftyp.end, size);
  if (ftyp?.type !== 'ftyp' || moov?.type !== 'moov' || moov.end > MAX_HEADER_BYTES) return null;
  const header = Buffer.alloc(moov.end);
  await file.read(header, 0, header.length, 0);
  return header;
}

/** Null when it is not whole. */
async function boxAt(file: FileHandle, start: number, size: number): Promise<Box | null> {
  const header = Buffer.alloc(BOX_HEADER_BYTES);
  const { bytesRead } = await file.read(header, 0, header.length, start);
  const end = start + header.readUInt32BE(0);
  if (bytesRead < BOX_HEADER_BYTES || end < start + BOX_HEADER_BYTES || end > size) return null;
  return { type: header.toString('latin1', 4, 8), start, end };
}

function* boxes(data: Buffer, from: number, to: number): Generator<Box> {
  for (let start = from; start + BOX_HEADER_BYTES <= to; ) {
    const end = start + data.readUInt32BE(start);
    if (end < start + BOX_HEADER_BYTES || end > to) return;
    yield { type: data.toString('latin1', start + 4, start + 8), start, end };
    start = end;
  }
}

function find(data: Buffer, parent: Box, type: string): Box | undefined {
  return [...boxes(data, parent.start + BOX_HEADER_BYTES, parent.end)].find((child) => child.type === type);
}

/** Of the codec nothing needs to be known any more. */
function readTracks(header: Buffer): ContainerTrack[] {
  const moov = [...boxes(header, 0, header.length)].find(({ type }) => type === 'moov');
  if (moov === undefined) return [];
  const tracks: ContainerTrack[] = [];
  for (const trak of boxes(header, moov.start + BOX_HEADER_BYTES, moov.end)) {
    const mdia = trak.type === 'trak' ? find(header, trak, 'mdia') : undefined;
    const mdhd = mdia && find(header, mdia, 'mdhd');
    const hdlr = mdia && find(header, mdia, 'hdlr');
    if (mdhd === undefined || hdlr === undefined) continue;
    const timescale = header.readUInt32BE(mdhd.start + (header[mdhd.start + 8] === 1 ? 28 : 20));
    const isAudio = header.toString('latin1', hdlr.start + 16, hdlr.start + 20) === 'soun';
    tracks.push(isAudio ? { kind: 'audio', codec: 'opus', timescale } : { kind: 'video', codec: 'H264', timescale });
  }
  return tracks;
}

function noteFragment(container: Mp4Container, moof: Buffer, position: number): void {
  let traf = 0;
  for (const child of boxes(moof, BOX_HEADER_BYTES, moof.length)) {
    if (child.type !== 'traf') continue;
    traf++;
    const tfhd = find(moof, child, 'tfhd');
    const tfdt = find(moof, child, 'tfdt');
    const trun = find(moof, child, 'trun');
    if (tfhd === undefined || tfdt === undefined || trun === undefined) continue;
    const track = moof.readUInt32BE(tfhd.start + 12) - 1;
    let time = moof.readUInt32BE(tfdt.start + 12) * 2 ** 32 + moof.readUInt32BE(tfdt.start + 16);
    const samples = [];
    const count = moof.readUInt32BE(trun.start + 12);
    for (let i = 0; i < count; i++) {
      const at = trun.start + 20 + i * TRUN_ENTRY_BYTES;
      const duration = moof.readUInt32BE(at);
      samples.push({ time, duration, key: (moof.readUInt32BE(at + 8) & NON_SYNC) === 0 });
      time += duration;
    }
    container.note(track, samples, position, traf);
  }
}
