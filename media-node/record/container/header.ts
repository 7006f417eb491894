/**
 * The start of a file, by mediabunny: sample entries, codec configuration, rotation. Segments are ours: mediabunny cuts at
 * keyframes only (OBS sends one every 8 s, others never), waits for a track that is silent, and keeps a note of each sample
 * until the end; a recording must lose at most 2 s, whatever comes, and run for days.
 */
import {
  BufferTarget,
  EncodedAudioPacketSource,
  EncodedPacket,
  EncodedVideoPacketSource,
  Mp4OutputFormat,
  Output,
  WebMOutputFormat,
} from 'mediabunny';
import type { PictureFormat } from '../media/picture-format.ts';

export const OPUS_RATE_HZ = 48_000;
/** Of RTP video: its timestamps are exact in the file. */
export const VIDEO_TIMESCALE = 90_000;
export type Rotation = 0 | 90 | 180 | 270;

export type HeaderTrack =
  | { kind: 'audio'; channels: number }
  | {
      kind: 'video';
      codec: 'H264' | 'H265' | 'VP8' | 'VP9' | 'AV1';
      format: PictureFormat;
      rotation: Rotation;
      /** The first keyframe; H264 and H265 in Annex B form, with their parameter sets. */
      key: Buffer;
    };

const VIDEO_CODECS = { H264: 'avc', H265: 'hevc', VP8: 'vp8', VP9: 'vp9', AV1: 'av1' } as const;

/** Everything up to the first segment. @throws Error when the keyframe's parameter sets are broken */
export async function containerHeader(extension: 'mp4' | 'webm', tracks: readonly HeaderTrack[]): Promise<Buffer> {
  const target = new BufferTarget();
  const format =
    extension === 'mp4'
      ? new Mp4OutputFormat({ fastStart: 'fragmented' })
      : new WebMOutputFormat({ appendOnly: false });
  const output = new Output({ format, target });
  const adds: (() => Promise<void>)[] = [];
  for (const track of tracks) {
    if (track.kind === 'audio') {
      const source = new EncodedAudioPacketSource('opus');
      output.addAudioTrack(source);
      const packet = new EncodedPacket(Uint8Array.of(0xf8, 0xff, 0xfe), 'key', 0, 0.02);
      const preSkip = extension === 'webm' ? PRE_ROLL_SAMPLES : 0;
      adds.push(() => source.add(packet, { decoderConfig: opusConfig(track.channels, preSkip) }));
    } else {
      const source = new EncodedVideoPacketSource(VIDEO_CODECS[track.codec]);
      // In MP4 the frame rate is the timescale; WebM's is always 1000.
      const frameRate = extension === 'mp4' ? { frameRate: VIDEO_TIMESCALE } : {};
      output.addVideoTrack(source, { rotation: track.rotation, ...frameRate });
      const { codec, width: codedWidth, height: codedHeight } = track.format;
      const packet = new EncodedPacket(track.key, 'key', 0, 0.02);
      adds.push(() => source.add(packet, { decoderConfig: { codec, codedWidth, codedHeight } }));
    }
  }
  await output.start();
  for (const add of adds) await add();
  await output.finalize();
  if (target.buffer === null) throw new Error('the muxer made no header');
  const file = Buffer.from(target.buffer);
  return extension === 'mp4' ? mp4Start(file) : webmStart(file);
}

function opusConfig(channels: number, preSkip: number): AudioDecoderConfig {
  const description = opusHead(channels);
  description.writeUInt16LE(preSkip, PRE_SKIP_AT);
  return { codec: 'opus', sampleRate: OPUS_RATE_HZ, numberOfChannels: channels, description };
}

/**
 * The identification header of RFC 7845 §5.1. No pre-skip: what is recorded is the middle of a stream, and a codec delay
 * would shift the sound against the picture.
 */
export function opusHead(channels: number): Buffer {
  const head = Buffer.alloc(19);
  head.write('OpusHead', 0, 'latin1');
  head[8] = 1;
  head[9] = channels;
  head.writeUInt16LE(0, PRE_SKIP_AT);
  head.writeUInt32LE(OPUS_RATE_HZ, 12);
  return head;
}

function mp4Start(file: Buffer): Buffer {
  for (let at = 0; at + 8 <= file.length; at += file.readUInt32BE(at)) {
    if (file.toString('latin1', at + 4, at + 8) === 'moof') return file.subarray(0, at);
  }
  throw new Error('the muxer made no fragment');
}

/**
 * What a decoder of Opus needs before its sound is right, after a jump (RFC 7845 §4.6): 80 ms, the `SeekPreRoll` of WebM.
 * mediabunny takes it from the pre-skip, so that is put right afterwards, in the place where it stands.
 */
const PRE_ROLL_SAMPLES = (80 * OPUS_RATE_HZ) / 1_000;
const PRE_SKIP_AT = 10;

const CLUSTER_ID = Buffer.from('1f43b675', 'hex');

function webmStart(file: Buffer): Buffer {
  const at = file.indexOf(CLUSTER_ID);
  if (at < 0) throw new Error('the muxer made no cluster');
  const start = file.subarray(0, at);
  const opus = start.indexOf('OpusHead');
  if (opus >= 0) start.writeUInt16LE(0, opus + PRE_SKIP_AT);
  return start;
}
