/**
 * The codecs that are forwarded, as SDP names them, and how a publisher's and a viewer's formats are brought together.
 */
import type { MediaKind } from '../../shared/protocol/control.ts';
import { readUint } from '../../shared/sdp/attributes.ts';
import { readFormatParameters } from '../../shared/sdp/payloads.ts';
import type { MediaSection, PayloadFormat } from '../../shared/sdp/types.ts';
import { rankH264 } from './h264.ts';
import type { Codec, CodecName, Feedback } from './plan.ts';

interface CodecFamily {
  kind: MediaKind;
  clockRate: number;
  /** As `rtpmap` writes it; Opus is always `/2` (RFC 7587 §7), mono or not. */
  channels: number;
  /** How well a viewer's format suits a published one; null: it would not be decoded. */
  rank(sourceFmtp: string, viewerFmtp: string): number | null;
}

const VIDEO_CLOCK_HZ = 90_000;
const OPUS_CLOCK_HZ = 48_000;
const G711_CLOCK_HZ = 8_000;
const ALWAYS_FITS = () => 0;

const FAMILIES: Readonly<Record<CodecName, CodecFamily>> = {
  H264: { kind: 'video', clockRate: VIDEO_CLOCK_HZ, channels: 1, rank: rankH264 },
  H265: { kind: 'video', clockRate: VIDEO_CLOCK_HZ, channels: 1, rank: rankIncludingProfile('profile-id', 1) },
  VP8: { kind: 'video', clockRate: VIDEO_CLOCK_HZ, channels: 1, rank: ALWAYS_FITS },
  VP9: { kind: 'video', clockRate: VIDEO_CLOCK_HZ, channels: 1, rank: rankSameProfile('profile-id') },
  AV1: { kind: 'video', clockRate: VIDEO_CLOCK_HZ, channels: 1, rank: rankIncludingProfile('profile', 0) },
  opus: { kind: 'audio', clockRate: OPUS_CLOCK_HZ, channels: 2, rank: ALWAYS_FITS },
  PCMU: { kind: 'audio', clockRate: G711_CLOCK_HZ, channels: 1, rank: ALWAYS_FITS },
  PCMA: { kind: 'audio', clockRate: G711_CLOCK_HZ, channels: 1, rank: ALWAYS_FITS },
};

const NAMES: ReadonlyMap<string, CodecName> = new Map([
  ['h264', 'H264'],
  ['h265', 'H265'],
  ['vp8', 'VP8'],
  ['vp9', 'VP9'],
  ['av1', 'AV1'],
  ['opus', 'opus'],
  ['pcmu', 'PCMU'],
  ['pcma', 'PCMA'],
]);

/** VP9: profiles differ in bit depth and chroma, and a decoder of one does not promise another (RFC 9628 §6). */
function rankSameProfile(parameter: string): CodecFamily['rank'] {
  return (source, viewer) => (profileNumber(source, parameter, 0) === profileNumber(viewer, parameter, 0) ? 0 : null);
}

/**
 * AV1 and H265: a decoder of a higher profile plays the lower ones (AV1 spec annex A.2, H.265 annex A.3); nearest
 * first.
 */
function rankIncludingProfile(parameter: string, unsaid: number): CodecFamily['rank'] {
  return (source, viewer) => {
    const distance = profileNumber(viewer, parameter, unsaid) - profileNumber(source, parameter, unsaid);
    return distance >= 0 ? -distance : null;
  };
}

function profileNumber(fmtp: string, parameter: string, unsaid: number): number {
  return readUint(readFormatParameters(fmtp).get(parameter), 0xff) ?? unsaid;
}

/** Payload types that RTCP packet types would be mistaken for under RTCP mux (RFC 5761 §4). */
function collidesWithRtcp(payloadType: number): boolean {
  return payloadType >= 64 && payloadType <= 95;
}

/** The codec of a payload type when it is one that is forwarded; names are compared without case. */
export function readCodec(payload: PayloadFormat, kind: string): Codec | null {
  const name = NAMES.get(payload.encoding.toLowerCase());
  if (name === undefined || collidesWithRtcp(payload.payloadType)) return null;
  const family = FAMILIES[name];
  if (family.kind !== kind || family.clockRate !== payload.clockRate) return null;
  // Stereo G711, as MediaMTX' player offers it, is another codec.
  if (payload.channels !== family.channels) return null;
  return { name, kind: family.kind, clockRate: family.clockRate, channels: family.channels, fmtp: payload.fmtp };
}

/** A payload type that was chosen from somebody's m-section. */
export interface ChosenFormat {
  readonly codec: Codec;
  readonly payload: PayloadFormat;
  /** Its RTX payload, when the section offers one (RFC 4588 §8.1). */
  readonly rtx: PayloadFormat | null;
}

/** The publisher's first format that is forwarded: an offer lists its formats by preference (RFC 3264 §5.1). */
export function choosePublished(section: MediaSection): ChosenFormat | null {
  for (const payload of section.payloads) {
    const codec = readCodec(payload, section.kind);
    if (codec !== null) return { codec, payload, rtx: findRtx(section, payload.payloadType) };
  }
  return null;
}

/**
 * The viewer's format that suits the published codec best, its own order deciding between equals; null: none would
 * play.
 */
export function choosePlayed(source: Codec, section: Pick<MediaSection, 'kind' | 'payloads'>): ChosenFormat | null {
  let best: { rank: number; codec: Codec; payload: PayloadFormat } | null = null;
  for (const payload of section.payloads) {
    const codec = readCodec(payload, section.kind);
    if (codec === null || codec.name !== source.name) continue;
    const rank = FAMILIES[codec.name].rank(source.fmtp, payload.fmtp);
    if (rank !== null && (best === null || rank > best.rank)) best = { rank, codec, payload };
  }
  return best === null ? null : { ...best, rtx: findRtx(section, best.payload.payloadType) };
}

export function findRtx(section: Pick<MediaSection, 'payloads'>, payloadType: number): PayloadFormat | null {
  return (
    section.payloads.find(
      (payload) =>
        payload.encoding.toLowerCase() === 'rtx' &&
        !collidesWithRtcp(payload.payloadType) &&
        readFormatParameters(payload.fmtp).get('apt') === String(payloadType),
    ) ?? null
  );
}

/** RTCP feedback of a payload, as far as `accepted` goes. */
export function readFeedback(payload: PayloadFormat, accepted: Feedback): Feedback {
  const offered = new Set(payload.feedback.map((feedback) => feedback.toLowerCase()));
  return {
    nack: accepted.nack && offered.has('nack'),
    pli: accepted.pli && offered.has('nack pli'),
    fir: accepted.fir && offered.has('ccm fir'),
    remb: accepted.remb && offered.has('goog-remb'),
    transportCc: accepted.transportCc && offered.has('transport-cc'),
  };
}

/** The values of `a=rtcp-fb` lines, without the payload type. */
export function feedbackValues(feedback: Feedback): string[] {
  const values: string[] = [];
  if (feedback.remb) values.push('goog-remb');
  if (feedback.transportCc) values.push('transport-cc');
  if (feedback.fir) values.push('ccm fir');
  if (feedback.nack) values.push('nack');
  if (feedback.pli) values.push('nack pli');
  return values;
}
