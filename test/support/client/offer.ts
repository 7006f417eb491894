/** Offers of synthetic clients: small, and with everything that a test wants to vary. */
import { randomInt } from 'node:crypto';
import { EXTENSION_URIS, type ExtensionName } from '../../../media-node/negotiate/extensions.ts';
import type { Fingerprint } from '../../../media-node/negotiate/plan.ts';
import type { Credentials } from './controlling-ice.ts';
import { H264_FMTP } from './h264-frames.ts';

export type ClientCodec = 'H264' | 'VP8' | 'VP9' | 'AV1' | 'opus';

const RTPMAPS: Readonly<Record<ClientCodec, { rtpmap: string; fmtp: string }>> = {
  H264: { rtpmap: 'H264/90000', fmtp: H264_FMTP },
  VP8: { rtpmap: 'VP8/90000', fmtp: '' },
  VP9: { rtpmap: 'VP9/90000', fmtp: 'profile-id=0' },
  AV1: { rtpmap: 'AV1/90000', fmtp: '' },
  opus: { rtpmap: 'opus/48000/2', fmtp: 'minptime=10;useinbandfec=1' },
};

export interface OfferedFormat {
  codec: ClientCodec;
  payloadType: number;
  /** Null: no RTX. */
  rtxPayloadType: number | null;
}

export interface OfferedSection {
  kind: 'audio' | 'video';
  mid: string;
  direction: 'sendonly' | 'recvonly';
  formats: readonly OfferedFormat[];
  extensions: readonly ExtensionName[];
  /** Simulcast layers to send. */
  rids: readonly string[];
  /** Announced SSRC and its RTX partner; null: none, as with simulcast. */
  ssrcs: { primary: number; rtx: number | null } | null;
}

export interface OfferedTransport {
  ice: Credentials;
  fingerprint: Fingerprint;
  setup: 'actpass' | 'active' | 'passive';
  /** Null: none is named. */
  candidate: string | null;
}

const FEEDBACK = ['nack', 'nack pli', 'ccm fir', 'goog-remb'];
/** Ids in the order of the names, the same in every section. */
const EXTENSION_ORDER: readonly ExtensionName[] = ['mid', 'rid', 'repairedRid', 'absSendTime', 'transportCc'];

export function printOffer(sections: readonly OfferedSection[], transport: OfferedTransport): string {
  const lines = [
    'v=0',
    `o=- ${randomInt(2 ** 32)} 1 IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    `a=group:BUNDLE ${sections.map(({ mid }) => mid).join(' ')}`,
    'a=ice-options:trickle',
    ...sections.flatMap((section, index) => printSection(section, transport, index === 0)),
  ];
  return `${lines.join('\r\n')}\r\n`;
}

function printSection(section: OfferedSection, transport: OfferedTransport, isFirst: boolean): string[] {
  const { kind, mid, direction, formats, extensions, rids, ssrcs } = section;
  const payloadTypes = formats.flatMap(({ payloadType, rtxPayloadType }) =>
    rtxPayloadType === null ? [payloadType] : [payloadType, rtxPayloadType],
  );
  return [
    `m=${kind} 9 UDP/TLS/RTP/SAVPF ${payloadTypes.join(' ')}`,
    'c=IN IP4 0.0.0.0',
    `a=ice-ufrag:${transport.ice.ufrag}`,
    `a=ice-pwd:${transport.ice.pwd}`,
    `a=fingerprint:${transport.fingerprint.algorithm} ${transport.fingerprint.value}`,
    `a=setup:${transport.setup}`,
    ...(isFirst && transport.candidate !== null ? [`a=candidate:${transport.candidate}`, 'a=end-of-candidates'] : []),
    `a=mid:${mid}`,
    `a=${direction}`,
    'a=rtcp-mux',
    'a=rtcp-rsize',
    ...extensions.map((name) => `a=extmap:${EXTENSION_ORDER.indexOf(name) + 1} ${EXTENSION_URIS[name]}`),
    ...formats.flatMap((format) => printFormat(format, kind)),
    ...(direction === 'sendonly' ? ['a=msid:stream track'] : []),
    ...(ssrcs === null ? [] : printSsrcs(ssrcs)),
    ...(rids.length === 0 ? [] : [...rids.map((rid) => `a=rid:${rid} send`), `a=simulcast:send ${rids.join(';')}`]),
  ];
}

function printFormat({ codec, payloadType, rtxPayloadType }: OfferedFormat, kind: 'audio' | 'video'): string[] {
  const { rtpmap, fmtp } = RTPMAPS[codec];
  const clockRate = rtpmap.split('/')[1];
  return [
    `a=rtpmap:${payloadType} ${rtpmap}`,
    ...(fmtp === '' ? [] : [`a=fmtp:${payloadType} ${fmtp}`]),
    ...(kind === 'video' ? FEEDBACK.map((feedback) => `a=rtcp-fb:${payloadType} ${feedback}`) : []),
    ...(rtxPayloadType === null
      ? []
      : [`a=rtpmap:${rtxPayloadType} rtx/${clockRate}`, `a=fmtp:${rtxPayloadType} apt=${payloadType}`]),
  ];
}

function printSsrcs({ primary, rtx }: { primary: number; rtx: number | null }): string[] {
  return [
    ...(rtx === null ? [] : [`a=ssrc-group:FID ${primary} ${rtx}`]),
    `a=ssrc:${primary} cname:synthetic`,
    ...(rtx === null ? [] : [`a=ssrc:${rtx} cname:synthetic`]),
  ];
}
