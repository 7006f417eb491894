/**
 * Whether what is published in a lobby is recorded: what an operator said, else what the deployment says of every room.
 * Kept beside the lobby's record, because it outlives the lobby: a room may be told so before anybody publishes.
 */
import { z } from 'zod';
import { type DesiredLobby, type DesiredRecording, desiredRecordingSchema } from '../../shared/protocol/control.ts';
import type { Settings } from '../env.ts';

const WISH_KEY = 'recording';

/** `recording` null: it shall not be recorded, whatever the deployment says. */
const wishSchema = z.object({ version: z.literal(1), recording: desiredRecordingSchema.nullable() });

export class RecordingWish {
  readonly #storage: DurableObjectStorage;
  readonly #settings: () => Settings;
  /** Undefined: nobody said anything. */
  #said: DesiredRecording | null | undefined;

  constructor(storage: DurableObjectStorage, settings: () => Settings) {
    this.#storage = storage;
    this.#settings = settings;
    this.#said = wishSchema.safeParse(storage.kv.get(WISH_KEY)).data?.recording;
  }

  /** Somebody said something, which must not be forgotten with the lobby. */
  get isKept(): boolean {
    return this.#said !== undefined;
  }

  /** Null: it is not recorded. */
  get now(): DesiredRecording | null {
    return this.#said === undefined ? defaultOf(this.#settings()) : this.#said;
  }

  /** True: something has changed. */
  say(recording: DesiredRecording | null): boolean {
    const before = this.now;
    const isDefault = same(recording, defaultOf(this.#settings()));
    this.#said = isDefault ? undefined : recording;
    if (isDefault) this.#storage.kv.delete(WISH_KEY);
    else this.#storage.kv.put(WISH_KEY, { version: 1, recording } satisfies z.infer<typeof wishSchema>);
    return !same(before, recording);
  }

  /** The desired state with the wish in it: a publisher is recorded where its packets arrive, never behind a relay. */
  on<Desired extends Pick<DesiredLobby, 'publisher'> | { members: readonly object[] }>(desired: Desired): Desired {
    const receives = 'members' in desired ? desired.members.length > 0 : desired.publisher !== null;
    return receives && this.now !== null ? { ...desired, recording: this.now } : desired;
  }
}

function defaultOf({ recordEnabled, recordFormat }: Settings): DesiredRecording | null {
  return recordEnabled ? { format: recordFormat } : null;
}

function same(a: DesiredRecording | null, b: DesiredRecording | null): boolean {
  return a?.format === b?.format;
}
