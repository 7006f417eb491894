/**
 * All files on their way to the store; few parts travel at a time. How far they have come is told in one request for all of
 * them: a node that records a hundred publishers asks no more of the edge than one that records one.
 */
import { MAX_PROGRESS } from '../../../shared/protocol/records.ts';
import type { RecordFile } from '../record-file.ts';
import { type EdgeCalls, Upload } from './upload.ts';

const PARTS_AT_A_TIME = 2;
/** Whoever looks at the list sees recordings grow, and the edge knows that their node is alive. */
const PROGRESS_MS = 5_000;

export interface UploadsOptions {
  client: EdgeCalls;
  deleteAfterUpload: boolean;
  log(message: string): void;
}

export class Uploads {
  readonly #options: UploadsOptions;
  readonly #uploads = new Map<RecordFile, Upload>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #timer: NodeJS.Timeout | null = null;
  readonly #stop = new AbortController();

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#uploads.size;
  }

  /** Those that may be over soon. */
  get left(): number {
    return this.#promising().length;
  }

  /** Resolves when those are over. */
  async settled(): Promise<void> {
    await Promise.all(this.#promising().map(({ ended }) => ended));
  }

  #promising(): Upload[] {
    return [...this.#uploads.values()].filter(({ isPromising }) => isPromising);
  }

  /** There is still something to tell or to send of it. */
  has(file: RecordFile): boolean {
    return this.#uploads.has(file);
  }

  /** A file is new, or changed. */
  note(file: RecordFile): void {
    if (this.#stop.signal.aborted) return;
    const known = this.#uploads.get(file);
    if (known !== undefined) {
      known.poke();
      return;
    }
    if (file.state === 'ready' || file.forsaken) return;
    const upload = new Upload(file, { ...this.#options, inTurn: (task) => this.#inTurn(task) });
    this.#uploads.set(file, upload);
    this.#tellSoon();
    void upload.ended.then(() => this.#uploads.delete(file));
  }

  /** Again and again, for as long as there are any. */
  #tellSoon(): void {
    if (this.#stop.signal.aborted || this.#timer !== null || this.#uploads.size === 0) return;
    this.#timer = setTimeout(async () => {
      // Its turn comes again; what is wrong with the edge is in the log because of what else is asked of it.
      await this.#tell().catch(() => {});
      this.#timer = null;
      this.#tellSoon();
    }, PROGRESS_MS);
  }

  async #tell(): Promise<void> {
    const uploads = [...this.#uploads.values()];
    const news = uploads.flatMap((upload) => {
      const facts = upload.news;
      return facts === null ? [] : [{ upload, facts }];
    });
    for (let at = 0; at < news.length; at += MAX_PROGRESS) {
      const some = news.slice(at, at + MAX_PROGRESS);
      const told = some.map(({ facts }) => facts);
      const refused = new Set(await this.#options.client.progress(told, this.#stop.signal));
      for (const { upload, facts } of some) upload.newsTold(facts, !refused.has(facts.id));
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const upload of this.#uploads.values()) upload.stop();
    for (const go of this.#waiting.splice(0)) go();
    await Promise.all([...this.#uploads.values()].map(({ ended }) => ended));
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    while (this.#running >= PARTS_AT_A_TIME && !this.#stop.signal.aborted) {
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
