/** A real RTMP server for tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeTcpPort } from './free-port.ts';
import { type LineEvent, LineProcess } from './line-process.ts';

const START_DEADLINE_MS = 60_000;
const POLL_MS = 20;

/** FLV numbers of what goes on the air. */
export const AVC = 7;
export const AAC = 10;

export class RtmpSink {
  /** Without the key: `rtmp://127.0.0.1:port/live`. */
  readonly url: string;
  readonly #process: LineProcess;
  readonly #folder: string;

  private constructor(url: string, process: LineProcess, folder: string) {
    this.url = url;
    this.#process = process;
    this.#folder = folder;
  }

  static async open(options: { refuses?: boolean } = {}): Promise<RtmpSink> {
    const [rtmp, http, folder] = await Promise.all([freeTcpPort(), freeTcpPort(), mkdtemp(join(tmpdir(), 'rtmp-'))]);
    const process = new LineProcess({
      script: ['test/support/rtmp/serve.cjs', String(rtmp), String(http), folder],
      env: { RTMP_REFUSE: options.refuses === true ? '1' : '0' },
    });
    await process.event('ready', START_DEADLINE_MS);
    await listening(rtmp);
    return new RtmpSink(`rtmp://127.0.0.1:${rtmp}/live`, process, folder);
  }

  get events(): readonly LineEvent[] {
    return this.#process.events;
  }

  /** The first event of that name about `/live/{key}`, among those from index `from` on. */
  async event(name: 'publish' | 'media' | 'gone', key: string, deadlineMs: number, from = 0): Promise<LineEvent> {
    const deadline = performance.now() + deadlineMs;
    for (let index = from; ; index++) {
      const left = deadline - performance.now();
      await this.#process.event(name, left, index);
      const found = this.events.slice(index).find((event) => event.event === name);
      if (found?.path === `/live/${key}`) return found;
    }
  }

  /** What has come for `/live/{key}` so far. */
  bytes(key: string): number {
    const last = this.events.findLast(({ event, path }) => event === 'bytes' && path === `/live/${key}`);
    return Number(last?.bytes ?? 0);
  }

  async close(): Promise<void> {
    await this.#process.end();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function listening(port: number): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    if (performance.now() > deadline) throw new Error('the RTMP server does not listen');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
