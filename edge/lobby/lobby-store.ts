/** A lobby's record and alarm in storage: written when something has changed, gone without a trace when the lobby is. */
import type { z } from 'zod';

const RECORD_KEY = 'lobby';

export interface RecordKind<State> {
  schema: z.ZodType<State>;
  /** The part that must survive. */
  persistent: (state: State | null) => State | null;
  /** Unix ms of the next thing that happens by itself; null: nothing. */
  nextDeadline: (state: State | null) => number | null;
  /** True: something else is in the storage that must stay when the lobby goes. */
  keepsMore?: () => boolean;
}

export class LobbyStore<State extends object> {
  readonly #storage: DurableObjectStorage;
  readonly #kind: RecordKind<State>;
  /** What is in storage. */
  #stored: State | null = null;
  /** Unix ms of the alarm that was set here; null: none. */
  #alarmAt: number | null = null;

  constructor(storage: DurableObjectStorage, kind: RecordKind<State>) {
    this.#storage = storage;
    this.#kind = kind;
  }

  load(): State | null {
    const record = this.#storage.kv.get(RECORD_KEY);
    if (record === undefined) return null;
    const parsed = this.#kind.schema.safeParse(record);
    // Written by another version of ours: the lobby starts free, its node is told so when it links.
    if (!parsed.success) console.error('lobby record is not readable', parsed.error.message);
    this.#stored = parsed.data ?? null;
    return this.#stored;
  }

  /** After the alarm has gone off: sets the one for what is next, if anything is. */
  rearm(): void {
    this.#alarmAt = null;
    this.#wakeBy(this.#kind.nextDeadline(this.#stored));
  }

  /** Writes without waiting: nothing leaves the object before its writes are on disk. */
  save(state: State | null): void {
    const next = this.#kind.persistent(state);
    if (next === this.#stored) return;
    this.#stored = next;
    if (next === null) {
      // The alarm goes with everything else.
      this.#alarmAt = null;
      if (this.#kind.keepsMore?.()) {
        this.#storage.kv.delete(RECORD_KEY);
        this.#storage.deleteAlarm();
      } else this.#storage.deleteAll();
    } else {
      this.#storage.kv.put(RECORD_KEY, next);
      this.#wakeBy(this.#kind.nextDeadline(next));
    }
  }

  /** An alarm that is early finds nothing to do and is set anew, which costs less than moving it at every step. */
  #wakeBy(deadline: number | null): void {
    if (deadline === null || (this.#alarmAt !== null && this.#alarmAt <= deadline)) return;
    this.#alarmAt = deadline;
    this.#storage.setAlarm(deadline);
  }
}
