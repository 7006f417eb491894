/** Short clips that browsers decode, one of each codec, with sound: made once by ffmpeg and kept. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { cached } from '../cache.ts';
import type { MediaFile } from './media-track.ts';
import { openMediaFile } from './open-media.ts';

const require = createRequire(import.meta.url);
const FRAMES_PER_SECOND = 30;
/** AV1 takes its time to be encoded. */
const SECONDS: Readonly<Record<string, number>> = { AV1: 1 };
const USUAL_SECONDS = 2;
/** A keyframe each half second: whoever joins need not ask for one, and a file could not give it. */
const GOP = '15';
const DEADLINE_MS = 120_000;

export const CLIP_CODECS = ['H264', 'VP8', 'VP9', 'AV1'] as const;
export type ClipCodec = (typeof CLIP_CODECS)[number];

const FAST_VPX = ['-deadline', 'realtime', '-cpu-used', '8'];
const ENCODERS: Readonly<Record<ClipCodec, readonly string[]>> = {
  H264: ['libx264', '-profile:v', 'baseline', '-preset', 'veryfast', '-sc_threshold', '0'],
  VP8: ['libvpx', ...FAST_VPX, '-auto-alt-ref', '0'],
  VP9: ['libvpx-vp9', ...FAST_VPX, '-auto-alt-ref', '0'],
  AV1: ['libaom-av1', '-strict', '-2', '-cpu-used', '8', '-lag-in-frames', '0'],
};
const SUFFIXES: Readonly<Record<ClipCodec, string>> = { H264: 'h264', VP8: 'ivf', VP9: 'ivf', AV1: 'ivf' };

function ffmpeg(args: readonly string[]): Promise<unknown> {
  const { path } = require('@ffmpeg-installer/ffmpeg') as { path: string };
  return promisify(execFile)(path, ['-v', 'error', '-y', ...args], { timeout: DEADLINE_MS });
}

/** The path of a bare video file (IVF, or Annex B for H.264). */
export function videoClip(codec: ClipCodec): Promise<string> {
  const suffix = SUFFIXES[codec];
  return cached(`clip-${codec}-v1.${suffix}`, async (draft) => {
    const source = `testsrc=size=320x180:rate=${FRAMES_PER_SECOND}`;
    const seconds = SECONDS[codec] ?? USUAL_SECONDS;
    const encode = ['-c:v', ...ENCODERS[codec], '-pix_fmt', 'yuv420p', '-g', GOP, '-b:v', '400k', '-an'];
    await ffmpeg(['-f', 'lavfi', '-i', source, '-t', String(seconds), ...encode, '-f', suffix, draft]);
  });
}

/** The path of an Ogg file with Opus. */
export function soundClip(seconds = USUAL_SECONDS): Promise<string> {
  return cached(`clip-opus-${seconds}s-v1.ogg`, async (draft) => {
    const tone = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-t', String(seconds)];
    await ffmpeg([...tone, '-ac', '2', '-c:a', 'libopus', '-b:a', '64k', '-f', 'ogg', draft]);
  });
}

/** Both, ready to be published. */
export async function clip(codec: ClipCodec): Promise<MediaFile> {
  const [video, audio] = await Promise.all([videoClip(codec), soundClip(SECONDS[codec])]);
  return {
    video: (await openMediaFile(video, FRAMES_PER_SECOND)).video,
    audio: (await openMediaFile(audio, FRAMES_PER_SECOND)).audio,
  };
}
