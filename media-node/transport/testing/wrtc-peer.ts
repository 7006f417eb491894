/** libwebrtc (@roamhq/wrtc) as a peer that sends or receives one audio track, answered by hand-made SDP. */
import { createRequire } from 'node:module';
import type { Fingerprint, IceCredentials } from '../../negotiate/plan.ts';
import type { PeerTransportOptions } from '../types.ts';

/** What we use of it; the DOM's types are not at hand in Node. */
interface WrtcConnection {
  readonly localDescription: { sdp: string } | null;
  addTransceiver(kind: 'audio', init: { direction: string }): { sender: { transport: WrtcDtls | null } };
  createOffer(options?: { iceRestart: boolean }): Promise<unknown>;
  setLocalDescription(description: unknown): Promise<void>;
  setRemoteDescription(description: { type: 'answer'; sdp: string }): Promise<void>;
  getStats(): Promise<Map<string, { type: string; packetsReceived?: number }>>;
  close(): void;
}
interface WrtcDtls {
  readonly state: 'new' | 'connecting' | 'connected' | 'closed' | 'failed';
}

/** By `require`: the package's native part does not survive being loaded twice. */
const wrtc = createRequire(import.meta.url)('@roamhq/wrtc') as {
  RTCPeerConnection: new () => WrtcConnection;
};

export interface WrtcPeer {
  readonly connection: WrtcConnection;
  /** What our negotiation would have read from the newest offer. */
  readonly remote: NonNullable<PeerTransportOptions['remote']>;
  readonly dtls: WrtcDtls;
  answer(options: AnswerOptions): Promise<void>;
  /** A new offer after `restartIce`. */
  restart(): Promise<void>;
}

interface AnswerOptions {
  local: IceCredentials;
  fingerprint: Fingerprint;
  setup: 'active' | 'passive';
  port: number;
}

export async function openWrtcPeer(dtlsRole: 'server' | 'client'): Promise<WrtcPeer> {
  const connection = new wrtc.RTCPeerConnection();
  const { sender } = connection.addTransceiver('audio', { direction: 'sendrecv' });
  await connection.setLocalDescription(await connection.createOffer());
  const attribute = (name: string): string => {
    const value = new RegExp(`^a=${name}:(.*)\r$`, 'm').exec(connection.localDescription?.sdp ?? '')?.[1];
    if (value === undefined) throw new Error(`the offer has no ${name}`);
    return value;
  };
  return {
    connection,
    get remote() {
      const [algorithm = '', value = ''] = attribute('fingerprint').split(' ');
      const ice = { ufrag: attribute('ice-ufrag'), pwd: attribute('ice-pwd') };
      return { ice, fingerprints: [{ algorithm, value }], dtlsRole };
    },
    get dtls() {
      if (sender.transport === null) throw new Error('no transport before the answer');
      return sender.transport;
    },
    answer: (options) => connection.setRemoteDescription({ type: 'answer', sdp: answerSdp(options) }),
    async restart() {
      await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
    },
  };
}

function answerSdp({ local, fingerprint, setup, port }: AnswerOptions): string {
  return [
    'v=0',
    'o=- 1 1 IN IP4 0.0.0.0',
    's=-',
    't=0 0',
    'a=ice-lite',
    'a=group:BUNDLE 0',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    'c=IN IP4 0.0.0.0',
    'a=mid:0',
    'a=sendrecv',
    'a=msid:stream track',
    'a=ssrc:1234 cname:test',
    'a=rtcp-mux',
    `a=ice-ufrag:${local.ufrag}`,
    `a=ice-pwd:${local.pwd}`,
    `a=fingerprint:${fingerprint.algorithm} ${fingerprint.value}`,
    `a=setup:${setup}`,
    'a=rtpmap:111 opus/48000/2',
    `a=candidate:1 1 udp 2130706431 127.0.0.1 ${port} typ host`,
    'a=end-of-candidates',
    '',
  ].join('\r\n');
}
