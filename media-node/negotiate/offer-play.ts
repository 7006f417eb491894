/** Legacy WHEP (draft-murillo-whep-01): the player posts nothing, we offer, it answers by PATCH. Pure. */
import { ProblemError } from '../../shared/errors.ts';
import { badSdp } from '../../shared/sdp/parse.ts';
import { readFormatParameters } from '../../shared/sdp/payloads.ts';
import type { MediaSection, MediaSource, PayloadFormat, SessionDescription } from '../../shared/sdp/types.ts';
import { EGRESS_FEEDBACK, noCommonCodec, planEgress } from './answer-play.ts';
import { choosePlayed } from './codecs.ts';
import { type AcceptedExtension, EGRESS_EXTENSIONS, type ExtensionName } from './extensions.ts';
import { playedFmtp } from './fmtp.ts';
import type { Codec, EgressTrackPlan, Feedback, LocalTransport, RemoteTransport, SourceTrackInfo } from './plan.ts';
import { liveSection, printDescription } from './sections.ts';
import { type SenderIds, senderAttributes } from './sender-lines.ts';
import { attribute, readRemoteTransport, roleAsOfferer } from './transport-lines.ts';

export const PROTOCOL = 'UDP/TLS/RTP/SAVPF';
export const STATIC_PAYLOAD_TYPES: Readonly<Record<string, number>> = { PCMU: 0, PCMA: 8 };
/** Unlike the payload types of any static codec, and apart from each other over the whole bundle. */
const FIRST_AUDIO_PAYLOAD_TYPE = 111;
const FIRST_VIDEO_PAYLOAD_TYPE = 96;
/** What every browser decodes; offered too when the encoder names another profile. */
const COMMON_H264_PROFILE = '42e01f';
/** Audio has no pictures to ask for; lost packets are concealed sooner than sent again. */
export const AUDIO_FEEDBACK: Feedback = { nack: false, pli: false, fir: false, remb: false, transportCc: false };

/** Header extension ids of our offers, the same in every section as RFC 8843 asks for. */
export const EXTENSION_IDS: ReadonlyMap<ExtensionName, number> = new Map(
  [...EGRESS_EXTENSIONS].map((name, index) => [name, index + 1]),
);

export const AUDIO_EXTENSIONS: ReadonlySet<ExtensionName> = new Set(['mid', 'absSendTime', 'absCaptureTime']);

interface PendingSection {
  readonly mid: string;
  readonly source: SourceTrackInfo;
  readonly ssrc: number;
  /** Null for audio, which is not retransmitted. */
  readonly rtxSsrc: number | null;
}

/** What has to be remembered until the player answers. */
export interface PendingPlayOffer {
  readonly cname: string;
  readonly sections: readonly PendingSection[];
}

/** @throws ProblemError 422 `nothing_to_play` without any source */
export function offerPlay(
  sources: readonly SourceTrackInfo[],
  local: LocalTransport,
  ids: SenderIds,
): { offer: string; pending: PendingPlayOffer; mids: string[] } {
  const audio = sources.find((source) => source.kind === 'audio');
  const video = sources.find((source) => source.kind === 'video');
  const sections = [audio, video]
    .filter((source) => source !== undefined)
    .map((source, index): PendingSection => {
      const ssrc = ids.nextSsrc();
      return { mid: String(index), source, ssrc, rtxSsrc: source.kind === 'video' ? ids.nextSsrc() : null };
    });
  if (sections.length === 0) throw new ProblemError(422, 'nothing_to_play', 'this room has no track to offer');
  const mids = sections.map((section) => section.mid);
  const media = sections.map((section, index) => offerSection(section, local, ids, index === 0));
  const semantic = attribute('msid-semantic', ` WMS ${ids.streamId}`);
  const offer = printDescription(media, mids, local, true, [semantic]);
  return { offer, pending: { cname: ids.cname, sections }, mids };
}

function offerSection(section: PendingSection, local: LocalTransport, ids: SenderIds, tagged: boolean): MediaSource {
  const { kind, codec } = section.source;
  const feedback = kind === 'video' ? EGRESS_FEEDBACK : AUDIO_FEEDBACK;
  const extensions: AcceptedExtension[] = [];
  for (const [name, id] of EXTENSION_IDS) {
    if (kind === 'video' || AUDIO_EXTENSIONS.has(name)) extensions.push({ id, name, direction: null });
  }
  return liveSection(
    {
      kind,
      protocol: PROTOCOL,
      mid: section.mid,
      direction: 'sendonly',
      setup: 'actpass',
      payloads: offeredPayloads(codec, section.rtxSsrc !== null).map(({ rtx, ...format }) => ({
        format,
        fmtp: format.fmtp,
        feedback: rtx ? null : feedback,
      })),
      extensions,
      rtcpRsize: kind === 'video',
      extra: senderAttributes(kind, ids, section.ssrc, section.rtxSsrc),
    },
    local,
    tagged,
  );
}

/** The source's codec in each form that a player may know it in, each followed by its RTX. */
function offeredPayloads(codec: Codec, withRtx: boolean): (PayloadFormat & { rtx: boolean })[] {
  const { name: encoding, kind, clockRate, channels } = codec;
  let payloadType =
    STATIC_PAYLOAD_TYPES[encoding] ?? (kind === 'audio' ? FIRST_AUDIO_PAYLOAD_TYPE : FIRST_VIDEO_PAYLOAD_TYPE);
  const payloads: (PayloadFormat & { rtx: boolean })[] = [];
  for (const fmtp of offeredFmtps(codec)) {
    const primary = payloadType++;
    payloads.push({ payloadType: primary, encoding, clockRate, channels, fmtp, feedback: [], rtx: false });
    if (!withRtx) continue;
    const apt = `apt=${primary}`;
    const retransmission = { encoding: 'rtx', clockRate, channels: 1, fmtp: apt, feedback: [], rtx: true };
    payloads.push({ payloadType: payloadType++, ...retransmission });
  }
  return payloads;
}

/** The forms in which a codec is offered, the source's own first. */
export function offeredFmtps(codec: Codec): string[] {
  if (codec.name === 'opus') return [playedFmtp(codec, { ...codec, fmtp: 'minptime=10;useinbandfec=1' })];
  // G711 has no parameters, and one number.
  if (STATIC_PAYLOAD_TYPES[codec.name] !== undefined) return [''];
  if (codec.name !== 'H264') return [playedFmtp(codec, codec)];
  const parameters = readFormatParameters(codec.fmtp);
  const mode = parameters.get('packetization-mode') ?? '0';
  const profile = parameters.get('profile-level-id') ?? COMMON_H264_PROFILE;
  const profiles = new Set([profile.toLowerCase(), COMMON_H264_PROFILE]);
  return [...profiles].map((id) => `level-asymmetry-allowed=1;packetization-mode=${mode};profile-level-id=${id}`);
}

/**
 * The player's answer to `offerPlay`. Sections that it rejected or does not want to receive get no track.
 * @throws ProblemError 400 `bad_sdp` when it does not fit the offer, 422 `no_common_codec` when it accepted a section
 *   without a codec of ours, 422 `nothing_to_play` when it accepted none
 */
export function acceptPlayAnswer(
  pending: PendingPlayOffer,
  answer: SessionDescription,
): { remote: RemoteTransport; tracks: EgressTrackPlan[] } {
  if (answer.media.length !== pending.sections.length)
    throw badSdp('the answer has other media sections than the offer');
  const tracks: EgressTrackPlan[] = [];
  for (const [index, offered] of pending.sections.entries()) {
    const section = answer.media[index];
    if (section === undefined || section.kind !== offered.source.kind || (section.mid ?? offered.mid) !== offered.mid) {
      throw badSdp('the answer has other media sections than the offer');
    }
    // In an answer port 0 always means no, whatever `bundle-only` says.
    if (section.port === 0 || (section.direction !== 'recvonly' && section.direction !== 'sendrecv')) continue;
    tracks.push(acceptSection(section, offered, pending.cname));
  }
  if (tracks.length === 0) throw new ProblemError(422, 'nothing_to_play', 'the answer accepts no track');
  return { remote: readRemoteTransport(answer, roleAsOfferer), tracks };
}

function acceptSection(section: MediaSection, offered: PendingSection, cname: string): EgressTrackPlan {
  const chosen = choosePlayed(offered.source.codec, section);
  if (chosen === null) throw noCommonCodec(offered.source);
  const names = { ssrc: offered.ssrc, rtxSsrc: offered.rtxSsrc, cname };
  const plan = planEgress({ ...section, mid: offered.mid }, { source: offered.source, chosen }, names);
  // Ids are ours to give: an answer that renumbers them does not know the extension (RFC 8285 §6).
  for (const [name, id] of EXTENSION_IDS) if (plan.extensions[name] !== id) delete plan.extensions[name];
  return plan;
}
