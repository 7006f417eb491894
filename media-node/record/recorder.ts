/** Records one publisher: packets in, files out. Lives in the recorder's thread. */

import { isRtcp } from '../forward/rtcp-mux.ts';
import type { Codec, CodecName } from '../negotiate/plan.ts';
import { msFromNtp } from '../rtcp/ntp.ts';
import { parseRtcp, type RtcpVisitor } from '../rtcp/parse.ts';
import { ContainerFile } from './container-file.ts';
import { spropParameterSets } from './media/parameter-sets.ts';
import { type PictureFormat, pictureFormat } from './media/picture-format.ts';
import { type Frame, TrackInput } from './media/track-input.ts';
import { RAW_CONTENT_TYPES, RawFile, rawExtension } from './raw-file.ts';
import type { RecordFile } from './record-file.ts';
import { FIRST_PAYLOAD_TYPE, type OpenRecording, PACKET_HEAD_BYTES } from './worker-messages.ts';

/** From 1900, where NTP begins, to 1970. */
const NTP_EPOCH_MS = 2_208_988_800_000;
/** A player can seek to keyframes only, and browsers send none unasked. */
const KEYFRAME_INTERVAL_MS = 4_000;
/** While nothing can be decoded, it is asked again this often. */
const KEYFRAME_RETRY_MS = 1_000;
/** The mp4 of this recording can hold these. */
const CONTAINED: readonly CodecName[] = ['opus', 'H264', 'H265', 'VP8', 'VP9', 'AV1'];
const WEBM_VIDEO: readonly CodecName[] = ['VP8', 'VP9', 'AV1'];

export interface NewFile {
  /** Of the session, or of a track of it. */
  id: string;
  extension: string;
  contentType: string;
  codecs: readonly string[];
  /** Files of this recording that were begun before. */
  count: number;
}

export interface RecorderEvents {
  create(file: NewFile): Promise<RecordFile>;
  requestKeyframe(track: number): void;
  log(message: string): void;
}

interface Track {
  index: number;
  mid: string;
  ssrc: number;
  codec: Codec;
  input: TrackInput;
  raw: RawFile | null;
  keyMs: number;
  askedMs: number;
}

export class Recorder implements RtcpVisitor {
  readonly #open: OpenRecording;
  readonly #events: RecorderEvents;
  readonly #maxFileBytes: number;
  readonly #tracks: Track[];
  readonly #extension: 'mp4' | 'webm';
  #file: ContainerFile | null = null;
  readonly #endings = new Set<Promise<void>>();
  #count = 0;
  #nowMs = 0;
  #closed = false;

  constructor(open: OpenRecording, maxFileBytes: number, events: RecorderEvents) {
    this.#open = open;
    this.#events = events;
    this.#maxFileBytes = maxFileBytes;
    this.#tracks = open.tracks.map(({ mid, codec, ssrc }, index) => this.#track(index, mid, codec, ssrc));
    const wanted = this.#tracks.filter((track) => this.#isRecorded(track));
    const videos = wanted.filter(({ codec }) => codec.kind === 'video').map(({ codec }) => codec.name);
    const fits = videos.every((name) => WEBM_VIDEO.includes(name));
    this.#extension = fits && (open.format === 'webm' || videos.includes('VP8')) ? 'webm' : 'mp4';
    for (const track of this.#tracks) {
      if (wanted.includes(track)) continue;
      events.log(
        `recording of ${open.lobby}: ${track.codec.name} (track ${track.mid}) has no place in a ${open.format} file`,
      );
    }
    if (open.format !== 'raw') this.#file = this.#newFile();
  }

  #track(index: number, mid: string, codec: Codec, ssrc: number): Track {
    const track: Track = {
      ...{ index, mid, ssrc, codec, raw: null, keyMs: Number.NEGATIVE_INFINITY, askedMs: Number.NEGATIVE_INFINITY },
      input: new TrackInput(codec, {
        onFrame: (frame) => this.#frame(track, frame),
        onNeedKeyframe: () => this.#ask(track),
      }),
    };
    return track;
  }

  #isRecorded({ codec, input }: Track): boolean {
    return this.#open.format === 'raw' ? rawExtension(input) !== null : CONTAINED.includes(codec.name);
  }

  /** Nothing can be written any more. */
  get failed(): boolean {
    return (this.#file?.failed ?? false) || this.#tracks.some(({ raw }) => raw?.failed ?? false);
  }

  /** Held for the disk. */
  get pendingBytes(): number {
    let bytes = this.#file?.pendingBytes ?? 0;
    for (const { raw } of this.#tracks) bytes += raw?.pendingBytes ?? 0;
    return bytes;
  }

  /** Packets as `RecordingTap` put them together. Keeps references into `data`. */
  batch(data: Buffer, gap: boolean): void {
    if (this.#closed) return;
    if (gap) for (const { input } of this.#tracks) input.noteGap();
    for (let at = 0; at + PACKET_HEAD_BYTES <= data.length; ) {
      const length = data.readUInt32LE(at);
      const arrivalMs = data.readDoubleLE(at + 4);
      at += PACKET_HEAD_BYTES;
      this.#packet(data.subarray(at, at + length), arrivalMs);
      at += length;
    }
    this.tick(this.#nowMs);
  }

  #packet(datagram: Buffer, arrivalMs: number): void {
    this.#nowMs = arrivalMs;
    if (isRtcp(datagram)) {
      parseRtcp(datagram, datagram.length, this);
      return;
    }
    const track = this.#tracks[((datagram[1] ?? 0) & 0x7f) - FIRST_PAYLOAD_TYPE];
    if (track !== undefined && this.#isRecorded(track)) track.input.push(datagram, arrivalMs);
  }

  senderReport(ssrc: number, ntpHigh: number, ntpLow: number, rtpTimestamp: number): void {
    const track = this.#tracks.find((candidate) => candidate.ssrc === ssrc);
    track?.input.noteSenderReport(rtpTimestamp, msFromNtp(ntpHigh, ntpLow) - NTP_EPOCH_MS, this.#nowMs);
  }

  // A tap sends reports and nothing else.
  bye(): void {}
  reportBlock(): void {}
  nack(): void {}
  pli(): void {}
  fir(): void {}
  remb(): void {}

  /** @param nowMs Unix */
  tick(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    for (const track of this.#tracks) {
      track.input.tick(this.#nowMs);
      if (track.input.kind === 'audio' || !this.#isRecorded(track)) continue;
      const dueMs = track.input.waiting ? KEYFRAME_RETRY_MS : KEYFRAME_INTERVAL_MS;
      if (this.#nowMs - Math.max(track.keyMs, track.askedMs) >= dueMs) this.#ask(track);
    }
    this.#file?.tick(this.#nowMs);
  }

  #ask(track: Track): void {
    track.askedMs = this.#nowMs;
    this.#events.requestKeyframe(track.index);
  }

  #frame(track: Track, frame: Frame): void {
    const format = track.input.kind === 'video' && frame.key ? this.#format(track, frame) : null;
    if (frame.key && track.input.kind === 'video') {
      if (format === null) {
        // Of no use to anybody: without parameter sets nothing can be decoded.
        track.input.restart();
        return;
      }
      track.keyMs = this.#nowMs;
    }
    if (this.#open.format === 'raw') {
      if (this.#isRawFull(track, frame)) {
        this.#end(track.raw?.finish());
        track.raw = null;
      }
      track.raw ??= this.#newRawFile(track);
      track.raw.frame(frame, format, this.#nowMs);
      return;
    }
    if (this.#mustRoll(track, frame)) this.#roll(track);
    this.#file?.frame(track.input, frame, format, this.#nowMs);
  }

  #format({ codec }: Track, frame: Frame): PictureFormat | null {
    const format = pictureFormat(codec.name, frame);
    if (format !== null || codec.name !== 'H264') return format;
    // Some send parameter sets only in the offer (RFC 6184 §8.1).
    frame.units.unshift(...spropParameterSets(codec.fmtp));
    return pictureFormat(codec.name, frame);
  }

  /** A file may have no more parts than a store takes; the next one has to begin with a keyframe. */
  #isRawFull(track: Track, frame: Frame): boolean {
    if ((track.raw?.bytes ?? 0) <= this.#maxFileBytes) return false;
    if (track.input.kind === 'video' && !frame.key && this.#nowMs - track.askedMs >= KEYFRAME_RETRY_MS)
      this.#ask(track);
    return track.input.kind === 'audio' || frame.key;
  }

  /** A file has one set of tracks, and one rotation of each. */
  #mustRoll(track: Track, frame: Frame): boolean {
    const { input } = track;
    const file = this.#file;
    if (file === null) return false;
    if (!file.takes(input)) return frame.key;
    const turned = file.rotationOf(input) !== null && file.rotationOf(input) !== frame.rotation;
    const full = file.bytes > this.#maxFileBytes;
    const hasVideo = this.#tracks.some((other) => other.input.kind === 'video' && file.takes(other.input));
    if (!turned && !full) return false;
    if (input.kind === 'audio') return full && !hasVideo;
    if (!frame.key && this.#nowMs - track.askedMs >= KEYFRAME_RETRY_MS) this.#ask(track);
    return frame.key;
  }

  /** Ends the file and begins another one, with the keyframe of `track`. */
  #roll(track: Track): void {
    this.#end(this.#file?.finish());
    this.#file = this.#newFile();
    for (const other of this.#tracks) if (other !== track && !other.input.waiting) other.input.restart();
  }

  #newFile(): ContainerFile {
    const tracks = this.#tracks.filter((track) => this.#isRecorded(track));
    const extension = this.#extension;
    return new ContainerFile({
      extension,
      inputs: tracks.map(({ input }) => input),
      channels: tracks.find(({ codec }) => codec.kind === 'audio')?.codec.channels ?? 2,
      create: (codecs) => {
        const kind = tracks.some(({ codec }) => codec.kind === 'video' && codecs.includes(codec.name))
          ? 'video'
          : 'audio';
        const contentType = `${kind}/${extension}`;
        return this.#events.create({ id: this.#open.session, extension, contentType, codecs, count: this.#count++ });
      },
    });
  }

  #newRawFile({ input, mid, codec }: Track): RawFile {
    return new RawFile(input, codec.channels, () => {
      const extension = rawExtension(input) ?? 'ogg';
      const id = `${this.#open.session}-${mid}`;
      const contentType = RAW_CONTENT_TYPES[extension];
      return this.#events.create({ id, extension, contentType, codecs: [codec.name], count: 0 });
    });
  }

  #end(ending: Promise<void> | undefined): void {
    if (ending === undefined) return;
    const noted: Promise<void> = ending.finally(() => this.#endings.delete(noted));
    this.#endings.add(noted);
  }

  /** Its files stop here, and say why. */
  fail(reason: string): void {
    this.#file?.fail(reason);
    for (const { raw } of this.#tracks) raw?.fail(reason);
  }

  /** Resolves when all files are finished, or have failed. Idempotent. */
  async close(): Promise<void> {
    if (!this.#closed) {
      for (const { input } of this.#tracks) input.flush();
      this.#closed = true;
      this.#end(this.#file?.finish());
      for (const { raw } of this.#tracks) this.#end(raw?.finish());
    }
    await Promise.all(this.#endings);
  }
}
