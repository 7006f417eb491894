/** The link's record and alarm in storage. */
import { type LinkState, linkRecordSchema } from './node-link-machine.ts';

const RECORD_KEY = 'link';

export class LinkStore {
  readonly #storage: DurableObjectStorage;
  /** Unix ms of the alarm that was set here; null: none. */
  #alarmAt: number | null = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  load(): LinkState {
    return linkRecordSchema.safeParse(this.#storage.kv.get(RECORD_KEY)).data ?? null;
  }

  save(state: NonNullable<LinkState>): void {
    this.#storage.kv.put(RECORD_KEY, state);
  }

  forget(): void {
    this.#storage.kv.delete(RECORD_KEY);
  }

  /** Leaves nothing at all. */
  clear(): void {
    this.#alarmAt = null;
    this.#storage.deleteAlarm();
    this.#storage.deleteAll();
  }

  /** The alarm has gone off. */
  alarmIsOver(): void {
    this.#alarmAt = null;
  }

  /** Unix ms; null: no alarm. */
  wakeAt(at: number | null): void {
    if (at === this.#alarmAt) return;
    this.#alarmAt = at;
    if (at === null) this.#storage.deleteAlarm();
    else this.#storage.setAlarm(at);
  }
}
