/**
 * What WHIP and WHEP ask of an offer before anybody looks at codecs (RFC 9725 §4.2, §4.4; draft-ietf-wish-whep §4.3,
 * §4.6). The edge checks these before it touches any state; the media node checks them again. Malformed: 400.
 * Well-formed but not acceptable: 422. What real clients get wrong without harm is let through; each case names its
 * client.
 */
import { ProblemError } from '../errors.ts';
import { bundleMids, isLive, liveMedia, transportSection } from './bundle.ts';
import { badSdp } from './parse.ts';
import type { Direction, MediaSection, SessionDescription } from './types.ts';

/** DTLS-SRTP profiles; browsers write the first one. RFC 8829 §5.1.2 has answerers accept the others. */
const PROTOCOLS: ReadonlySet<string> = new Set([
  'UDP/TLS/RTP/SAVPF',
  'UDP/TLS/RTP/SAVP',
  'TCP/TLS/RTP/SAVPF',
  'TCP/DTLS/RTP/SAVPF',
  'RTP/SAVPF',
  'RTP/SAVP',
]);
/** More simulcast layers than any encoder sends. */
export const MAX_SIMULCAST_LAYERS = 8;

/**
 * Checks a publisher's offer: it sends, at most one audio and one video of one MediaStream, bundled, with RTCP mux and
 * whole transport parameters.
 * @throws ProblemError 400 `bad_sdp`, 422 `bad_direction` | `no_media` | `too_many_tracks` | `too_many_streams` |
 *   `too_many_layers` | `unsupported_media` | `not_bundled` | `rtcp_mux_required` | `ice_lite`
 */
export function checkPublishOffer(description: SessionDescription): void {
  const live = checkTransportAndBundle(description);
  checkDirections(live, ['sendonly', 'sendrecv'], 'a publishing offer must be sendonly or sendrecv');
  for (const section of description.media) {
    // A data channel next to the tracks is answered as rejected (protocol.md #112); other kinds are not ours at all.
    if (isLive(section) && section.kind !== 'audio' && section.kind !== 'video' && section.kind !== 'application') {
      throw unacceptable('unsupported_media', 'a publishing offer may hold audio and video only');
    }
  }
  for (const kind of ['audio', 'video']) {
    if (live.filter((section) => section.kind === kind).length > 1) {
      throw unacceptable('too_many_tracks', `a publishing offer may hold at most one ${kind} track`);
    }
  }
  checkOneStream(live);
  for (const section of live) {
    if (section.rids.length > MAX_SIMULCAST_LAYERS || (section.simulcast?.send.length ?? 0) > MAX_SIMULCAST_LAYERS) {
      throw unacceptable('too_many_layers', `at most ${MAX_SIMULCAST_LAYERS} simulcast layers are accepted`);
    }
  }
}

/**
 * Checks a viewer's offer. Sections of a kind that the room lacks, a second one of a kind, and data channels are not
 * refused here: the answer rejects those by port 0 (protocol.md #116).
 * @throws ProblemError 400 `bad_sdp`, 422 `bad_direction` | `no_media` | `unsupported_media` | `not_bundled` |
 *   `rtcp_mux_required` | `ice_lite`
 */
export function checkPlayOffer(description: SessionDescription): void {
  const live = checkTransportAndBundle(description);
  checkDirections(live, ['recvonly', 'sendrecv'], 'a playing offer must be recvonly or sendrecv');
}

export function unacceptable(code: string, detail: string): ProblemError {
  return new ProblemError(422, code, detail);
}

function checkTransportAndBundle(description: SessionDescription): MediaSection[] {
  const live = liveMedia(description);
  if (live.length === 0) throw unacceptable('no_media', 'the offer holds no audio or video');
  checkTransport(description, live);
  return live;
}

/**
 * Whole transport parameters, and all of `live` in one bundle over DTLS-SRTP with RTCP mux. `live` may be empty when the
 * transport is that of a data channel.
 * @throws ProblemError 400 `bad_sdp`, 422 `no_media` | `unsupported_media` | `not_bundled` | `rtcp_mux_required` |
 *   `ice_lite`
 */
export function checkTransport(description: SessionDescription, live: readonly MediaSection[]): void {
  const transport = transportSection(description);
  if (transport === null) throw unacceptable('no_media', 'nothing is offered');
  for (const section of live) {
    if (!PROTOCOLS.has(section.protocol.toUpperCase())) {
      throw unacceptable('unsupported_media', 'media must use DTLS-SRTP (UDP/TLS/RTP/SAVPF)');
    }
    // `rtcp-mux-only` is not asked for: OBS and FFmpeg leave it out.
    if (!section.rtcpMux && !section.rtcpMuxOnly) {
      throw unacceptable('rtcp_mux_required', 'every media section must offer a=rtcp-mux');
    }
    if (section.setup === 'holdconn') throw badSdp('a=setup:holdconn cannot start a session');
    // Guessing the role of a peer that asked for something else leaves both sides waiting for the other's ClientHello.
    if (section.setup === null && section.attributes.some(({ name }) => name === 'setup')) {
      throw badSdp('a=setup must be actpass, active or passive');
    }
  }
  checkBundle(description, live);
  // Media nodes are ICE-lite, and two lite agents never send a check.
  if (description.iceLite) throw unacceptable('ice_lite', 'the peer must be a full ICE agent');
  if (transport.ice === null) throw badSdp('the offer lacks a valid a=ice-ufrag and a=ice-pwd');
  if (transport.fingerprints.length === 0) throw badSdp('the offer lacks a valid a=fingerprint');
}

/**
 * All live sections in one group. A single section needs none, and the group may name sections that are not there
 * (FFmpeg 8.0 writes `BUNDLE 0 1` with one stream). Other groups (`LS` of OBS) do not matter.
 */
function checkBundle(description: SessionDescription, live: readonly MediaSection[]): void {
  const mids = bundleMids(description);
  if (mids === null) {
    if (live.length > 1) throw unacceptable('not_bundled', 'audio and video must share one BUNDLE group');
    return;
  }
  const members = new Set(mids);
  for (const section of live) {
    if (section.mid === null) throw badSdp('every media section of a bundle needs a=mid');
    if (!members.has(section.mid) && live.length > 1) {
      throw unacceptable('not_bundled', 'audio and video must share one BUNDLE group');
    }
  }
}

export function checkDirections(live: readonly MediaSection[], allowed: readonly Direction[], detail: string): void {
  for (const section of live) {
    if (!allowed.includes(section.direction)) throw unacceptable('bad_direction', detail);
  }
}

/** One MediaStream (RFC 9725 §4.4.2). Sections without `a=msid`, or with the stream `-`, belong to it silently. */
function checkOneStream(live: readonly MediaSection[]): void {
  const streams = new Set<string>();
  for (const section of live) {
    for (const { stream } of section.msids) if (stream !== '-') streams.add(stream);
  }
  if (streams.size > 1) throw unacceptable('too_many_streams', 'all tracks must belong to one MediaStream');
}
