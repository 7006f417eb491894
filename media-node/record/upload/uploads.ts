/** All files on their way to the store; few parts travel at a time. */
import type { RecordFile } from '../record-file.ts';
import type { EdgeClient } from './edge-client.ts';
import { Upload } from './upload.ts';

const PARTS_AT_A_TIME = 2;

export interface UploadsOptions {
  client: EdgeClient;
  deleteAfterUpload: boolean;
  log(message: string): void;
}

export class Uploads {
  readonly #options: UploadsOptions;
  readonly #uploads = new Map<RecordFile, Upload>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #stopped = false;

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#uploads.size;
  }

  /** A file is new, or changed. */
  note(file: RecordFile): void {
    if (this.#stopped) return;
    const known = this.#uploads.get(file);
    if (known !== undefined) {
      known.poke();
      return;
    }
    if (file.state === 'ready' || file.forsaken) return;
    const upload = new Upload(file, { ...this.#options, inTurn: (task) => this.#inTurn(task) });
    this.#uploads.set(file, upload);
    void upload.ended.then(() => this.#uploads.delete(file));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const upload of this.#uploads.values()) upload.stop();
    for (const go of this.#waiting.splice(0)) go();
    await Promise.all([...this.#uploads.values()].map(({ ended }) => ended));
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    while (this.#running >= PARTS_AT_A_TIME && !this.#stopped) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
    try {
      return await task();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}
