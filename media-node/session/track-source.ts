/** What tracks come from: a publisher's session here, or a relay. */
import type { SourceTrack } from '../forward/types.ts';
import type { SourceTrackInfo } from '../negotiate/plan.ts';
import { sameCodec } from './codec-match.ts';

export interface TrackSource {
  /** As negotiations see them. */
  readonly sources: readonly SourceTrackInfo[];
  /** The forwarder's track for `mid`; null before the transport is up and after the end. */
  sourceTrack(mid: string): SourceTrack | null;
}

/**
 * The track among `after` that takes the place of `track` of `before`: the one with its mid, or else the one at its place
 * among its kind; null when there is none with its codec.
 */
export function successorOf(
  track: SourceTrackInfo,
  before: readonly SourceTrackInfo[],
  after: readonly SourceTrackInfo[],
): SourceTrackInfo | null {
  const ofKind = (tracks: readonly SourceTrackInfo[]) => tracks.filter(({ kind }) => kind === track.kind);
  const place = ofKind(before).findIndex(({ mid }) => mid === track.mid);
  const found = ofKind(after).find(({ mid }) => mid === track.mid) ?? ofKind(after)[place];
  return found !== undefined && sameCodec(track.codec, found.codec) ? found : null;
}
