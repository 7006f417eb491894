/** Finds ffmpeg, runs it, and sees to its end. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { ProblemError } from '../../shared/errors.ts';

const INSTALL_HINT =
  'going live needs ffmpeg on the media node: install it (Debian, Ubuntu: apt install ffmpeg; macOS: brew install ffmpeg) ' +
  'or name it in FFMPEG_PATH';
/** While ffmpeg waits for input the first signal is only noted; the second one ends the wait. */
const INSIST_AFTER_MS = 200;
/** A process that was asked to stop and has not gone is killed after this. */
const KILL_AFTER_MS = 2_000;
const MAX_COMPLAINT_CHARACTERS = 2_000;

/**
 * `FFMPEG_PATH`, or the first `ffmpeg` on PATH. Looked for each time: it may be installed while the node runs.
 * @throws ProblemError 501 `no_ffmpeg`
 */
export function findFfmpeg(configured: string | null, searchPath: string): string {
  if (configured !== null) {
    if (isProgram(configured)) return configured;
    throw new ProblemError(501, 'no_ffmpeg', `FFMPEG_PATH names no program; ${INSTALL_HINT}`);
  }
  const name = process.platform === 'win32' ? 'ffmpeg.exe' : 'ffmpeg';
  for (const folder of searchPath.split(delimiter)) {
    if (folder !== '' && isProgram(join(folder, name))) return join(folder, name);
  }
  throw new ProblemError(501, 'no_ffmpeg', INSTALL_HINT);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export class FfmpegProgram {
  /** Settles with why it ended; never rejects, and only when the process is reaped. */
  readonly ended: Promise<Error>;
  readonly pid: number | undefined;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #complaint = '';
  #running = true;

  /** Runs `path`; `input` is its standard input, whole. */
  constructor(
    path: string,
    options: { args: readonly string[]; input: string | Uint8Array; onOutput(data: Buffer): void },
  ) {
    const { PATH = '', LD_LIBRARY_PATH } = process.env;
    const child = spawn(path, options.args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Not ours: it holds the node's secrets, which are none of ffmpeg's business.
      env: { PATH, ...(LD_LIBRARY_PATH === undefined ? {} : { LD_LIBRARY_PATH }) },
    });
    this.#child = child;
    this.pid = child.pid;
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.ended = promise;
    const finish = (error: Error): void => {
      this.#running = false;
      resolve(error);
    };
    child.once('error', finish);
    child.once('close', (code, signal) => {
      const how = signal === null ? `with code ${code}` : `by ${signal}`;
      const words = this.#complaint.trim().split('\n').at(-1) ?? '';
      finish(new Error(`ffmpeg ended ${how}${words === '' ? '' : `: ${words}`}`));
    });
    child.stdin.on('error', () => {}); // it ended first: said by `close`
    child.stdin.end(options.input);
    child.stdout.on('data', options.onOutput);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-MAX_COMPLAINT_CHARACTERS);
    });
  }

  /** SIGTERM twice, and SIGKILL when that does not help. Resolves when the process is gone. Idempotent. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#child.kill('SIGTERM');
    const timers = [
      setTimeout(() => this.#child.kill('SIGTERM'), INSIST_AFTER_MS),
      setTimeout(() => this.#child.kill('SIGKILL'), KILL_AFTER_MS),
    ];
    await this.ended;
    for (const timer of timers) clearTimeout(timer);
  }
}
