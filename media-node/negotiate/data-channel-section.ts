/** `m=application` with data channels (RFC 8841): what is read of the peer's section, and ours. */
import { readUint } from '../../shared/sdp/attributes.ts';
import { isLive } from '../../shared/sdp/bundle.ts';
import type { MediaSection, MediaSource, Setup } from '../../shared/sdp/types.ts';
import type { DataChannelPlan, LocalTransport } from './plan.ts';
import { attribute, candidateAttributes, transportAttributes } from './transport-lines.ts';

export const DATA_CHANNEL_PROTOCOL = 'UDP/DTLS/SCTP';
export const DATA_CHANNEL_FORMAT = 'webrtc-datachannel';
/** As the transport has it: `SCTP_PORT` and `MAX_MESSAGE_BYTES` there. */
export const LOCAL_DATA_CHANNEL: DataChannelPlan = { remotePort: 5000, maxMessageBytes: 256 * 1024 };

const MAX_PORT = 65_535;
const MAX_UINT32 = 0xffff_ffff;
/** What a peer takes that announces nothing (RFC 8841 §6.1). */
const DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024;

/** SCTP over DTLS in the form of RFC 8841; the older `DTLS/SCTP` with `a=sctpmap` is no more. */
function isDataChannel(section: MediaSection): boolean {
  return (
    section.kind === 'application' &&
    /^(UDP|TCP)\/DTLS\/SCTP$/i.test(section.protocol) &&
    section.formats[0]?.toLowerCase() === DATA_CHANNEL_FORMAT
  );
}

/** Null when the section is none that data channels can go through. */
export function readDataChannel(section: MediaSection): DataChannelPlan | null {
  if (!isDataChannel(section)) return null;
  const value = (name: string): string | undefined =>
    section.attributes.find((attribute) => attribute.name === name)?.value?.trim();
  const remotePort = readUint(value('sctp-port'), MAX_PORT);
  if (remotePort === null || remotePort === 0) return null;
  const announced = readUint(value('max-message-size'), MAX_UINT32) ?? DEFAULT_MAX_MESSAGE_BYTES;
  // 0: of any size.
  return { remotePort, maxMessageBytes: announced === 0 ? MAX_UINT32 : announced };
}

/**
 * The section of an offer whose data channels are accepted: the first one, when it shares the bundle (or is alone).
 */
export function findDataChannel(
  media: readonly MediaSection[],
  bundle: readonly string[] | null,
): { section: MediaSection; plan: DataChannelPlan } | null {
  for (const section of media) {
    const plan = isLive(section) ? readDataChannel(section) : null;
    if (plan === null) continue;
    const isBundled = section.mid !== null && (bundle?.includes(section.mid) ?? false);
    return isBundled || media.length === 1 ? { section, plan } : null;
  }
  return null;
}

export function dataChannelSection(
  mid: string | null,
  protocol: string,
  setup: Setup,
  local: LocalTransport,
  tagged: boolean,
): MediaSource {
  return {
    kind: 'application',
    port: 9,
    protocol,
    formats: [DATA_CHANNEL_FORMAT],
    information: null,
    lines: [{ type: 'c', value: 'IN IP4 0.0.0.0' }],
    attributes: [
      ...(mid === null ? [] : [attribute('mid', mid)]),
      ...transportAttributes(local, setup),
      attribute('sctp-port', String(LOCAL_DATA_CHANNEL.remotePort)),
      attribute('max-message-size', String(LOCAL_DATA_CHANNEL.maxMessageBytes)),
      ...candidateAttributes(local, tagged),
    ],
  };
}
