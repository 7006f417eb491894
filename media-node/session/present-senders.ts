/**
 * Whose tracks the others get, when members move from node to node. Sessions of one lineage are one member to the others:
 * its tracks keep their keys, so a listener's sections go on with those of the new session without a word.
 */
import type { SessionId } from '../../shared/ids.ts';
import type { Lineage } from '../../shared/protocol/control.ts';
import type { MemberTrack } from './member-track.ts';

/** A member's session that is received here, from the member or by a relay. */
export interface Sender {
  readonly id: SessionId;
  readonly generation: number;
  readonly lineage: Lineage;
  /** The others can have its tracks. */
  readonly sending: boolean;
  /** There is something to show: who gets these tracks from now on sees a picture at once. */
  readonly shows: boolean;
  readonly tracks: readonly MemberTrack[];
}

/** How often a session is looked at that is to take the place of another. */
const LOOK_INTERVAL_MS = 20;

export class PresentSenders<T extends Sender> {
  readonly #options: { all(): Iterable<T>; onChange(): void };
  /** Whether each of their tracks is muted, as the others were told. */
  readonly #muted = new Map<string, boolean>();
  #present: readonly T[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** `onChange`: `settle` would find others than it did. */
  constructor(options: { all(): Iterable<T>; onChange(): void }) {
    this.#options = options;
  }

  get all(): readonly T[] {
    return this.#present;
  }

  /** Those who are there, or what they send, may have changed. @returns tracks whose mute is another than was told */
  settle(): { sender: T; track: MemberTrack }[] {
    const all = [...this.#options.all()];
    this.#present = presentSenders(all);
    this.#watch(isMoving(all, this.#present));
    const known = this.#present.flatMap((sender) => sender.tracks.map((track) => ({ sender, track })));
    const changed = known.filter(({ track: { key, info } }) => (this.#muted.get(key) ?? info.muted) !== info.muted);
    this.#muted.clear();
    for (const { track } of known) this.#muted.set(track.key, track.info.muted);
    return changed;
  }

  /** False: the others have the tracks of another session of this member, whose word counts. */
  noteMute(sender: T, { key, info }: MemberTrack): boolean {
    if (!this.#present.includes(sender)) return false;
    this.#muted.set(key, info.muted);
    return true;
  }

  /** Something may flow that did not, or the other way round. */
  look(): void {
    const present = presentSenders(this.#options.all());
    if (present.some((sender, index) => sender !== this.#present[index])) this.#options.onChange();
  }

  /** Idempotent. */
  close(): void {
    this.#watch(false);
  }

  #watch(isMoving: boolean): void {
    if (isMoving) this.#timer ??= setInterval(() => this.look(), LOOK_INTERVAL_MS);
    else if (this.#timer !== null) clearInterval(this.#timer);
    if (!isMoving) this.#timer = null;
  }
}

/** Whatever session it is that they send by. */
export function isSameMember(a: Pick<Sender, 'lineage'>, b: Pick<Sender, 'lineage'>): boolean {
  return a.lineage.session === b.lineage.session;
}

/**
 * One session of each lineage, in the order in which the members came to the lobby, which is the same on every node. The
 * newest that has something to show; until there is one, the one that was there before.
 */
export function presentSenders<T extends Sender>(all: Iterable<T>): T[] {
  const lineages = Map.groupBy(
    [...all].filter(({ sending }) => sending),
    ({ lineage }) => lineage.session,
  );
  return [...lineages.values()]
    .flatMap((sessions) => presentOf(sessions) ?? [])
    .toSorted((a, b) => a.lineage.generation - b.lineage.generation);
}

/** A newer session than the one that is present may get something to show at any moment. */
export function isMoving<T extends Sender>(all: Iterable<T>, present: readonly T[]): boolean {
  return [...all].some(
    ({ sending, lineage, generation }) =>
      sending && present.some((one) => one.lineage.session === lineage.session && one.generation < generation),
  );
}

function presentOf<T extends Sender>(sessions: readonly T[]): T | undefined {
  // To look at packets costs something, and most members have one session.
  if (sessions.length === 1) return sessions[0];
  const newestFirst = sessions.toSorted((a, b) => b.generation - a.generation);
  return newestFirst.find(({ shows }) => shows) ?? newestFirst.at(-1);
}
