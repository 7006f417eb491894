/** Opens a media file for a publisher: raw forms by itself, every other with ffmpeg. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import { findFfmpeg } from '../../../media-node/push/ffmpeg-program.ts';
import { readAnnexB } from './annex-b.ts';
import { readFlvVideo } from './flv-video.ts';
import { readIvf } from './ivf.ts';
import { type MediaFile, MediaFileError, type MediaTrack } from './media-track.ts';
import { readOggOpus } from './ogg-opus.ts';

const require = createRequire(import.meta.url);
const FFMPEG_DEADLINE_MS = 300_000;
const MAX_OUTPUT_BYTES = 1024 * 1024 * 1024;
/** What a browser can decode in time, when the file has something else. */
const ENCODE_H264 = [
  '-c:v',
  'libx264',
  '-profile:v',
  'baseline',
  '-preset',
  'veryfast',
  '-pix_fmt',
  'yuv420p',
  '-g',
  '60',
];
const IVF_CODECS = ['vp8', 'vp9', 'av1'];

/**
 * @param framesPerSecond of H.264 that stands in a bare file: it has no times
 * @throws MediaFileError
 */
export async function openMediaFile(path: string, framesPerSecond: number): Promise<MediaFile> {
  switch (extname(path).toLowerCase()) {
    case '.ivf':
      return { video: readIvf(await readFile(path)), audio: null };
    case '.h264':
    case '.264':
      return { video: readAnnexB(await readFile(path), framesPerSecond), audio: null };
    case '.ogg':
    case '.opus':
      return { video: null, audio: readOggOpus(await readFile(path)) };
    default:
      return await convert(path);
  }
}

async function convert(path: string): Promise<MediaFile> {
  const ffmpeg = ffmpegProgram();
  // Without an output ffmpeg tells what is in the file, and fails.
  const told = await run(ffmpeg, ['-hide_banner', '-i', path]).catch((error: unknown) =>
    String(Reflect.get(Object(error), 'stderr')),
  );
  const video = /Stream #.*Video: (\w+)/.exec(String(told))?.[1];
  const audio = /Stream #.*Audio: (\w+)/.exec(String(told))?.[1];
  if (video === undefined && audio === undefined) throw new MediaFileError(`ffmpeg finds no media in ${path}`);
  const from = ['-v', 'error', '-i', path];
  return {
    video: video === undefined ? null : await convertVideo(ffmpeg, from, video),
    audio: audio === undefined ? null : await convertAudio(ffmpeg, from, audio),
  };
}

async function convertVideo(ffmpeg: string, from: readonly string[], codec: string): Promise<MediaTrack> {
  if (IVF_CODECS.includes(codec)) {
    return readIvf(await output(ffmpeg, [...from, '-map', '0:v:0', '-c:v', 'copy', '-f', 'ivf', 'pipe:1']));
  }
  const how = codec === 'h264' ? ['-c:v', 'copy'] : ENCODE_H264;
  return readFlvVideo(await output(ffmpeg, [...from, '-map', '0:v:0', ...how, '-f', 'flv', 'pipe:1']));
}

async function convertAudio(ffmpeg: string, from: readonly string[], codec: string): Promise<MediaTrack> {
  const how = codec === 'opus' ? ['-c:a', 'copy'] : ['-c:a', 'libopus', '-ac', '2', '-b:a', '64k'];
  return readOggOpus(await output(ffmpeg, [...from, '-map', '0:a:0', ...how, '-f', 'ogg', 'pipe:1']));
}

function ffmpegProgram(): string {
  try {
    return findFfmpeg(process.env.FFMPEG_PATH ?? null, process.env.PATH ?? '');
  } catch (notInstalled) {
    try {
      return (require('@ffmpeg-installer/ffmpeg') as { path: string }).path;
    } catch {
      throw new MediaFileError('this kind of file needs ffmpeg (in the PATH, or FFMPEG_PATH)', { cause: notInstalled });
    }
  }
}

async function output(program: string, args: readonly string[]): Promise<Buffer> {
  try {
    const { stdout } = await promisify(execFile)(program, [...args], {
      encoding: 'buffer',
      maxBuffer: MAX_OUTPUT_BYTES,
      timeout: FFMPEG_DEADLINE_MS,
    });
    return stdout;
  } catch (error) {
    const said = String(Reflect.get(Object(error), 'stderr') ?? error)
      .trim()
      .split('\n', 1)[0];
    throw new MediaFileError(`ffmpeg: ${said}`, { cause: error });
  }
}

async function run(program: string, args: readonly string[]): Promise<string> {
  const { stderr } = await promisify(execFile)(program, [...args], { timeout: FFMPEG_DEADLINE_MS });
  return stderr;
}
