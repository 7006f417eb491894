/** Small well-formed descriptions: what the edge needs to see, no more. Real clients' offers are in `test/fixtures/offers`. */
const FINGERPRINT =
  'sha-256 5F:88:1C:93:AD:31:9E:6E:2B:25:0F:4B:8C:0C:5A:9F:57:12:31:B0:8D:30:7C:59:20:34:1B:7B:0A:9E:77:0D';

interface Shape {
  direction: 'sendonly' | 'recvonly' | 'sendrecv' | 'inactive';
  setup: 'actpass' | 'active' | 'passive';
  candidates: boolean;
}

/** One Opus and one VP8 section, bundled. */
export function sampleSdp({ direction, setup, candidates }: Shape): string {
  const section = (kind: 'audio' | 'video', mid: string, payloadType: number, codec: string): string[] => [
    `m=${kind} 9 UDP/TLS/RTP/SAVPF ${payloadType}`,
    'c=IN IP4 0.0.0.0',
    `a=mid:${mid}`,
    'a=ice-ufrag:cliu',
    'a=ice-pwd:clientpasswordclientpw01',
    `a=fingerprint:${FINGERPRINT}`,
    `a=setup:${setup}`,
    `a=${direction}`,
    'a=rtcp-mux',
    'a=rtcp-mux-only',
    `a=rtpmap:${payloadType} ${codec}`,
    ...(direction === 'sendonly' || direction === 'sendrecv' ? [`a=msid:stream ${kind}`] : []),
    ...(candidates ? ['a=candidate:1 1 udp 2130706431 127.0.0.1 8840 typ host', 'a=end-of-candidates'] : []),
  ];
  const lines = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'a=group:BUNDLE 0 1',
    'a=msid-semantic:WMS *',
    ...section('audio', '0', 111, 'opus/48000/2'),
    ...section('video', '1', 96, 'VP8/90000'),
  ];
  return `${lines.join('\r\n')}\r\n`;
}

export const PUBLISH_OFFER = sampleSdp({ direction: 'sendonly', setup: 'actpass', candidates: false });
export const PLAY_OFFER = sampleSdp({ direction: 'recvonly', setup: 'actpass', candidates: false });
export const PUBLISH_ANSWER = sampleSdp({ direction: 'recvonly', setup: 'passive', candidates: true });
export const PLAY_ANSWER = sampleSdp({ direction: 'sendonly', setup: 'passive', candidates: true });
/** What a node offers to a player that posted an empty body. */
export const NODE_OFFER = sampleSdp({ direction: 'sendonly', setup: 'actpass', candidates: true });
/** What the player answers to it. */
export const PLAYER_ANSWER = sampleSdp({ direction: 'recvonly', setup: 'active', candidates: false });

/** A member's offer: a data channel, behind the tracks that `information` describes (their `i=` lines; none: no tracks). */
export function memberOffer(information: readonly string[] = []): string {
  const tracks = PUBLISH_OFFER.split('m=').slice(1, 1 + information.length);
  const described = tracks.map((section, index) => {
    const [head = '', ...rest] = section.split('\r\n');
    return [`m=${head}`, `i=${information[index]}`, ...rest].join('\r\n');
  });
  const mids = [...described.map((_, mid) => mid), 'data'].join(' ');
  const session = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', `a=group:BUNDLE ${mids}`, ''].join('\r\n');
  const channel = [
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    'a=mid:data',
    'a=ice-ufrag:cliu',
    'a=ice-pwd:clientpasswordclientpw01',
    `a=fingerprint:${FINGERPRINT}`,
    'a=setup:actpass',
    'a=sctp-port:5000',
    '',
  ].join('\r\n');
  return session + described.join('') + channel;
}
