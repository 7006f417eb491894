/**
 * What a stream lobby asks of its members' offers. They differ from a room's (`offer-rules.ts`) in that a data channel
 * alone will do and that there may be several MediaStreams: camera and screen, say.
 */
import { isLive, liveMedia } from './bundle.ts';
import { checkDirections, checkTransport, MAX_SIMULCAST_LAYERS, unacceptable } from './offer-rules.ts';
import { badSdp } from './parse.ts';
import type { MediaSection, SessionDescription } from './types.ts';

/** More than any person shows; every other member gets them all. */
export const MAX_MEMBER_TRACKS = 8;

/**
 * Checks the offer with which a member enters: tracks to send, a data channel, or both; at most one audio and one video
 * track in each MediaStream.
 * @throws ProblemError 400 `bad_sdp`, 422 `bad_direction` | `no_media` | `too_many_tracks` | `too_many_layers` |
 *   `unsupported_media` | `not_bundled` | `rtcp_mux_required` | `ice_lite`
 */
export function checkJoinOffer(description: SessionDescription): void {
  const live = checkSections(description);
  checkDirections(live, ['sendonly', 'sendrecv', 'inactive'], 'the tracks of a member must be sendonly or sendrecv');
  const sent = live.filter((section) => section.direction !== 'inactive');
  if (sent.length > MAX_MEMBER_TRACKS) {
    throw unacceptable('too_many_tracks', `a member may send at most ${MAX_MEMBER_TRACKS} tracks`);
  }
  const taken = new Set<string>();
  for (const section of sent) {
    const place = `${section.kind} ${streamOf(section)}`;
    if (taken.has(place)) {
      throw unacceptable('too_many_tracks', 'a MediaStream may hold at most one audio and one video track');
    }
    taken.add(place);
    if (section.rids.length > MAX_SIMULCAST_LAYERS || (section.simulcast?.send.length ?? 0) > MAX_SIMULCAST_LAYERS) {
      throw unacceptable('too_many_layers', `at most ${MAX_SIMULCAST_LAYERS} simulcast layers are accepted`);
    }
  }
}

/**
 * Checks the offer with which a member begins to listen: a data channel, tracks to receive, or both.
 * @throws ProblemError as `checkJoinOffer`
 */
export function checkListenOffer(description: SessionDescription): void {
  const live = checkSections(description);
  checkDirections(live, ['recvonly', 'sendrecv', 'inactive'], 'a listening offer must be recvonly or sendrecv');
}

/** The live audio and video sections; none are needed beside a data channel. */
function checkSections(description: SessionDescription): MediaSection[] {
  for (const section of description.media) {
    if (isLive(section) && section.kind !== 'audio' && section.kind !== 'video' && section.kind !== 'application') {
      throw unacceptable('unsupported_media', 'an offer may hold audio, video and a data channel only');
    }
  }
  const live = liveMedia(description);
  if (description.media.length === 0) throw badSdp('the offer has no media section');
  checkTransport(description, live);
  return live;
}

/** A track that names no stream is one of its own (`-`, RFC 8830 §2). */
function streamOf(section: MediaSection): string {
  const stream = section.msids[0]?.stream ?? '-';
  return stream === '-' ? `mid ${section.mid}` : `stream ${stream}`;
}
