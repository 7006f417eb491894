/** RTP header extensions (RFC 8285): which are accepted in which direction, under the ids that the peer offers. */
import type { Direction, MediaSection } from '../../shared/sdp/types.ts';
import type { ExtensionIds } from './plan.ts';

export type ExtensionName = keyof ExtensionIds;

export const EXTENSION_URIS: Readonly<Record<ExtensionName, string>> = {
  mid: 'urn:ietf:params:rtp-hdrext:sdes:mid',
  rid: 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
  repairedRid: 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id',
  absSendTime: 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
  transportCc: 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
  videoOrientation: 'urn:3gpp:video-orientation',
  audioLevel: 'urn:ietf:params:rtp-hdrext:ssrc-audio-level',
  dependencyDescriptor: 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension',
  absCaptureTime: 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time',
  playoutDelay: 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay',
  // VP8 does not say how its colours are meant; libwebrtc says it here, for the other codecs too.
  colorSpace: 'http://www.webrtc.org/experiments/rtp-hdrext/color-space',
};

const NAMES_BY_URI: ReadonlyMap<string, ExtensionName> = new Map(
  (Object.keys(EXTENSION_URIS) as ExtensionName[]).map((name) => [EXTENSION_URIS[name], name]),
);

/** What is read of a publisher's packets. */
export const INGRESS_EXTENSIONS: ReadonlySet<ExtensionName> = new Set([
  'mid',
  'rid',
  'repairedRid',
  'absSendTime',
  'transportCc',
  'videoOrientation',
  'audioLevel',
  'dependencyDescriptor',
  'absCaptureTime',
  'colorSpace',
]);

/** What is written into a viewer's packets. No transport-cc: nobody would read its feedback yet. */
export const EGRESS_EXTENSIONS: ReadonlySet<ExtensionName> = new Set([
  'mid',
  'absSendTime',
  'videoOrientation',
  'dependencyDescriptor',
  'absCaptureTime',
  'playoutDelay',
  'colorSpace',
]);

/** Ids of one-byte headers (RFC 8285 §4.2); larger ones would force the two-byte form on every packet. */
const MAX_ONE_BYTE_ID = 14;
/** Length of the longest element that a one-byte header holds. */
const MAX_ONE_BYTE_LENGTH = 16;

/** One `a=extmap` line of ours. */
export interface AcceptedExtension {
  readonly id: number;
  readonly name: ExtensionName;
  /** Ours; null when the peer names none. */
  readonly direction: Direction | null;
}

/**
 * The offered extensions out of `wanted`, each id and each name once.
 * @param ours the direction in which our side of the section goes
 */
export function acceptExtensions(
  section: MediaSection,
  wanted: ReadonlySet<ExtensionName>,
  ours: 'sendonly' | 'recvonly',
): AcceptedExtension[] {
  const accepted: AcceptedExtension[] = [];
  const taken = new Set<number | string>();
  for (const { id, uri, direction } of section.extensions) {
    const name = NAMES_BY_URI.get(uri);
    if (name === undefined || !wanted.has(name) || id > MAX_ONE_BYTE_ID) continue;
    if (taken.has(id) || taken.has(name) || !isUsable(direction, ours)) continue;
    if (name === 'mid' && (section.mid ?? '').length > MAX_ONE_BYTE_LENGTH) continue;
    taken.add(id).add(name);
    accepted.push({ id, name, direction: direction === null ? null : ours });
  }
  return accepted;
}

/** Firefox offers `playout-delay` as `recvonly`: it can be sent to it and not received from it. */
function isUsable(theirs: Direction | null, ours: 'sendonly' | 'recvonly'): boolean {
  if (theirs === null || theirs === 'sendrecv') return true;
  return theirs === (ours === 'sendonly' ? 'recvonly' : 'sendonly');
}

export function extensionIds(accepted: readonly AcceptedExtension[]): ExtensionIds {
  const ids: ExtensionIds = {};
  for (const { id, name } of accepted) ids[name] = id;
  return ids;
}

/** The values of `a=extmap` lines. */
export function extensionValues(accepted: readonly AcceptedExtension[]): string[] {
  return accepted.map(({ id, name, direction }) => {
    const scope = direction === null ? '' : `/${direction}`;
    return `${id}${scope} ${EXTENSION_URIS[name]}`;
  });
}
