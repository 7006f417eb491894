/** WHEP: a viewer's offer and the published tracks → our answer and the plan of what we send. Pure. */
import { ProblemError } from '../../shared/errors.ts';
import { bundleMids, isLive } from '../../shared/sdp/bundle.ts';
import { checkPlayOffer } from '../../shared/sdp/offer-rules.ts';
import type { MediaSection, MediaSource, SessionDescription, Setup } from '../../shared/sdp/types.ts';
import { type ChosenFormat, choosePlayed, readFeedback } from './codecs.ts';
import { dataChannelSection, findDataChannel } from './data-channel-section.ts';
import { acceptExtensions, EGRESS_EXTENSIONS, extensionIds } from './extensions.ts';
import { playedFmtp } from './fmtp.ts';
import type {
  DataChannelPlan,
  EgressTrackPlan,
  Feedback,
  LocalTransport,
  RemoteTransport,
  SourceTrackInfo,
} from './plan.ts';
import { bundleOrder, liveSection, printDescription, rejectedSection, trackMid } from './sections.ts';
import { type SenderIds, senderAttributes } from './sender-lines.ts';
import { attribute, readRemoteTransport, roleAsAnswerer } from './transport-lines.ts';

/** No estimates of viewers (REMB): `forward/layer-machine.ts` says why. Chromium sends them nevertheless. */
export const EGRESS_FEEDBACK: Feedback = { nack: true, pli: true, fir: true, remb: false, transportCc: false };

export interface PlayAnswer {
  /** SDP text */
  answer: string;
  remote: RemoteTransport;
  tracks: EgressTrackPlan[];
  /** Null when the offer has none: the node tells the player of its end on one. */
  dataChannel: DataChannelPlan | null;
  /** Of the accepted m-sections, the BUNDLE-tagged one first; empty when a lone section has none. */
  mids: string[];
}

/** A section that gets a track, and in which format. */
interface Pairing {
  readonly source: SourceTrackInfo;
  readonly chosen: ChosenFormat;
}

/**
 * Answers with exactly what the publisher sends, under the viewer's payload types and extension ids. Sections that
 * nothing is sent on (a kind that the room lacks, a second one of a kind) are rejected by port 0.
 * @throws ProblemError 400 and 422 of `checkPlayOffer`; 422 `no_common_codec` when a track would stay black or silent;
 *   422 `nothing_to_play` when no section fits any track
 */
export function answerPlay(
  offer: SessionDescription,
  local: LocalTransport,
  sources: readonly SourceTrackInfo[],
  ids: SenderIds,
): PlayAnswer {
  checkPlayOffer(offer);
  const remote = readRemoteTransport(offer, roleAsAnswerer);
  const pairings = pairSections(offer, sources);
  if (pairings.size === 0) {
    throw new ProblemError(422, 'nothing_to_play', 'the offer holds no section for any track of this room');
  }
  const bundle = bundleMids(offer);
  const channel = findDataChannel(offer.media, bundle);
  const accepted = offer.media.filter((section) => pairings.has(section) || section === channel?.section);
  const { mids, bundled } = bundleOrder(accepted, bundle);
  const setup: Setup = remote.dtlsRole === 'client' ? 'active' : 'passive';
  const tracks: EgressTrackPlan[] = [];
  const media = offer.media.map((section): MediaSource => {
    const tagged = section.mid === (mids[0] ?? null);
    if (section === channel?.section) return dataChannelSection(section.mid, section.protocol, setup, local, tagged);
    const pairing = pairings.get(section);
    if (pairing === undefined) return rejectedSection(section);
    const ssrc = ids.nextSsrc();
    const rtxSsrc = pairing.chosen.rtx === null ? null : ids.nextSsrc();
    const track = planEgress(section, pairing, { ssrc, rtxSsrc, cname: ids.cname });
    tracks.push(track);
    return answerSection(section, pairing, track, { setup, local, ids, tagged });
  });
  const semantic = attribute('msid-semantic', ` WMS ${ids.streamId}`);
  const answer = printDescription(media, bundled, local, offer.extmapAllowMixed, [semantic]);
  return { answer, remote, tracks, dataChannel: channel?.plan ?? null, mids };
}

/** The first live section of each kind gets the first track of that kind. */
function pairSections(offer: SessionDescription, sources: readonly SourceTrackInfo[]): Map<MediaSection, Pairing> {
  const pairings = new Map<MediaSection, Pairing>();
  const served = new Set<string>();
  for (const section of offer.media) {
    const source = sources.find((candidate) => candidate.kind === section.kind);
    if (!isLive(section) || source === undefined || served.has(section.kind)) continue;
    const chosen = choosePlayed(source.codec, section);
    if (chosen === null) throw noCommonCodec(source);
    served.add(section.kind);
    pairings.set(section, { source, chosen });
  }
  return pairings;
}

export function noCommonCodec({ kind, codec }: SourceTrackInfo): ProblemError {
  return new ProblemError(422, 'no_common_codec', `the ${kind} of this room is ${codec.name}, which the player lacks`);
}

/** What we send on a viewer's section, be it of an offer or of the answer to ours. Without RTX its SSRC is not used. */
export function planEgress(
  section: MediaSection,
  { source, chosen }: Pairing,
  names: { ssrc: number; rtxSsrc: number | null; cname: string },
): EgressTrackPlan {
  return {
    mid: trackMid(section),
    kind: source.kind,
    sourceMid: source.mid,
    codec: { ...chosen.codec, fmtp: playedFmtp(source.codec, chosen.codec) },
    payloadType: chosen.payload.payloadType,
    rtxPayloadType: chosen.rtx?.payloadType ?? null,
    extensions: extensionIds(acceptExtensions(section, EGRESS_EXTENSIONS, 'sendonly')),
    feedback: readFeedback(chosen.payload, EGRESS_FEEDBACK),
    ssrc: names.ssrc,
    rtxSsrc: chosen.rtx === null ? null : names.rtxSsrc,
    cname: names.cname,
  };
}

function answerSection(
  section: MediaSection,
  { chosen }: Pairing,
  track: EgressTrackPlan,
  { setup, local, ids, tagged }: { setup: Setup; local: LocalTransport; ids: SenderIds; tagged: boolean },
): MediaSource {
  const payloads = [{ format: chosen.payload, fmtp: track.codec.fmtp, feedback: track.feedback }];
  return liveSection(
    {
      kind: section.kind,
      protocol: section.protocol,
      mid: section.mid,
      direction: 'sendonly',
      setup,
      payloads:
        chosen.rtx === null ? payloads : [...payloads, { format: chosen.rtx, fmtp: chosen.rtx.fmtp, feedback: null }],
      extensions: acceptExtensions(section, EGRESS_EXTENSIONS, 'sendonly'),
      rtcpRsize: section.rtcpRsize,
      extra: senderAttributes(track.kind, ids, track.ssrc, track.rtxSsrc),
    },
    local,
    tagged,
  );
}
