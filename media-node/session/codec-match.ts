/** Can a track take the place of another before the same viewers, without negotiating anew? */
import type { Codec, SourceTrackInfo } from '../negotiate/plan.ts';

/** True when a decoder set up for `a` decodes `b`. */
export function sameCodec(a: Codec, b: Codec): boolean {
  return (
    a.name === b.name &&
    a.clockRate === b.clockRate &&
    a.channels === b.channels &&
    // Audio parameters are wishes about rates and redundancy; video parameters say which bitstream it is.
    (a.kind === 'audio' || parameters(a.fmtp) === parameters(b.fmtp))
  );
}

/** True when every one of `before` finds a match of its kind in `after`. */
export function canReplace(before: readonly SourceTrackInfo[], after: readonly SourceTrackInfo[]): boolean {
  return before.every((old) => {
    const successor = after.find((track) => track.kind === old.kind);
    return successor !== undefined && sameCodec(old.codec, successor.codec);
  });
}

/** Order and case of format parameters mean nothing. */
function parameters(fmtp: string): string {
  return fmtp
    .toLowerCase()
    .split(';')
    .map((parameter) => parameter.trim())
    .filter((parameter) => parameter !== '')
    .toSorted()
    .join(';');
}
