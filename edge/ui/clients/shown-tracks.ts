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
