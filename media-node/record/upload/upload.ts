/**
 * One file on its way to the store: told of, sent part by part while it grows, completed, and confirmed. Goes on for as long
 * as it takes: the network, the edge and the store may be gone for hours.
 */
import { rm } from 'node:fs/promises';
import {
  PART_BYTES,
  type PartReceipt,
  type RecordProgress,
  type RecordState,
  type UploadPlan,
} from '../../../shared/protocol/records.ts';
import { backoffMs } from '../../control/backoff.ts';
import type { RecordFile } from '../record-file.ts';
import { type EdgeClient, RefusedError } from './edge-client.ts';
import { removeJournal } from './journal.ts';

const RETRY_BASE_MS = 500;
const RETRY_MAX_MS = 30_000;
/** A file that grows wakes its upload; this is for what nobody says. */
const LOOK_MS = 5_000;
/** Where there is no store now, there may be one later. */
const NO_STORE_RETRY_MS = 600_000;
/** The edge gives up a node that says nothing for a day: one that waits for its store says that it is there. */
const SIGN_OF_LIFE_MS = 600_000;
/** Refusals that trying again should have cured. */
const MAX_REFUSALS = 10;
/** In a row: the edge, the store or the network is gone for a while. */
const HOPELESS_FAILURES = 3;

/** What is asked of the edge. */
export type EdgeCalls = Pick<EdgeClient, 'begin' | 'update' | 'progress' | 'plan' | 'put' | 'complete' | 'abandon'>;

export interface UploadOptions {
  client: EdgeCalls;
  deleteAfterUpload: boolean;
  /** Runs a task when its turn comes: few parts travel at a time. */
  inTurn<T>(task: () => Promise<T>): Promise<T>;
  log(message: string): void;
}

export class Upload {
  readonly file: RecordFile;
  /** Settles when there is nothing more to do, or it was stopped. */
  readonly ended: Promise<void>;
  readonly #options: UploadOptions;
  readonly #stop = new AbortController();
  #plan: UploadPlan | null = null;
  #toldState: RecordState | null = null;
  /** What the edge was told last, and when. */
  #told = '';
  #toldMs = 0;
  #failures = 0;
  #refusals = 0;
  /** Until it is finished. */
  #partsWait = false;
  #complaint = '';
  #wake: () => void = () => {};

  constructor(file: RecordFile, options: UploadOptions) {
    this.file = file;
    this.#options = options;
    this.ended = this.#run();
  }

  /** It may be over soon: neither is it waiting for a store, nor has nobody answered for long. */
  get isPromising(): boolean {
    const isWaiting = this.file.failed && this.#toldState === 'failed';
    return !isWaiting && this.#failures < HOPELESS_FAILURES;
  }

  /** Something about the file changed. */
  poke(): void {
    this.#wake();
  }

  /** Ends what is under way; the next process goes on. */
  stop(): void {
    this.#stop.abort();
    this.#wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (await this.#step(signal)) return;
        this.#failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        const waitMs = await this.#explain(error);
        if (waitMs === null) return;
        await this.#pause(waitMs, false);
      }
    }
  }

  /** Does the next thing that there is to do; true when that was the last. */
  async #step(signal: AbortSignal): Promise<boolean> {
    const { file } = this;
    const { client } = this.#options;
    const { id } = file.begin;
    if (file.state === 'ready') return await this.#confirmed();
    if (!file.begun) {
      await client.begin(file.begin, signal);
      file.begun = true;
      await file.save();
    }
    if (file.state !== this.#toldState) await this.#tell(signal);
    if (file.failed) return this.#toldState === 'failed';
    const part = this.#nextPart();
    if (part === null && !file.finished) {
      await this.#pause(LOOK_MS);
      return false;
    }
    if (this.#plan === null) await this.#makePlan(signal);
    const due = this.#nextPart();
    if (due !== null) await this.#send(due, signal);
    else if (file.finished) {
      const parts = [...file.parts].sort((a, b) => a.part - b.part);
      await client.complete(id, { parts, bytes: file.bytes, durationMs: file.durationMs }, signal);
      return await this.#confirmed();
    }
    return false;
  }

  /** What the edge has not been told yet; null: nothing, or it does not know the recording. */
  get news(): RecordProgress | null {
    if (this.#toldState === null || this.#toldState === 'failed') return null;
    const isDue = Date.now() - this.#toldMs > SIGN_OF_LIFE_MS;
    const facts = this.#facts();
    return facts === null || (JSON.stringify(facts) === this.#told && !isDue) ? null : facts;
  }

  /** The edge took, or refused, what `news` was. Why it was refused comes out when the state is told again. */
  newsTold(facts: RecordProgress, taken: boolean): void {
    this.#told = JSON.stringify(facts);
    this.#toldMs = Date.now();
    this.#toldState = taken ? facts.state : null;
    if (!taken) this.poke();
  }

  #facts(): RecordProgress | null {
    const { id } = this.file.begin;
    const { state, bytes, durationMs, error, parts } = this.file;
    if (state === 'ready') return null;
    const uploadedBytes = Math.min(bytes, parts.length * PART_BYTES);
    return { id, state, bytes, durationMs, uploadedBytes, ...(error === null ? {} : { error }) };
  }

  async #tell(signal: AbortSignal): Promise<void> {
    const facts = this.#facts();
    if (facts === null) return;
    const { id, ...update } = facts;
    await this.#options.client.update(id, update, signal);
    this.#toldState = facts.state;
    this.#told = JSON.stringify(facts);
    this.#toldMs = Date.now();
  }

  async #makePlan(signal: AbortSignal): Promise<void> {
    const plan = await this.#options.client.plan(this.file.begin.id, signal);
    const known = new Map<number, PartReceipt>();
    for (const receipt of [...this.file.parts, ...plan.parts]) known.set(receipt.part, receipt);
    // The store's word counts for parts through the edge; who sent parts to S3 holds the receipts himself.
    const kept = plan.via === 'edge' ? plan.parts : [...known.values()];
    this.file.parts = kept.filter(({ part }) => part * plan.partBytes <= this.file.trustedBytes);
    this.#plan = plan;
  }

  /** Number of a part whose bytes are final and not in the store; null: none now. */
  #nextPart(): number | null {
    const { file } = this;
    if (this.#partsWait && !file.finished) return null;
    const partBytes = this.#plan?.partBytes ?? PART_BYTES;
    const count = file.finished ? Math.ceil(file.bytes / partBytes) : Math.floor(file.bytes / partBytes);
    const sent = new Set(file.parts.map(({ part }) => part));
    for (let part = 1; part <= count; part++) {
      if (sent.has(part) || (part === 1 && !file.appendOnly && !file.finished)) continue;
      return part;
    }
    return null;
  }

  async #send(part: number, signal: AbortSignal): Promise<void> {
    const { file } = this;
    const plan = this.#plan as UploadPlan;
    const start = (part - 1) * plan.partBytes;
    const bytes = Math.min(plan.partBytes, file.bytes - start);
    const receipt = await this.#options.inTurn(() =>
      this.#options.client.put(file.begin.id, plan.via, part, { path: file.path, start, bytes }, signal),
    );
    file.parts = [...file.parts.filter((other) => other.part !== part), receipt];
    await file.save();
  }

  /**
   * The store has it all: only now the local file may go. It goes before that is noted: whoever is killed in between asks the
   * edge again, hears that the recording is ready, and leaves no file behind that nobody would ever delete.
   */
  async #confirmed(): Promise<boolean> {
    const { file } = this;
    if (this.#options.deleteAfterUpload) await rm(file.path, { force: true });
    await file.progress('ready');
    if (this.#options.deleteAfterUpload) await removeJournal(file.folder, file.begin.name);
    return true;
  }

  /** What to do about an error: how long to wait before the next try; null: it is over. */
  async #explain(error: unknown): Promise<number | null> {
    const { file } = this;
    const words = error instanceof Error ? error.message : String(error);
    if (words !== this.#complaint) this.#options.log(`upload of ${file.begin.name}: ${words}`);
    this.#complaint = words;
    const waitMs = backoffMs(this.#failures++, Math.random(), RETRY_BASE_MS, RETRY_MAX_MS);
    if (!(error instanceof RefusedError)) return waitMs;
    switch (error.code) {
      case 'no_record':
        file.forsaken = true;
        await file.save();
        this.#options.log(`${file.begin.name} was deleted at the edge; what was recorded stays at ${file.path}`);
        return null;
      case 'record_ready':
        await this.#confirmed();
        return null;
      case 'no_upload':
      case 'presigned':
        this.#begin();
        return waitMs;
      // The store has ended it, as it does after some days.
      case 'NoSuchUpload':
      case 'part_mismatch':
        this.#begin();
        await this.#options.client.abandon(file.begin.id, this.#stop.signal).catch(() => {});
        break;
      case 'no_store':
        if (this.#holdParts()) return 0;
        await this.#giveUp('there is no store to upload to: the file stays on the media node');
        await this.#pause(NO_STORE_RETRY_MS, false);
        if (!this.#stop.signal.aborted) await file.progress('uploading');
        return 0;
    }
    const temporary = error.status >= 500 || error.status === 429 || error.status === 408 || error.status === 401;
    if (temporary || ++this.#refusals < MAX_REFUSALS) return waitMs;
    if (this.#holdParts()) return waitMs;
    await this.#giveUp(`the upload was refused: ${words}`);
    return null;
  }

  /** While it is being recorded, nothing about its upload may end it: the parts wait. False when it is finished. */
  #holdParts(): boolean {
    this.#partsWait = !this.file.finished;
    this.#refusals = 0;
    return this.#partsWait;
  }

  /** Nothing that was sent counts. */
  #begin(): void {
    this.#plan = null;
    this.file.parts = [];
  }

  async #giveUp(reason: string): Promise<void> {
    await this.file.progress('failed', reason);
    await this.#tell(this.#stop.signal).catch(() => {});
  }

  /** @param pokable false: a file that grows does not cut it short */
  async #pause(ms: number, pokable = true): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#wake = () => {
      if (pokable || this.#stop.signal.aborted) resolve();
    };
    if (this.#stop.signal.aborted) resolve();
    await promise;
    clearTimeout(timer);
    this.#wake = () => {};
  }
}
