/**
 * What is done by and by: whoever is silent for too long is given up, what is old enough is deleted, and what a store still
 * has of either is freed. What cannot be done now is tried again later, and never forgotten.
 */
import { type Outcome, succeeded } from '../../shared/errors.ts';
import type { RecordId } from '../../shared/protocol/records.ts';
import { type Env, readSettings } from '../env.ts';
import type { ObjectStore } from './object-store.ts';
import { storeFor } from './open-store.ts';
import { isFree, type RecordEntry } from './record.ts';
import { ABANDONED_AFTER_MS, abandonedAt, type RecordEvent } from './record-machine.ts';
import type { RecordsStore } from './records-store.ts';

/** What an alarm deletes at most; the rest has its turn a moment later. */
const DELETED_AT_ONCE = 50;
const NEXT_TURN_MS = 1_000;
/** When a store could not be asked to delete something, it is asked again. */
const RETRY_MS = 60_000;
/** A store that is not in the settings comes back with other settings, if at all. */
const STORE_GONE_RETRY_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** The object whose alarm it is. */
export interface KeeperHost {
  store: RecordsStore;
  storage: Pick<DurableObjectStorage, 'setAlarm'>;
  env(): Env;
  step(id: RecordId, event: RecordEvent): Outcome<null>;
  /** Alone with this recording; a store that cannot be asked is an outcome. */
  inTurn<T>(id: RecordId, work: () => Promise<Outcome<T>>): Promise<Outcome<T>>;
}

export class RecordsKeeper {
  readonly #host: KeeperHost;
  #alarmAt: number | null = null;
  /** What the last alarm could not do is not tried again before (Unix ms). */
  #quietUntil = 0;

  constructor(host: KeeperHost) {
    this.#host = host;
  }

  /** An alarm was set since this object is in memory. */
  get isAwaited(): boolean {
    return this.#alarmAt !== null;
  }

  async alarm(): Promise<void> {
    this.#alarmAt = null;
    const now = Date.now();
    const times: number[] = [];
    let mustRetry = false;
    for (const { id } of this.#host.store.active()) {
      const looked = await this.#host.inTurn(id, () => this.#giveUp(id, now));
      if (!looked.ok) mustRetry = true;
      else if (looked.value === 'kept') times.push(now + STORE_GONE_RETRY_MS);
    }
    const retentionMs = this.#retentionMs();
    if (retentionMs !== null) {
      const old = this.#host.store.endedBefore(now - retentionMs, this.#reachable(), DELETED_AT_ONCE);
      for (const { id } of old) {
        const deleted = await this.#host.inTurn(id, async () => {
          // Its node may have taken it up again, or somebody deleted it, while others had their turn.
          const entry = this.#host.store.get(id);
          if (entry !== null && entry.endedAt !== null) await this.delete(entry);
          return succeeded(null);
        });
        if (!deleted.ok) mustRetry = true;
      }
      if (old.length === DELETED_AT_ONCE && !mustRetry) times.push(now + NEXT_TURN_MS);
      // Those whose store is gone: it may be configured again.
      else if ((this.#host.store.earliest().ended ?? now) <= now - retentionMs) times.push(now + STORE_GONE_RETRY_MS);
    }
    if (mustRetry) times.push(now + RETRY_MS);
    this.#quietUntil = times.length === 0 ? 0 : Math.min(...times);
    this.wake();
  }

  /** Of a node that is silent for too long. `kept`: the store that has what it sent is not configured now. */
  async #giveUp(id: RecordId, now: number): Promise<Outcome<'done' | 'kept'>> {
    const entry = this.#host.store.get(id);
    if (entry === null || (abandonedAt(entry) ?? Number.POSITIVE_INFINITY) > now) {
      // The next alarm is worked out from what is written: that must not be in the past.
      this.#host.store.flush(id);
      return succeeded('done');
    }
    // Before it is forgotten: a store that cannot be asked now would keep the parts for ever.
    const isFreed = await this.#free(entry);
    const stepped = this.#host.step(id, { type: 'deadline', isFreed });
    return stepped.ok ? succeeded(isFreed ? 'done' : 'kept') : stepped;
  }

  /** Frees what an unfinished upload holds, and forgets it. @throws {StoreError} */
  async dropUpload(entry: RecordEntry): Promise<void> {
    if (isFree(entry)) return;
    await this.#free(entry);
    this.#host.store.dropParts(entry.id);
    this.#host.step(entry.id, { type: 'upload-lost' });
  }

  /** False: the store of it is not configured now. @throws {StoreError} */
  async #free({ upload, opening }: RecordEntry): Promise<boolean> {
    const place = upload ?? opening;
    if (place === null) return true;
    const store = storeFor(this.#host.env(), place.via);
    if (upload !== null) await store?.abort(upload);
    else await store?.sweep(place);
    return store !== null;
  }

  /** What is in the store first, the entry second. @throws {StoreError} */
  async delete(entry: RecordEntry): Promise<void> {
    await this.dropUpload(entry);
    if (entry.stored !== null) await storeFor(this.#host.env(), entry.stored.via)?.delete(entry.stored.key);
    this.#host.store.delete(entry.id);
  }

  /** Kinds of stores that can be asked. */
  #reachable(): ObjectStore['via'][] {
    return (['edge', 's3'] as const).filter((via) => storeFor(this.#host.env(), via) !== null);
  }

  /** Something of it lies in a store that is not configured (any more). */
  isStoreGone({ stored, upload, opening }: RecordEntry): boolean {
    return [stored, upload, opening].some((place) => place !== null && storeFor(this.#host.env(), place.via) === null);
  }

  #retentionMs(): number | null {
    const { recordRetentionDays } = readSettings(this.#host.env());
    return recordRetentionDays === 0 ? null : recordRetentionDays * DAY_MS;
  }

  /** Sets the alarm for what comes next. */
  wake(): void {
    const { ended, updated } = this.#host.store.earliest();
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
    this.#host.storage.setAlarm(next);
  }
}
