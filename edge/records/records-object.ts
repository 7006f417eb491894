/**
 * The one Durable Object that knows all recordings. It decides nothing that `record-machine.ts` does not, and asks the
 * store for what only the store can know. Bytes never pass through it: the worker carries them.
 */
import { DurableObject } from 'cloudflare:workers';
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { LobbyId, NodeId } from '../../shared/ids.ts';
import {
  PART_BYTES,
  type PartReceipt,
  type PartUrl,
  type RecordBegin,
  type RecordComplete,
  type RecordId,
  type RecordProgress,
  type RecordUpdate,
  type UploadPlan,
} from '../../shared/protocol/records.ts';
import type { Env } from '../env.ts';
import { openStore, storeFor } from './open-store.ts';
import { isOver, type RecordEntry, type Upload } from './record.ts';
import { NO_RECORD, NO_UPLOAD, type RecordEvent, step } from './record-machine.ts';
import { RecordsKeeper } from './records-keeper.ts';
import { type Cursor, RecordsStore } from './records-store.ts';
import type { RecordsRpc } from './rpc.ts';

const NO_STORE: Problem = {
  status: 501,
  code: 'no_store',
  detail: 'recordings are not uploaded: neither a bucket nor an S3 store is configured',
};
const STORE_DOWN: Problem = {
  status: 503,
  code: 'store_unreachable',
  detail: 'the store of recordings cannot be reached',
  retryAfterSeconds: 5,
};
const STORE_GONE: Problem = {
  status: 409,
  code: 'store_gone',
  detail:
    'the store that has this recording is not configured any more, and the file would stay there: configure it again, or ' +
    'delete with ?forget=1 what is known of the recording here',
};
const PART_MISMATCH: Problem = {
  status: 409,
  code: 'part_mismatch',
  detail: 'the parts are not those that the store has, or do not add up',
};
const STILL_BUSY: Problem = {
  status: 409,
  code: 'record_busy',
  detail: 'the recording is still being made or uploaded',
  retryAfterSeconds: 10,
};

export class Records extends DurableObject<Env> implements RecordsRpc {
  readonly #store: RecordsStore;
  /** Whatever asks the store about one recording waits for what was asked about it before. */
  readonly #turns = new Map<RecordId, Promise<unknown>>();
  readonly #keeper: RecordsKeeper;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = new RecordsStore(ctx.storage);
    this.#keeper = new RecordsKeeper({
      ...{ store: this.#store, storage: ctx.storage, env: () => this.env },
      step: (id, event) => this.#step(id, event),
      inTurn: (id, work) => this.#inTurn(id, work),
    });
  }

  async begin(input: { node: NodeId; begin: RecordBegin }): Promise<Outcome<null>> {
    const taken = this.#store.named(input.begin.name);
    if (taken !== null && taken.id !== input.begin.id) {
      return failed({ status: 409, code: 'record_exists', detail: 'there is a recording of this name' });
    }
    return this.#step(input.begin.id, { type: 'begun', ...input });
  }

  async update(input: { node: NodeId; id: RecordId; update: RecordUpdate }): Promise<Outcome<null>> {
    return this.#step(input.id, { type: 'updated', node: input.node, update: input.update });
  }

  async progress(input: { node: NodeId; records: RecordProgress[] }): Promise<{ refused: RecordId[] }> {
    const refused = input.records.filter(
      ({ id, ...update }) => !this.#step(id, { type: 'updated', node: input.node, update }).ok,
    );
    return { refused: refused.map(({ id }) => id) };
  }

  upload(input: { node: NodeId; id: RecordId }): Promise<Outcome<UploadPlan>> {
    return this.#inTurn(input.id, async () => {
      const entry = this.#ofNode(input);
      if (entry === null) return failed(NO_RECORD);
      if (entry.upload !== null && storeFor(this.env, entry.upload.via) !== null)
        return succeeded(this.#plan(entry.id, entry.upload));
      const store = openStore(this.env);
      if (store === null) return failed(NO_STORE);
      // Whatever becomes of us or of the store's answer: that there may be an upload is known, and that nobody knows its name.
      if (entry.opening !== null) await storeFor(this.env, entry.opening.via)?.sweep(entry.opening);
      const place = store.placeOf(entry.name);
      const opening = this.#step(entry.id, { type: 'upload-opening', node: input.node, place });
      if (!opening.ok) return opening;
      const upload = await store.begin(entry.name, entry.contentType);
      this.#store.dropParts(entry.id);
      const begun = this.#step(entry.id, { type: 'upload-begun', node: input.node, upload });
      if (begun.ok) return succeeded(this.#plan(entry.id, upload));
      await store.abort(upload);
      return begun;
    });
  }

  async part(input: { node: NodeId; id: RecordId }): Promise<Outcome<Upload>> {
    const upload = this.#ofNode(input)?.upload ?? null;
    return upload === null ? failed(this.#ofNode(input) === null ? NO_RECORD : NO_UPLOAD) : succeeded(upload);
  }

  async partStored(input: {
    node: NodeId;
    id: RecordId;
    uploadId: string;
    receipt: PartReceipt;
    bytes: number;
  }): Promise<Outcome<null>> {
    const entry = this.#ofNode(input);
    if (entry === null) return failed(NO_RECORD);
    // Begun anew while the bytes were on their way.
    if (entry.upload?.uploadId !== input.uploadId) return failed(NO_UPLOAD);
    this.#store.putPart(entry.id, input.receipt, input.bytes);
    return succeeded(null);
  }

  async partUrl(input: { node: NodeId; id: RecordId; part: number }): Promise<Outcome<PartUrl>> {
    const upload = await this.part(input);
    if (!upload.ok) return upload;
    const url = await storeFor(this.env, upload.value.via)?.partUrl(upload.value, input.part);
    if (url) return succeeded(url);
    return failed({ status: 409, code: 'not_presigned', detail: 'parts of this upload go through the edge' });
  }

  complete(input: { node: NodeId; id: RecordId; complete: RecordComplete }): Promise<Outcome<null>> {
    return this.#inTurn(input.id, async () => {
      const { parts, bytes, durationMs } = input.complete;
      const entry = this.#ofNode(input);
      if (entry === null) return failed(NO_RECORD);
      // The answer to the same request was lost.
      if (entry.state === 'ready' && entry.bytes === bytes) return succeeded(null);
      if (entry.upload === null) return failed(NO_UPLOAD);
      const store = storeFor(this.env, entry.upload.via);
      if (store === null) return failed(NO_STORE);
      if (!this.#addsUp(entry, input.complete)) return failed(PART_MISMATCH);
      const completion = await store.complete(entry.upload, parts);
      if (completion.kind === 'done' && completion.bytes === bytes) {
        this.#store.dropParts(entry.id);
        return this.#step(entry.id, { type: 'completed', bytes, durationMs });
      }
      // What is there is not the file: another attempt must not find it in its way.
      if (completion.kind === 'done') await store.delete(entry.upload.key);
      this.#store.dropParts(entry.id);
      this.#step(entry.id, { type: 'upload-lost' });
      return failed(completion.kind === 'lost' ? NO_UPLOAD : PART_MISMATCH);
    });
  }

  abandon(input: { node: NodeId; id: RecordId }): Promise<Outcome<null>> {
    return this.#inTurn(input.id, async () => {
      const entry = this.#ofNode(input);
      if (entry === null) return failed(NO_RECORD);
      await this.#keeper.dropUpload(entry);
      return succeeded(null);
    });
  }

  async list(input: {
    lobby: LobbyId | null;
    before: Cursor | null;
    limit: number;
  }): Promise<{ records: RecordEntry[]; more: boolean }> {
    // A retention that was set since then has nobody else to wake it.
    if (!this.#keeper.isAwaited) this.#keeper.wake();
    const found = this.#store.list({ ...input, limit: input.limit + 1 });
    return { records: found.slice(0, input.limit), more: found.length > input.limit };
  }

  async newestOf(input: { lobbies: LobbyId[] }): Promise<RecordEntry[]> {
    return this.#store.newestOf(input.lobbies);
  }

  async find(input: { name: string }): Promise<RecordEntry | null> {
    return this.#store.named(input.name);
  }

  async remove(input: { name: string; forget: boolean }): Promise<Outcome<null>> {
    const id = this.#store.named(input.name)?.id;
    if (id === undefined) return failed(NO_RECORD);
    return this.#inTurn(id, async () => {
      const entry = this.#store.get(id);
      if (entry === null) return failed(NO_RECORD);
      if (!isOver(entry)) return failed(STILL_BUSY);
      if (!input.forget && this.#keeper.isStoreGone(entry)) return failed(STORE_GONE);
      await this.#keeper.delete(entry);
      return succeeded(null);
    });
  }

  override alarm(): Promise<void> {
    return this.#keeper.alarm();
  }

  #step(id: RecordId, event: RecordEvent): Outcome<null> {
    const before = this.#store.get(id);
    const { entry, refusal } = step(before, event, Date.now());
    if (entry !== before && entry !== null && this.#store.put(entry)) this.#keeper.wake();
    return refusal === null ? succeeded(null) : failed(refusal);
  }

  /** A recording that another node speaks of does not exist, as far as this one is concerned. */
  #ofNode(input: { node: NodeId; id: RecordId }): RecordEntry | null {
    const entry = this.#store.get(input.id);
    return entry?.node === input.node ? entry : null;
  }

  #plan(id: RecordId, { via }: Upload): UploadPlan {
    const parts = this.#store.parts(id).map(({ part, etag }) => ({ part, etag }));
    return { via, partBytes: PART_BYTES, parts };
  }

  /** Parts 1 to n without a gap, all but the last of full size, and those that went through the edge as it knows them. */
  #addsUp(entry: RecordEntry, { parts, bytes }: RecordComplete): boolean {
    if (parts.some(({ part }, index) => part !== index + 1)) return false;
    if (Math.ceil(bytes / PART_BYTES) !== parts.length) return false;
    if (entry.upload?.via !== 'edge') return true;
    const known = this.#store.parts(entry.id);
    const sum = known.reduce((total, part) => total + part.bytes, 0);
    return (
      sum === bytes && known.length === parts.length && parts.every(({ etag }, index) => known[index]?.etag === etag)
    );
  }

  /** @returns what `work` does, or 503 when the store could not be asked. */
  async #inTurn<T>(id: RecordId, work: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const turn = before.then(work).catch((error: unknown) => {
      console.error('the store of recordings', error instanceof Error ? error.message : error);
      return failed(STORE_DOWN);
    });
    this.#turns.set(id, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(id) === turn) this.#turns.delete(id);
    }
  }
}
