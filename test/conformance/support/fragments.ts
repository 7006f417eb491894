/** Trickle fragments as each client writes them (protocol.md §2), for a session that was opened with `offer`. */
import { bundle, inherited, readSdp, value } from './sdp.ts';

export interface Credentials {
  readonly ufrag: string;
  readonly pwd: string;
}

export interface Peer extends Credentials {
  /** Of all offered m-lines, the BUNDLE-tagged one first. */
  readonly mids: readonly string[];
}

export function peerOf(offerText: string): Peer {
  const offer = readSdp(offerText);
  const [first] = offer.sections;
  if (first === undefined) throw new Error('an offer without m-lines');
  const mids = offer.sections.map((section) => value(section.attributes, 'mid') ?? '0');
  return {
    ufrag: inherited(offer, first, 'ice-ufrag') ?? '',
    pwd: inherited(offer, first, 'ice-pwd') ?? '',
    mids: bundle(offer) ?? mids,
  };
}

const CANDIDATE = 'candidate:3388485749 1 udp 2122260223 192.0.2.33 61764 typ host generation 0';

function lines(...list: string[]): string {
  return `${list.join('\r\n')}\r\n`;
}

/** RFC 9725 §4.3.2's example. */
export function fragment(
  peer: Peer,
  candidates: readonly string[] = [`${CANDIDATE} ufrag ${peer.ufrag} network-id 1`],
): string {
  return lines(
    `a=group:BUNDLE ${peer.mids.join(' ')}`,
    `a=ice-ufrag:${peer.ufrag}`,
    `a=ice-pwd:${peer.pwd}`,
    'm=audio 9 UDP/TLS/RTP/SAVPF 0',
    `a=mid:${peer.mids[0]}`,
    ...candidates.map((candidate) => `a=${candidate}`),
    'a=end-of-candidates',
  );
}

/** The fragment that restarts ICE. */
export function restart({ ufrag, pwd }: Credentials): string {
  return lines(
    'a=ice-options:trickle ice2',
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${pwd}`,
    'm=audio 9 UDP/TLS/RTP/SAVPF 0',
    'a=mid:0',
  );
}

interface ClientPatch {
  readonly client: string;
  readonly body: (peer: Peer) => string;
  /** Header fields beside the media type. */
  readonly headers: (etag: string) => Record<string, string>;
}

const SECTION = (mid: string, kind: string, protocol: string, ...rest: string[]): string[] => [
  `m=${kind} 9 ${protocol} 0`,
  `a=mid:${mid}`,
  ...rest,
];

export const CLIENT_PATCHES: readonly ClientPatch[] = [
  {
    client: 'medooze whip.js',
    headers: (etag) => ({ 'If-Match': etag }),
    body: ({ ufrag, pwd, mids: [mid = '0'] }) =>
      lines(
        `a=ice-ufrag:${ufrag}`,
        `a=ice-pwd:${pwd}`,
        ...SECTION(mid, 'audio', 'UDP/TLS/RTP/SAVPF', `a=${CANDIDATE}`, 'a=end-of-candidates'),
      ),
  },
  {
    client: 'medooze whep.js, which forgets the tag',
    headers: () => ({}),
    body: ({ ufrag, pwd, mids: [mid = '0'] }) =>
      lines(
        `a=ice-ufrag:${ufrag}`,
        `a=ice-pwd:${pwd}`,
        ...SECTION(mid, 'video', 'UDP/TLS/RTP/SAVPF', `a=${CANDIDATE}`),
      ),
  },
  {
    client: 'MediaMTX publisher.js and reader.js',
    headers: () => ({ 'If-Match': '*' }),
    body: ({ ufrag, pwd, mids }) =>
      lines(
        `a=ice-ufrag:${ufrag}`,
        `a=ice-pwd:${pwd}`,
        ...mids.flatMap((mid) => SECTION(mid, 'video', 'UDP/TLS/RTP/SAVPF', `a=${CANDIDATE}`)),
      ),
  },
  {
    client: 'Eyevinn whip-web-client',
    headers: (etag) => ({ ETag: etag }),
    body: ({ ufrag, pwd, mids }) =>
      lines(
        `a=ice-ufrag:${ufrag}`,
        `a=ice-pwd:${pwd}`,
        ...mids.flatMap((mid) => SECTION(mid, 'audio', 'RTP/AVP', `a=${CANDIDATE.replace(' 1 udp', ' 0 udp')}`)),
      ),
  },
  {
    client: 'vue-wish',
    headers: (etag) => ({ 'If-Match': etag.replaceAll('"', '') }),
    body: ({ ufrag, pwd }) =>
      lines(`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, ...SECTION('0', 'audio', 'RTP/AVP', `a=${CANDIDATE}`)),
  },
  {
    client: 'meetecho simple-whip-client',
    headers: (etag) => ({ 'If-Match': etag }),
    body: ({ ufrag, pwd }) =>
      lines(
        `a=ice-ufrag:${ufrag}`,
        `a=ice-pwd:${pwd}`,
        ...SECTION(
          '0',
          'audio',
          'RTP/AVP',
          `a=${CANDIDATE}`,
          'a=candidate:2 1 UDP 1686052607 198.51.100.9 1024 typ srflx raddr 0.0.0.0 rport 0',
        ),
      ),
  },
  {
    client: 'react-native-whip-whep',
    headers: () => ({}),
    body: ({ ufrag, mids: [mid = '0'] }) =>
      JSON.stringify({ candidate: CANDIDATE, sdpMLineIndex: 0, sdpMid: mid, usernameFragment: ufrag }),
  },
];
