/** When one listener has what another one shows. Pure. */

/** A track of another member; see `MemberTrack`. */
interface NamedTrack {
  readonly name: string | null;
  /** `muted`: nothing comes. */
  readonly track: { readonly muted: boolean };
}

/** Two listeners get the same track of the same member. */
export function isSameTrack(a: NamedTrack, b: NamedTrack): boolean {
  return a.name !== null && a.name === b.name;
}

/** All of `shown` are among `own`, too; `flowing`: and bring something if they do there. */
export function hasShown(own: readonly NamedTrack[], shown: readonly NamedTrack[], flowing: boolean): boolean {
  // A node of another version names nothing; where nothing has come yet, nobody knows.
  const isNamed = own.length === 0 || own.some(({ name }) => name !== null);
  return shown.every((other) => {
    // What has no name cannot be found again.
    if (other.name === null || !isNamed) return !flowing;
    const found = own.find((track) => isSameTrack(track, other));
    return found !== undefined && (!flowing || !found.track.muted || other.track.muted);
  });
}

/** A track may bring nothing, on either session; and a session that has lost its server may find it again. */
const PATIENCE_MS = 4_000;
/** Before the new session would be given up. */
const LAST_MOMENT_MS = 1_000;

export interface Waiting {
  /** So long the new listener has stood by now. */
  readonly standsMs: number;
  /** So long the other one has lost its server by now, and does not hear who is gone; 0: it hears. */
  readonly deafMs: number;
  /** Until the new session is given up. */
  readonly leftMs: number;
}

/** A listener that stands may take the place of the one that shows `shown`. */
export function takesPlace(own: readonly NamedTrack[], shown: readonly NamedTrack[], waiting: Waiting): boolean {
  const { standsMs, deafMs, leftMs } = waiting;
  // What is still missing will not come: nobody is thrown out for the sake of one track.
  if (Math.min(standsMs, deafMs) >= PATIENCE_MS || leftMs <= LAST_MOMENT_MS) return true;
  return hasShown(own, shown, standsMs < PATIENCE_MS);
}
