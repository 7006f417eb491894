/** Media sections and whole descriptions as we write them. */
import { printSdp } from '../../shared/sdp/print.ts';
import type { Attribute, MediaSection, MediaSource, OtherLine, PayloadFormat, Setup } from '../../shared/sdp/types.ts';
import { feedbackValues } from './codecs.ts';
import { type AcceptedExtension, extensionValues } from './extensions.ts';
import type { Feedback, LocalTransport } from './plan.ts';
import {
  attribute,
  candidateAttributes,
  originLine,
  originNumber,
  sessionAttributes,
  transportAttributes,
} from './transport-lines.ts';

/** The discard port: the addresses are in the candidates (RFC 8839 §4.3). */
const DISCARD_PORT = 9;
const NO_CONNECTION: OtherLine = { type: 'c', value: 'IN IP4 0.0.0.0' };

export interface LiveSection {
  readonly kind: string;
  readonly protocol: string;
  /** Null only for a lone section that was offered without one. */
  readonly mid: string | null;
  readonly direction: 'sendonly' | 'recvonly' | 'inactive';
  readonly setup: Setup;
  /** In order of preference; each with our `fmtp` and the feedback that holds for it. */
  readonly payloads: readonly { format: PayloadFormat; fmtp: string; feedback: Feedback | null }[];
  readonly extensions: readonly AcceptedExtension[];
  /** Reduced-size RTCP (RFC 5506). */
  readonly rtcpRsize: boolean;
  /** What stands last: msid and SSRCs, rids. */
  readonly extra: readonly Attribute[];
  /** The `i=` line. */
  readonly information?: string | null;
}

/** One of the bundle's sections. `rtcp-mux-only` stands in each of them (RFC 9725 §4.4.1). */
export function liveSection(section: LiveSection, local: LocalTransport, tagged: boolean): MediaSource {
  const attributes: Attribute[] = [];
  if (section.mid !== null) attributes.push(attribute('mid', section.mid));
  attributes.push(...transportAttributes(local, section.setup), attribute(section.direction));
  attributes.push(attribute('rtcp-mux'), attribute('rtcp-mux-only'));
  if (section.rtcpRsize) attributes.push(attribute('rtcp-rsize'));
  for (const value of extensionValues(section.extensions)) attributes.push(attribute('extmap', value));
  for (const { format, fmtp, feedback } of section.payloads) {
    attributes.push(attribute('rtpmap', `${format.payloadType} ${rtpmap(format)}`));
    for (const value of feedback === null ? [] : feedbackValues(feedback)) {
      attributes.push(attribute('rtcp-fb', `${format.payloadType} ${value}`));
    }
    if (fmtp !== '') attributes.push(attribute('fmtp', `${format.payloadType} ${fmtp}`));
  }
  attributes.push(...section.extra, ...candidateAttributes(local, tagged));
  return {
    kind: section.kind,
    port: DISCARD_PORT,
    protocol: section.protocol,
    formats: section.payloads.map(({ format }) => String(format.payloadType)),
    information: section.information ?? null,
    lines: [NO_CONNECTION],
    attributes,
  };
}

/** The peer's spelling of the name: webrtcbin compares what it gets back. */
function rtpmap({ encoding, clockRate, channels }: PayloadFormat): string {
  return channels > 1 ? `${encoding}/${clockRate}/${channels}` : `${encoding}/${clockRate}`;
}

/**
 * Port 0 (RFC 3264 §6); the mid stays so that the section can be told, and outside the BUNDLE group (RFC 9143 §7.3.3).
 */
export function rejectedSection(offered: Pick<MediaSection, 'kind' | 'protocol' | 'formats' | 'mid'>): MediaSource {
  const attributes = [attribute('inactive')];
  if (offered.mid !== null) attributes.unshift(attribute('mid', offered.mid));
  return {
    kind: offered.kind,
    port: 0,
    protocol: offered.protocol,
    formats: offered.formats.slice(0, 1),
    information: null,
    lines: [NO_CONNECTION],
    attributes,
  };
}

/**
 * @param bundled members of the BUNDLE group, the tagged one first; empty: no group (the peer offered none)
 * @param origin of a description that comes after others of the same session
 */
export function printDescription(
  media: readonly MediaSource[],
  bundled: readonly string[],
  local: LocalTransport,
  allowMixed: boolean,
  session: readonly Attribute[] = [],
  origin: string = originLine(originNumber(local), 1),
): string {
  return printSdp({
    origin,
    name: '-',
    information: null,
    lines: [{ type: 't', value: '0 0' }],
    attributes: [...sessionAttributes(bundled, allowMixed), ...session],
    media,
  });
}

export interface BundleOrder {
  /** Mids of the accepted sections, the tagged one first. */
  readonly mids: string[];
  /** Those of them that the offer's group holds: a group in an answer never grows (RFC 9143 §7.3). */
  readonly bundled: string[];
}

/**
 * The mids of accepted sections with the tagged one first: the offer's tagged section unless it was rejected, then the
 * next in the order of the offer's group (RFC 9143 §7.3.1).
 */
export function bundleOrder(accepted: readonly MediaSection[], offered: readonly string[] | null): BundleOrder {
  const place = new Map((offered ?? []).map((mid, index) => [mid, index]));
  const mids = accepted
    .flatMap((section) => (section.mid === null ? [] : [section.mid]))
    .sort((a, b) => (place.get(a) ?? place.size) - (place.get(b) ?? place.size));
  return { mids, bundled: mids.filter((mid) => place.has(mid)) };
}

/** The mid of a track: a lone section that was offered without one goes by its index. */
export function trackMid(section: MediaSection): string {
  return section.mid ?? String(section.index);
}
