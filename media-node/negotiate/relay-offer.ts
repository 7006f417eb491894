/** A relay's upstream: the tracks of one publisher are offered to another node, which answers. Pure. */
import { ProblemError } from '../../shared/errors.ts';
import { badSdp } from '../../shared/sdp/parse.ts';
import type { Attribute, MediaSource, SessionDescription } from '../../shared/sdp/types.ts';
import { EXTENSION_URIS } from './extensions.ts';
import { PROTOCOL } from './offer-play.ts';
import type { EgressTrackPlan, ExtensionIds, LocalTransport, RemoteTransport } from './plan.ts';
import {
  RELAY_EXTENSION_IDS,
  RELAY_FEEDBACK,
  type RelayedTrackInfo,
  type RelayFormat,
  relayFormats,
} from './relay-formats.ts';
import { liveSection, printDescription } from './sections.ts';
import { type SenderIds, sourceAttributes } from './sender-lines.ts';
import { attribute, readRemoteTransport, roleAsOfferer } from './transport-lines.ts';

interface OfferedStream {
  readonly ssrc: number;
  readonly rtxSsrc: number;
  /** Null: the track is one stream, the best layer that flows. */
  readonly rid: string | null;
}

interface OfferedTrack {
  readonly source: RelayedTrackInfo;
  readonly format: RelayFormat;
  readonly streams: readonly OfferedStream[];
}

/** What has to be remembered until the other node answers. */
export interface PendingRelayOffer {
  readonly cname: string;
  readonly tracks: readonly OfferedTrack[];
}

/**
 * Every track, each in a section with the mid that it has with its publisher.
 * @throws ProblemError 422 `nothing_to_play` without tracks, 422 `too_many_codecs`
 */
export function offerRelay(
  sources: readonly RelayedTrackInfo[],
  local: LocalTransport,
  ids: Pick<SenderIds, 'cname' | 'nextSsrc'>,
): { offer: string; pending: PendingRelayOffer; mids: string[] } {
  if (sources.length === 0) throw new ProblemError(422, 'nothing_to_play', 'there is no track to relay');
  const formatOf = relayFormats(sources.map(({ codec }) => codec));
  const streams = [...new Set(sources.map(({ stream }) => stream))];
  const tracks = sources.map((source): OfferedTrack => {
    const rids = source.rids ?? [];
    const layers = rids.length > 1 ? rids : [null];
    const layerStreams = layers.map((rid) => ({ rid, ssrc: ids.nextSsrc(), rtxSsrc: ids.nextSsrc() }));
    return { source, format: formatOf(source.codec), streams: layerStreams };
  });
  const media = tracks.map((track, index) => {
    // The publisher's own name may hold characters that have no place in `a=msid`.
    const msid = `s${streams.indexOf(track.source.stream)} ${track.source.mid}`;
    return offerSection(track, msid, ids.cname, local, index === 0);
  });
  const mids = sources.map(({ mid }) => mid);
  const offer = printDescription(media, mids, local, true);
  return { offer, pending: { cname: ids.cname, tracks }, mids };
}

function offerSection(
  { source, format, streams }: OfferedTrack,
  msid: string,
  cname: string,
  local: LocalTransport,
  tagged: boolean,
): MediaSource {
  const { name: encoding, kind, clockRate, channels, fmtp } = source.codec;
  const primary = { payloadType: format.payloadType, encoding, clockRate, channels, fmtp, feedback: [] };
  const apt = `apt=${format.payloadType}`;
  const rtx = { ...primary, payloadType: format.rtxPayloadType, encoding: 'rtx', channels: 1, fmtp: apt };
  return liveSection(
    {
      kind,
      protocol: PROTOCOL,
      mid: source.mid,
      direction: 'sendonly',
      setup: 'actpass',
      payloads: [
        { format: primary, fmtp, feedback: RELAY_FEEDBACK },
        { format: rtx, fmtp: apt, feedback: null },
      ],
      extensions: [...RELAY_EXTENSION_IDS].map(([extension, id]) => ({ id, name: extension, direction: null })),
      rtcpRsize: true,
      extra: streamAttributes(msid, cname, streams),
    },
    local,
    tagged,
  );
}

/** SSRCs of layers stand in a SIM group, in the order of their rids: so the other node knows which is which. */
function streamAttributes(msid: string, cname: string, streams: readonly OfferedStream[]): Attribute[] {
  const rids = streams.flatMap(({ rid }) => rid ?? []);
  const [first] = streams;
  if (rids.length === 0) return first === undefined ? [] : sourceAttributes(msid, cname, first.ssrc, first.rtxSsrc);
  return [
    ...rids.map((rid) => attribute('rid', `${rid} send`)),
    attribute('simulcast', `send ${rids.join(';')}`),
    attribute('ssrc-group', `SIM ${streams.map(({ ssrc }) => ssrc).join(' ')}`),
    attribute('msid', msid),
    ...streams.flatMap(({ ssrc, rtxSsrc }) => sourceAttributes(msid, cname, ssrc, rtxSsrc).slice(1)),
  ];
}

/**
 * The other node's answer. Sections that it rejected get no track.
 * @throws ProblemError 400 `bad_sdp` when it does not fit the offer, 422 `nothing_to_play` when it accepts no track
 */
export function acceptRelayAnswer(
  pending: PendingRelayOffer,
  answer: SessionDescription,
): { remote: RemoteTransport; tracks: EgressTrackPlan[] } {
  const tracks: EgressTrackPlan[] = [];
  for (const [index, offered] of pending.tracks.entries()) {
    const section = answer.media[index];
    if (section === undefined || section.mid !== offered.source.mid || section.kind !== offered.source.kind) {
      throw badSdp('the answer has other media sections than the offer');
    }
    if (section.port === 0 || section.direction !== 'recvonly') continue;
    const taken = new Set(section.payloads.map(({ payloadType }) => payloadType));
    if (!taken.has(offered.format.payloadType)) throw badSdp('the answer accepts a section without its codec');
    const extensions: ExtensionIds = {};
    for (const [name, id] of RELAY_EXTENSION_IDS) {
      if (section.extensions.some((line) => line.id === id && line.uri === EXTENSION_URIS[name])) extensions[name] = id;
    }
    const hasRtx = taken.has(offered.format.rtxPayloadType);
    const { mid, kind, codec } = offered.source;
    const rids = offered.streams.flatMap(({ rid }) => rid ?? []);
    for (const { ssrc, rtxSsrc, rid } of offered.streams) {
      tracks.push({
        mid,
        kind,
        sourceMid: mid,
        codec,
        payloadType: offered.format.payloadType,
        rtxPayloadType: hasRtx ? offered.format.rtxPayloadType : null,
        extensions,
        feedback: RELAY_FEEDBACK,
        ssrc,
        rtxSsrc: hasRtx ? rtxSsrc : null,
        cname: pending.cname,
        ...(rid === null ? {} : { layer: { rid, all: rids } }),
      });
    }
  }
  if (tracks.length === 0) throw new ProblemError(422, 'nothing_to_play', 'the answer accepts no track');
  return { remote: readRemoteTransport(answer, roleAsOfferer), tracks };
}
