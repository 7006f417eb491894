/** What a client needs of the server's description. */
import { isIPv4 } from 'node:net';
import { EXTENSION_URIS, type ExtensionName } from '../../../media-node/negotiate/extensions.ts';
import { parseSdp } from '../../../shared/sdp/parse.ts';
import { readFormatParameters } from '../../../shared/sdp/payloads.ts';
import type { FingerprintAttribute, MediaSection, PayloadFormat } from '../../../shared/sdp/types.ts';
import type { Credentials } from './controlling-ice.ts';

export interface RemoteTrack {
  mid: string;
  kind: 'audio' | 'video';
  /** As the answer spells it. */
  codec: string;
  clockRate: number;
  payloadType: number;
  rtxPayloadType: number | null;
  fmtp: string;
  /** Feedback that was accepted: `nack`, `nack pli`, … */
  feedback: readonly string[];
  extensions: Partial<Record<ExtensionName, number>>;
  /** Of the sender, when it is the server. */
  ssrc: number | null;
  rtxSsrc: number | null;
  /** Accepted simulcast layers. */
  rids: readonly string[];
}

export interface RemoteAnswer {
  text: string;
  ice: Credentials;
  fingerprints: readonly FingerprintAttribute[];
  setup: 'active' | 'passive' | 'actpass';
  candidate: { address: string; port: number };
  /** Accepted sections only. */
  tracks: RemoteTrack[];
}

const LOOPBACK = '127.0.0.1';

/**
 * @param from the address we send from: peers on this machine are met on loopback, others never are
 * @throws when the description lacks what every answer must have
 */
export function readRemoteAnswer(text: string, from = LOOPBACK): RemoteAnswer {
  const description = parseSdp(text);
  const accepted = description.media.filter((section) => section.port !== 0);
  const [first] = accepted;
  if (first === undefined) throw new Error(`the answer accepts nothing:\n${text}`);
  const usable = accepted
    .flatMap(({ candidates }) => candidates)
    .filter(({ transport, type, address }) => transport === 'udp' && type === 'host' && isIPv4(address));
  const candidate = usable.find(({ address }) => (address === LOOPBACK) === (from === LOOPBACK)) ?? usable[0];
  const setup = first.setup;
  if (candidate === undefined || first.ice === null || setup === null || setup === 'holdconn') {
    throw new Error(`the answer lacks a candidate, credentials or a=setup:\n${text}`);
  }
  return {
    text,
    ice: first.ice,
    fingerprints: first.fingerprints,
    setup,
    candidate: { address: candidate.address, port: candidate.port },
    tracks: accepted.map(readTrack),
  };
}

function readTrack(section: MediaSection): RemoteTrack {
  const payload = section.payloads.find(({ encoding }) => encoding.toLowerCase() !== 'rtx');
  if (payload === undefined || (section.kind !== 'audio' && section.kind !== 'video')) {
    throw new Error(`an accepted section without a codec: ${section.kind}`);
  }
  const [ssrc = null] = section.ssrcs;
  const pair = section.ssrcGroups.find(({ semantics, ssrcs }) => semantics === 'FID' && ssrcs[0] === ssrc);
  return {
    mid: section.mid ?? '',
    kind: section.kind,
    codec: payload.encoding,
    clockRate: payload.clockRate,
    payloadType: payload.payloadType,
    rtxPayloadType: rtxOf(section.payloads, payload.payloadType),
    fmtp: payload.fmtp,
    feedback: payload.feedback,
    extensions: readExtensions(section),
    ssrc,
    rtxSsrc: pair?.ssrcs[1] ?? null,
    rids: (section.simulcast?.recv ?? []).flat(),
  };
}

function rtxOf(payloads: readonly PayloadFormat[], payloadType: number): number | null {
  const rtx = payloads.find(({ fmtp }) => readFormatParameters(fmtp).get('apt') === String(payloadType));
  return rtx?.payloadType ?? null;
}

function readExtensions(section: MediaSection): Partial<Record<ExtensionName, number>> {
  const extensions: Partial<Record<ExtensionName, number>> = {};
  for (const [name, uri] of Object.entries(EXTENSION_URIS)) {
    const found = section.extensions.find((extension) => extension.uri === uri);
    if (found !== undefined) extensions[name as ExtensionName] = found.id;
  }
  return extensions;
}
