/** The room's record and alarm in storage: written when something has changed, gone without a trace when the room is. */
import { type LobbyState, lobbyRecordSchema, nextDeadline, persistent } from './lobby-state.ts';

const RECORD_KEY = 'lobby';

export class LobbyStore {
  readonly #storage: DurableObjectStorage;
  /** What is in storage. */
  #stored: LobbyState | null = null;
  /** Unix ms of the alarm that was set here; null: none. */
  #alarmAt: number | null = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  load(): LobbyState | null {
    const record = this.#storage.kv.get(RECORD_KEY);
    if (record === undefined) return null;
    const parsed = lobbyRecordSchema.safeParse(record);
    // Written by another version of ours: the room starts free, its node is told so when it links.
    if (!parsed.success) console.error('lobby record is not readable', parsed.error.message);
    this.#stored = parsed.data ?? null;
    return this.#stored;
  }

  /** The alarm has gone off. */
  alarmIsOver(): void {
    this.#alarmAt = null;
  }

  /** Writes without waiting: nothing leaves the object before its writes are on disk. */
  save(state: LobbyState | null): void {
    const next = persistent(state);
    if (next === this.#stored) return;
    this.#stored = next;
    const alarmAt = nextDeadline(next);
    if (next === null) {
      this.#storage.deleteAlarm();
      this.#storage.deleteAll();
    } else {
      this.#storage.kv.put(RECORD_KEY, next);
      if (alarmAt === null) this.#storage.deleteAlarm();
      else if (alarmAt !== this.#alarmAt) this.#storage.setAlarm(alarmAt);
    }
    this.#alarmAt = alarmAt;
  }
}
