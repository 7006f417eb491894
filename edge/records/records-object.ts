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
import { type Env, readSettings } from '../env.ts';
import type { ObjectStore } from './object-store.ts';
import { openStore, storeFor } from './open-store.ts';
import { isOver, type RecordEntry, type Upload } from './record.ts';
import { ABANDONED_AFTER_MS, abandonedAt, NO_RECORD, NO_UPLOAD, type RecordEvent, step } from './record-machine.ts';
import { type Cursor, RecordsStore } from './records-store.ts';
import type { RecordsRpc } from './rpc.ts';

/** What an alarm deletes at most; the rest has its turn a moment later. */
const DELETED_AT_ONCE = 50;
const NEXT_TURN_MS = 1_000;
/** When a store could not be asked to delete something, it is asked again. */
const RETRY_MS = 60_000;
/** A store that is not in the settings comes back with other settings, if at all. */
const STORE_GONE_RETRY_MS = 3_600_000;
const DAY_MS = 86_400_000;

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
  #alarmAt: number | null = null;
  /** What the last alarm could not do is not tried again before (Unix ms). */
  #quietUntil = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = new RecordsStore(ctx.storage);
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
      if (entry.upload !== null) await this.#dropUpload(entry, entry.upload);
      return succeeded(null);
    });
  }

  async list(input: {
    lobby: LobbyId | null;
    before: Cursor | null;
    limit: number;
  }): Promise<{ records: RecordEntry[]; more: boolean }> {
    // A retention that was set since then has nobody else to wake it.
    if (this.#alarmAt === null) this.#wakeAt();
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
      if (!input.forget && this.#isStoreGone(entry)) return failed(STORE_GONE);
      await this.#delete(entry);
      return succeeded(null);
    });
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    const now = Date.now();
    const times: number[] = [];
    let mustRetry = false;
    for (const { id } of this.#store.active()) {
      const looked = await this.#inTurn(id, () => this.#giveUp(id, now));
      if (!looked.ok) mustRetry = true;
      else if (looked.value === 'kept') times.push(now + STORE_GONE_RETRY_MS);
    }
    const retentionMs = this.#retentionMs();
    if (retentionMs !== null) {
      const old = this.#store.endedBefore(now - retentionMs, this.#reachable(), DELETED_AT_ONCE);
      for (const entry of old) {
        const deleted = await this.#inTurn(entry.id, async () => {
          await this.#delete(entry);
          return succeeded(null);
        });
        if (!deleted.ok) mustRetry = true;
      }
      if (old.length === DELETED_AT_ONCE && !mustRetry) times.push(now + NEXT_TURN_MS);
      // Those whose store is gone: it may be configured again.
      else if ((this.#store.earliest().ended ?? now) <= now - retentionMs) times.push(now + STORE_GONE_RETRY_MS);
    }
    if (mustRetry) times.push(now + RETRY_MS);
    this.#quietUntil = times.length === 0 ? 0 : Math.min(...times);
    this.#wakeAt();
  }

  /** Of a node that is silent for too long. `kept`: the store that has what it sent is not configured now. */
  async #giveUp(id: RecordId, now: number): Promise<Outcome<'done' | 'kept'>> {
    const entry = this.#store.get(id);
    if (entry === null || (abandonedAt(entry) ?? Number.POSITIVE_INFINITY) > now) return succeeded('done');
    const store = entry.upload === null ? null : storeFor(this.env, entry.upload.via);
    const isFreed = entry.upload === null || store !== null;
    // Before it is forgotten: a store that cannot be asked now would keep the parts for ever.
    if (entry.upload !== null) await store?.abort(entry.upload);
    const stepped = this.#step(id, { type: 'deadline', isFreed });
    return stepped.ok ? succeeded(isFreed ? 'done' : 'kept') : stepped;
  }

  #step(id: RecordId, event: RecordEvent): Outcome<null> {
    const before = this.#store.get(id);
    const { entry, refusal } = step(before, event, Date.now());
    if (entry !== before && entry !== null && this.#store.put(entry)) this.#wakeAt();
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

  async #dropUpload(entry: RecordEntry, upload: Upload): Promise<void> {
    await storeFor(this.env, upload.via)?.abort(upload);
    this.#store.dropParts(entry.id);
    this.#step(entry.id, { type: 'upload-lost' });
  }

  async #delete(entry: RecordEntry): Promise<void> {
    if (entry.upload !== null) await this.#dropUpload(entry, entry.upload);
    if (entry.stored !== null) await storeFor(this.env, entry.stored.via)?.delete(entry.stored.key);
    this.#store.delete(entry.id);
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

  #retentionMs(): number | null {
    const { recordRetentionDays } = readSettings(this.env);
    return recordRetentionDays === 0 ? null : recordRetentionDays * DAY_MS;
  }

  /** Kinds of stores that can be asked. */
  #reachable(): ObjectStore['via'][] {
    return (['edge', 's3'] as const).filter((via) => storeFor(this.env, via) !== null);
  }

  #isStoreGone({ stored, upload }: RecordEntry): boolean {
    return [stored, upload].some((place) => place !== null && storeFor(this.env, place.via) === null);
  }

  /** Sets the alarm for what comes next. */
  #wakeAt(): void {
    const { ended, updated } = this.#store.earliest();
    const retentionMs = this.#retentionMs();
    const times = [
      updated === null ? null : updated + ABANDONED_AFTER_MS,
      ended === null || retentionMs === null ? null : ended + retentionMs,
    ].filter((time) => time !== null);
    if (times.length === 0) return;
    const next = Math.max(Math.min(...times), this.#quietUntil, Date.now() + 1);
    // Set once: an alarm that is early finds nothing to do and is set anew.
    if (this.#alarmAt !== null && this.#alarmAt <= next) return;
    this.#alarmAt = next;
    this.ctx.storage.setAlarm(next);
  }
}
