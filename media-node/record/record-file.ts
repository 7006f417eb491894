/** A file of a recording: its bytes on the disk, its journal beside them, and what is told of it. */
import { join } from 'node:path';
import type { PartReceipt, RecordBegin, RecordState } from '../../shared/protocol/records.ts';
import type { Patch } from './container/container.ts';
import { DiskFile } from './disk-file.ts';
import { type Journal, writeJournal } from './upload/journal.ts';

export interface RecordFileEvents {
  /** Its state, or how much of it is final, changed. */
  onChange(file: RecordFile): void;
  log(message: string): void;
}

const MAX_REASON_CHARACTERS = 500;

export class RecordFile {
  readonly begin: RecordBegin;
  readonly folder: string;
  /** False: the first part changes at the end, so it is uploaded last. */
  readonly appendOnly: boolean;
  durationMs = 0;
  /** The edge knows of it. */
  begun = false;
  /** Parts that the store has. */
  parts: PartReceipt[] = [];
  #state: RecordState = 'recording';
  #error: string | null = null;
  readonly #events: RecordFileEvents;
  #disk: DiskFile | null = null;
  #bytes = 0;
  /** Bytes that are as they were when an earlier process sent them; what it sent of those behind is sent again. */
  trustedBytes = Number.POSITIVE_INFINITY;
  /** The edge knew of it and does no more: somebody deleted it there. It is left alone. */
  forsaken = false;
  /** It failed while it was being made: what is on the disk may still be worth something. */
  #broken = false;
  #saving: Promise<void> = Promise.resolve();

  private constructor(begin: RecordBegin, folder: string, events: RecordFileEvents) {
    this.begin = begin;
    this.folder = folder;
    this.#events = events;
    this.appendOnly = !begin.name.endsWith('.webm');
  }

  /** Never throws: a file that cannot be created has failed. */
  static async create(begin: RecordBegin, folder: string, events: RecordFileEvents): Promise<RecordFile> {
    const file = new RecordFile(begin, folder, events);
    try {
      await file.#save();
      file.#disk = await DiskFile.create(file.path, {
        onWritten: () => events.onChange(file),
        onError: (error) => file.fail(`it cannot be written: ${error.message}`),
      });
    } catch (error) {
      file.fail(`it cannot be created: ${error instanceof Error ? error.message : error}`);
    }
    events.onChange(file);
    return file;
  }

  /** One that an earlier process left. */
  static restore(journal: Journal, folder: string, events: RecordFileEvents): RecordFile {
    const file = new RecordFile(journal.begin, folder, events);
    file.#state = journal.state;
    file.#error = journal.error;
    file.#bytes = journal.bytes;
    file.durationMs = journal.durationMs;
    file.begun = journal.begun;
    file.parts = journal.parts;
    file.forsaken = journal.forsaken;
    return file;
  }

  get path(): string {
    return join(this.folder, this.begin.name);
  }

  get state(): RecordState {
    return this.#state;
  }

  /** Why it failed, or ended early. */
  get error(): string | null {
    return this.#error;
  }

  get failed(): boolean {
    return this.#state === 'failed';
  }

  /** It failed while it was being made, and nobody writes to it any more. */
  get isBroken(): boolean {
    return this.#broken && this.#disk === null;
  }

  /** It grows no more. */
  get finished(): boolean {
    return this.#state === 'uploading' || this.#state === 'ready';
  }

  /** On the disk. */
  get bytes(): number {
    return this.#disk?.writtenBytes ?? this.#bytes;
  }

  get position(): number {
    return this.#disk?.position ?? this.#bytes;
  }

  get pendingBytes(): number {
    return this.#disk?.pendingBytes ?? 0;
  }

  append(parts: readonly Buffer[]): void {
    this.#disk?.append(parts);
  }

  /** Nothing more is recorded into it. What is on the disk stays, and may still be uploaded. */
  fail(reason: string): void {
    if (this.#state !== 'recording') return;
    this.#broken = true;
    this.#become('failed', reason);
    this.#events.log(`recording ${this.begin.name} stopped: ${this.#error}`);
  }

  /** Ends it on the disk: then it waits for its upload, or has failed. */
  async finish(patches: readonly Patch[]): Promise<void> {
    const failed = this.failed;
    if (!failed) this.#become('finalising');
    const disk = this.#disk;
    const error = (await disk?.finish(failed ? [] : patches)) ?? null;
    this.#bytes = disk?.writtenBytes ?? 0;
    this.#disk = null;
    if (!failed) {
      if (error === null) this.#become('uploading');
      else this.#cannotFinish(error);
    }
    await this.save();
    this.#events.onChange(this);
  }

  #cannotFinish({ message }: Error): void {
    this.#broken = true;
    this.#become('failed', `it cannot be finished: ${message}`);
  }

  /** What an unfinished file turned out to hold. @param trustedBytes how much of it was there before */
  async settle(bytes: number, durationMs: number, trustedBytes: number): Promise<void> {
    this.#bytes = bytes;
    this.durationMs = durationMs;
    this.trustedBytes = trustedBytes;
    await this.progress('uploading');
  }

  /** As the upload goes. */
  async progress(state: RecordState, error: string | null = null): Promise<void> {
    this.#become(state, error);
    await this.save();
  }

  #become(state: RecordState, error: string | null = this.#error): void {
    this.#state = state;
    this.#error = error === null ? null : error.replaceAll('\n', ' ').slice(0, MAX_REASON_CHARACTERS);
    this.#events.onChange(this);
  }

  /** Writes the journal; one write at a time. A disk that takes no journal has been complained about already. */
  async save(): Promise<void> {
    await this.#save().catch((error: Error) => this.#events.log(`journal of ${this.begin.name}: ${error.message}`));
  }

  #save(): Promise<void> {
    const saved = this.#saving.then(() => writeJournal(this.folder, this.#journal()));
    this.#saving = saved.catch(() => {});
    return saved;
  }

  #journal(): Journal {
    return {
      version: 1,
      begin: this.begin,
      state: this.#state,
      bytes: this.bytes,
      durationMs: this.durationMs,
      error: this.#error,
      begun: this.begun,
      parts: this.parts,
      forsaken: this.forsaken,
    };
  }
}
