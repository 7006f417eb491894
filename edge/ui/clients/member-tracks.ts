/** Tracks in the offers of a stream lobby: what the `i=` and `msid` lines of its sections say. Pure functions of text. */
import type { TrackInfo } from '../../../shared/protocol/control.ts';
import { LISTENED_TRACK_ATTRIBUTE, readTrackInfo, writeTrackInfo } from '../../../shared/track-info.ts';
import { joinLines, splitLines, splitSections } from './sdp.ts';

/** A section by which the server sends us somebody's track. */
export interface OfferedTrack {
  mid: string;
  kind: 'audio' | 'video';
  /** Of `a=msid`: the tracks of one stream of one member share it. */
  streamId: string;
  /** Of `a=msid`, fresh for every track. */
  trackId: string;
  /** Names the track over all sessions that we may receive it by; null: the server gives no names. */
  name: string | null;
  info: TrackInfo;
}

/** The tracks that an offer of the server holds: every live audio and video section in which it sends. */
export function offeredTracks(sdp: string): OfferedTrack[] {
  return splitSections(splitLines(sdp))
    .slice(1)
    .flatMap((lines) => offeredTrack(lines) ?? []);
}

/** What changed from one offer to the next. A section that is used again for another track is one gone and one more. */
export function compareTracks(
  before: readonly OfferedTrack[],
  after: readonly OfferedTrack[],
): { gone: OfferedTrack[]; added: OfferedTrack[]; kept: OfferedTrack[] } {
  const key = ({ mid, trackId }: OfferedTrack) => `${mid} ${trackId}`;
  const had = new Set(before.map(key));
  const has = new Set(after.map(key));
  return {
    gone: before.filter((track) => !has.has(key(track))),
    added: after.filter((track) => !had.has(key(track))),
    kept: after.filter((track) => had.has(key(track))),
  };
}

/**
 * Our offer with an `i=` line in each audio and video section. `infos` are in the order of the sections, which is the
 * order in which the tracks were added (RFC 9429 §5.2.1).
 */
export function withTrackInfo(offer: string, infos: readonly TrackInfo[]): string {
  const [session = [], ...sections] = splitSections(splitLines(offer));
  let at = 0;
  const described = sections.map((lines) => {
    if (!/^m=(audio|video) /.test(lines[0] ?? '')) return lines;
    const info = infos[at++];
    // RFC 8866 §5: the title follows the m-line at once.
    return info === undefined ? lines : [...lines.slice(0, 1), `i=${writeTrackInfo(info)}`, ...lines.slice(1)];
  });
  return joinLines([...session, ...described.flat()]);
}

/** A name as a label may be written: white space would end it. `Ada  Lovelace` → `Ada_Lovelace`. Empty: `Guest`. */
export function labelOf(name: string): string {
  const label = name.trim().replace(/\s+/g, '_').slice(0, MAX_LABEL_LENGTH);
  return label === '' ? 'Guest' : label;
}

/** The same as shared/track-info.ts reads. */
const MAX_LABEL_LENGTH = 64;

function offeredTrack(lines: readonly string[]): OfferedTrack | null {
  const [, kind, port] = /^m=(audio|video) (\d+) /.exec(lines[0] ?? '') ?? [];
  const value = (prefix: string) => lines.find((line) => line.startsWith(prefix))?.slice(prefix.length) ?? null;
  const mid = value('a=mid:');
  const rejected = port === '0' && !lines.includes('a=bundle-only');
  const sending = lines.includes('a=sendonly') || lines.includes('a=sendrecv');
  if ((kind !== 'audio' && kind !== 'video') || mid === null || rejected || !sending) return null;
  const [streamId = '-', trackId = mid] = value('a=msid:')?.trim().split(/\s+/) ?? [];
  // "-" is a track of no stream (RFC 8830 §2): it stands alone.
  return {
    mid,
    kind,
    streamId: streamId === '-' ? `-${mid}` : streamId,
    trackId,
    name: value(`a=${LISTENED_TRACK_ATTRIBUTE}:`),
    info: readTrackInfo(value('i=')),
  };
}
