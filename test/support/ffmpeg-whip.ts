/** A real FFmpeg that publishes over WHIP; it ignores PLI, as FFmpeg and OBS do. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cached } from './cache.ts';
import { LineProcess, PROJECT_ROOT } from './line-process.ts';

const CLIP_SECONDS = 10;
const CLIP_DEADLINE_MS = 120_000;
const START_DEADLINE_MS = 40_000;
const STOP_DEADLINE_MS = 20_000;

export interface ClipOptions {
  /** Frames from keyframe to keyframe, at 30 a second; 60 when not given. */
  gopFrames?: number;
  /** A white picture and a tone begin together every second. */
  marks?: boolean;
}

/** The path of a Matroska file with 10 s of H264 and Opus, made once. */
export function h264Clip({ gopFrames = 60, marks = false }: ClipOptions = {}): Promise<string> {
  return cached(`h264-opus-gop${gopFrames}${marks ? '-marks' : ''}-v1.mkv`, async (draft) => {
    await promisify(execFile)(
      process.execPath,
      ['test/support/ffmpeg/make-clip.ts', draft, String(CLIP_SECONDS), String(gopFrames), marks ? 'marks' : ''],
      { cwd: PROJECT_ROOT, timeout: CLIP_DEADLINE_MS },
    );
  });
}

export interface FfmpegOptions extends ClipOptions {
  /** The WHIP endpoint. */
  url: string;
  token?: string;
  /** Which side FFmpeg offers to take in the DTLS handshake; its default is passive. */
  dtls?: 'passive' | 'active';
}

export class FfmpegPublisher implements AsyncDisposable {
  readonly #process: LineProcess;

  private constructor(process: LineProcess) {
    this.#process = process;
  }

  /** Resolves when FFmpeg sends media. Throws with FFmpeg's message when the server refuses it. */
  static async start(options: FfmpegOptions): Promise<FfmpegPublisher> {
    const clip = await h264Clip(options);
    const process = new LineProcess({
      script: ['test/support/ffmpeg/publish-clip.ts', clip, options.url],
      env: { WHIP_TOKEN: options.token, WHIP_DTLS: options.dtls ?? 'passive' },
    });
    try {
      await process.event('started', START_DEADLINE_MS);
    } catch (error) {
      await process.end('SIGKILL');
      const failed = process.events.find((event) => event.event === 'failed');
      throw failed === undefined ? error : new Error(String(failed.message));
    }
    return new FfmpegPublisher(process);
  }

  /** Ends as FFmpeg ends: with a DELETE. Resolves with how many packets were sent. Throws when it had failed before. */
  async stop(): Promise<number> {
    this.#process.send('stop');
    const stopped = await this.#process.event('stopped', STOP_DEADLINE_MS);
    await this.#process.end();
    return Number(stopped.packets);
  }

  /** Vanishes without a word. */
  async kill(): Promise<void> {
    await this.#process.end('SIGKILL');
  }

  /** What FFmpeg failed with, or null. */
  get failure(): string | null {
    const failed = this.#process.events.find((event) => event.event === 'failed');
    return failed === undefined ? null : String(failed.message);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

export function publishWithFfmpeg(options: FfmpegOptions): Promise<FfmpegPublisher> {
  return FfmpegPublisher.start(options);
}
