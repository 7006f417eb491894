/** The node's end of the recorder's thread. When the thread dies, what it recorded is finished by its successor. */
import { Worker } from 'node:worker_threads';
import type { FromRecorder, RecorderSettings, ToRecorder } from './worker-messages.ts';

const RESTART_MS = 1_000;

export interface RecorderThreadEvents {
  onMessage(message: Exclude<FromRecorder, { type: 'log' | 'stopped' }>): void;
  /** Nothing that was open in it is any more. */
  onDied(): void;
  log(message: string): void;
}

export class RecorderThread {
  readonly #settings: RecorderSettings;
  readonly #events: RecorderThreadEvents;
  readonly #stopped = Promise.withResolvers<void>();
  #worker: Worker | null = null;
  #restart: NodeJS.Timeout | null = null;
  #stopping = false;

  constructor(settings: RecorderSettings, events: RecorderThreadEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#start();
  }

  #start(): void {
    const worker = new Worker(new URL('./recorder-worker.ts', import.meta.url), {
      workerData: this.#settings,
      // Not ours: a thread needs none of the process's secrets but those in its settings.
      env: {},
      execArgv: [],
    });
    this.#worker = worker;
    worker.on('message', (message: FromRecorder) => {
      if (message.type === 'log') this.#events.log(message.message);
      else if (message.type === 'stopped') this.#stopped.resolve();
      else this.#events.onMessage(message);
    });
    worker.on('error', (error: unknown) => {
      this.#events.log(
        `the recorder's thread died: ${error instanceof Error ? (error.stack ?? error.message) : error}`,
      );
    });
    worker.on('exit', () => this.#exited());
  }

  #exited(): void {
    this.#worker = null;
    this.#events.onDied();
    if (this.#stopping) this.#stopped.resolve();
    else this.#restart = setTimeout(() => this.#start(), RESTART_MS);
  }

  /** False: it died, and its successor is not there yet. */
  get running(): boolean {
    return this.#worker !== null;
  }

  /** False: there is no thread now. `transfer` belongs to the thread afterwards. */
  send(message: ToRecorder, transfer: ArrayBuffer[] = []): boolean {
    this.#worker?.postMessage(message, transfer);
    return this.#worker !== null;
  }

  /** Finishes all files; resolves when they are on the disk, or `patienceMs` have passed. Idempotent. */
  async stop(patienceMs: number): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      if (this.#restart !== null) clearTimeout(this.#restart);
      if (!this.send({ type: 'stop' })) this.#stopped.resolve();
    }
    const timer = setTimeout(() => this.#stopped.resolve(), patienceMs);
    await this.#stopped.promise;
    clearTimeout(timer);
    await this.#worker?.terminate();
  }
}
