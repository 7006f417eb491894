/** Viewers spread over processes, for more than one core can count. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { addSnapshots, emptySnapshot, type Snapshot, snapshotSchema } from './snapshot.ts';
import type { GroupOptions, LoadGroup } from './viewer-group.ts';

const SCRIPT = fileURLToPath(new URL('viewer-process.ts', import.meta.url));

const reportSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('joined') }),
  z.object({ type: z.literal('snapshot'), snapshot: snapshotSchema }),
]);

export class ProcessGroup implements LoadGroup {
  readonly #parts: readonly Part[];

  constructor(options: GroupOptions, processes: number) {
    this.#parts = Array.from({ length: processes }, (_, index) => {
      const viewers =
        Math.floor(((index + 1) * options.viewers) / processes) - Math.floor((index * options.viewers) / processes);
      return new Part({ ...options, viewers, joinsPerSecond: options.joinsPerSecond / processes });
    });
  }

  async join(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.join()));
  }

  async snapshot(): Promise<Snapshot> {
    return addSnapshots(await Promise.all(this.#parts.map((part) => part.snapshot())));
  }

  halt(): void {
    for (const part of this.#parts) part.halt();
  }

  async close(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.close()));
  }
}

class Part {
  readonly #options: GroupOptions;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #joined = Promise.withResolvers<void>();
  #asked: ((snapshot: Snapshot) => void)[] = [];
  #last = emptySnapshot();
  #hasEnded = false;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#child = fork(SCRIPT, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    this.#child.on('message', (message) => this.#receive(message));
    this.#child.on('error', () => this.#end(ended.resolve));
    this.#child.on('exit', () => this.#end(ended.resolve));
  }

  async join(): Promise<void> {
    this.#send({ type: 'join', options: this.#options });
    await this.#joined.promise;
  }

  /** The last one, when the process is gone: its viewers are as well. */
  snapshot(): Promise<Snapshot> {
    if (this.#hasEnded) return Promise.resolve({ ...this.#last, ended: this.#last.connected });
    return new Promise((resolve) => {
      this.#asked.push(resolve);
      this.#send({ type: 'snapshot' });
    });
  }

  halt(): void {
    this.#send({ type: 'halt' });
  }

  async close(): Promise<void> {
    this.#send({ type: 'close' });
    await this.#ended;
  }

  #send(message: Readonly<Record<string, unknown>>): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #receive(message: unknown): void {
    const report = reportSchema.parse(message);
    if (report.type === 'joined') {
      this.#joined.resolve();
      return;
    }
    this.#last = report.snapshot;
    this.#asked.shift()?.(report.snapshot);
  }

  #end(resolve: () => void): void {
    this.#hasEnded = true;
    this.#joined.resolve();
    for (const answer of this.#asked) answer({ ...this.#last, ended: this.#last.connected });
    this.#asked = [];
    resolve();
  }
}
