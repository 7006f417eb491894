/** `RECORD_FORMAT=raw`: a file per track, as plain as can be. Opus in Ogg (RFC 7845), VP8, VP9 and AV1 in IVF, H.264 as a byte stream. */
import { opusHead } from './container/header.ts';
import { OggPages } from './container/ogg.ts';
import { opusDurationMs } from './media/opus.ts';
import { streamData } from './media/picture-bytes.ts';
import type { PictureFormat } from './media/picture-format.ts';
import type { Frame, TrackInput } from './media/track-input.ts';
import type { RecordFile } from './record-file.ts';

export type RawExtension = 'ogg' | 'ivf' | 'h264';
export const RAW_CONTENT_TYPES: Readonly<Record<RawExtension, string>> = {
  ogg: 'audio/ogg',
  ivf: 'video/x-ivf',
  h264: 'video/h264',
};
const FLUSH_MS = 1_000;
const OPUS_RATE_HZ = 48_000;
const IVF_TICKS_PER_S = 1_000;
/** How far the sender's clock may be ahead of ours: a jump is not filled with silence, and a drift takes a week to get here. */
const MAX_AHEAD_MS = 60_000;
const FOURCC = { VP8: 'VP80', VP9: 'VP90', AV1: 'AV01' } as const;
const TEMPORAL_DELIMITER = Buffer.from([0x12, 0x00]);

/** Null: there is no raw format for it. */
export function rawExtension({ codec }: TrackInput): RawExtension | null {
  if (codec === 'opus') return 'ogg';
  if (codec === 'H264') return 'h264';
  return codec === 'VP8' || codec === 'VP9' || codec === 'AV1' ? 'ivf' : null;
}

export class RawFile {
  readonly #input: TrackInput;
  readonly #channels: number;
  readonly #create: () => Promise<RecordFile>;
  #file: RecordFile | null = null;
  #opening: Promise<void> | null = null;
  #early: { frame: Frame; format: PictureFormat | null; nowMs: number }[] = [];
  #earlyBytes = 0;
  #pages: OggPages | null = null;
  #firstRtp = Number.NaN;
  #firstMs = Number.NaN;
  #lastTime = -1;
  #out: Buffer[] = [];
  #outBytes = 0;
  #flushedMs = 0;

  constructor(input: TrackInput, channels: number, create: () => Promise<RecordFile>) {
    this.#input = input;
    this.#channels = channels;
    this.#create = create;
  }

  get bytes(): number {
    return this.#file?.position ?? 0;
  }

  get pendingBytes(): number {
    return (this.#file?.pendingBytes ?? 0) + this.#outBytes + this.#earlyBytes;
  }

  get failed(): boolean {
    return this.#file?.failed ?? false;
  }

  /** Nothing more is written into it. */
  fail(reason: string): void {
    this.#file?.fail(reason);
  }

  /** @param nowMs Unix */
  frame(frame: Frame, format: PictureFormat | null, nowMs: number): void {
    if (this.#file === null) {
      this.#early.push({ frame, format, nowMs });
      this.#earlyBytes += frame.units.reduce((sum, { length }) => sum + length, 0);
      this.#opening ??= this.#open();
      return;
    }
    this.#write(frame, format, nowMs);
    const ms = this.#elapsedMs(frame.rtp);
    this.#file.durationMs = ms;
    if (ms - this.#flushedMs >= FLUSH_MS) this.#flush(ms);
  }

  async #open(): Promise<void> {
    const file = await this.#create();
    this.#file = file;
    try {
      for (const { frame, format, nowMs } of this.#early.splice(0)) this.#write(frame, format, nowMs);
    } catch (error) {
      file.fail(`it cannot be begun: ${error instanceof Error ? error.message : error}`);
    }
    this.#earlyBytes = 0;
  }

  #elapsedMs(rtp: number): number {
    return ((rtp - this.#firstRtp) * 1000) / this.#input.clockRate;
  }

  #write(frame: Frame, format: PictureFormat | null, nowMs: number): void {
    const first = Number.isNaN(this.#firstRtp);
    if (first) {
      this.#firstRtp = frame.rtp;
      this.#firstMs = nowMs;
    }
    const aheadMs = this.#elapsedMs(frame.rtp) - (nowMs - this.#firstMs);
    const excessMs = Math.max(0, aheadMs - MAX_AHEAD_MS);
    this.#firstRtp += Math.round((excessMs * this.#input.clockRate) / 1000);
    const { codec } = this.#input;
    if (codec === 'opus') {
      this.#writeOpus(frame.units[0] as Buffer, frame.rtp);
    } else if (codec === 'H264') {
      this.#push(streamData(codec, frame));
    } else {
      if (first) this.#push(ivfHeader(FOURCC[codec as keyof typeof FOURCC], format));
      const data = codec === 'AV1' ? [TEMPORAL_DELIMITER, ...frame.units] : frame.units;
      this.#lastTime = Math.max(this.#lastTime + 1, Math.round(this.#elapsedMs(frame.rtp)));
      this.#push(ivfFrame(Buffer.concat(data), this.#lastTime));
    }
  }

  /** What did not come is a packet without a frame: the decoder conceals it, and the time stays right (RFC 7845 §4.1). */
  #writeOpus(packet: Buffer, rtp: number): void {
    this.#pages ??= new OggPages(opusHead(this.#channels));
    const pages = this.#pages;
    const wanted = rtp - this.#firstRtp;
    const durationMs = opusDurationMs(packet);
    const step = (durationMs * OPUS_RATE_HZ) / 1000;
    if (wanted < pages.granule) return;
    const oneFrame = Buffer.of((packet[0] as number) & 0xfc);
    const fill = (opusDurationMs(oneFrame) * OPUS_RATE_HZ) / 1000;
    while (pages.granule + fill <= wanted) pages.add(oneFrame, fill);
    pages.add(packet, step);
    for (const page of pages.takeFull()) this.#push(page);
  }

  #push(data: Buffer): void {
    this.#out.push(data);
    this.#outBytes += data.length;
  }

  #flush(ms: number): void {
    for (const page of this.#pages?.takeAll(false) ?? []) this.#push(page);
    this.#file?.append(this.#out);
    this.#out = [];
    this.#outBytes = 0;
    this.#flushedMs = ms;
  }

  async finish(): Promise<void> {
    await this.#opening;
    if (this.#file === null) return;
    try {
      for (const page of this.#pages?.takeAll(true) ?? []) this.#push(page);
    } catch (error) {
      this.#file.fail(`its end cannot be written: ${error instanceof Error ? error.message : error}`);
    }
    this.#file.append(this.#out);
    this.#out = [];
    this.#outBytes = 0;
    await this.#file.finish([]);
  }
}

/** The header of an IVF file; the number of frames is not known, and nobody relies on it. */
export function ivfHeader(fourcc: string, format: Pick<PictureFormat, 'width' | 'height'> | null): Buffer {
  const header = Buffer.alloc(32);
  header.write('DKIF', 0, 'latin1');
  header.writeUInt16LE(32, 6);
  header.write(fourcc, 8, 'latin1');
  header.writeUInt16LE(format?.width ?? 0, 12);
  header.writeUInt16LE(format?.height ?? 0, 14);
  header.writeUInt32LE(IVF_TICKS_PER_S, 16);
  header.writeUInt32LE(1, 20);
  return header;
}

/** @param time in ticks */
export function ivfFrame(data: Buffer, time: number): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt32LE(data.length, 0);
  header.writeUInt32LE(time % 2 ** 32, 4);
  header.writeUInt32LE(Math.floor(time / 2 ** 32), 8);
  return Buffer.concat([header, data]);
}
