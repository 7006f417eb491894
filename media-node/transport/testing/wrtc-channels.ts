/** libwebrtc (@roamhq/wrtc) with data channels only, answered by hand-made SDP. */

import { createRequire } from 'node:module';
import { MAX_MESSAGE_BYTES } from '../data-channels.ts';
import type { PeerTransportOptions } from '../types.ts';

export interface WrtcChannel {
  readonly label: string;
  readonly readyState: 'connecting' | 'open' | 'closing' | 'closed';
  readonly ordered: boolean;
  binaryType: 'arraybuffer';
  send(data: string | Uint8Array): void;
  close(): void;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null;
}

interface WrtcConnection {
  readonly localDescription: { sdp: string } | null;
  createDataChannel(label: string, options?: { ordered?: boolean; maxRetransmits?: number }): WrtcChannel;
  createOffer(): Promise<unknown>;
  setLocalDescription(description: unknown): Promise<void>;
  setRemoteDescription(description: { type: 'answer'; sdp: string }): Promise<void>;
  addEventListener(type: 'datachannel', listener: (event: { channel: WrtcChannel }) => void): void;
  close(): void;
}

/** By `require`: the package's native part does not survive being loaded twice. */
const wrtc = createRequire(import.meta.url)('@roamhq/wrtc') as { RTCPeerConnection: new () => WrtcConnection };

export interface WrtcChannels {
  readonly connection: WrtcConnection;
  readonly remote: NonNullable<PeerTransportOptions['remote']>;
  answer(options: {
    local: { ufrag: string; pwd: string };
    fingerprint: { algorithm: string; value: string };
    port: number;
  }): Promise<void>;
}

/** @param open creates the first channel, without which nothing would be offered */
export async function openWrtcChannels(open: (connection: WrtcConnection) => void): Promise<WrtcChannels> {
  const connection = new wrtc.RTCPeerConnection();
  open(connection);
  await connection.setLocalDescription(await connection.createOffer());
  const attribute = (name: string): string => {
    const value = new RegExp(`^a=${name}:(.*)\r$`, 'm').exec(connection.localDescription?.sdp ?? '')?.[1];
    if (value === undefined) throw new Error(`the offer has no ${name}`);
    return value;
  };
  const [algorithm = '', value = ''] = attribute('fingerprint').split(' ');
  return {
    connection,
    remote: {
      ice: { ufrag: attribute('ice-ufrag'), pwd: attribute('ice-pwd') },
      fingerprints: [{ algorithm, value }],
      dtlsRole: 'server',
    },
    answer: ({ local, fingerprint, port }) =>
      connection.setRemoteDescription({
        type: 'answer',
        sdp: [
          'v=0',
          'o=- 1 1 IN IP4 0.0.0.0',
          's=-',
          't=0 0',
          'a=ice-lite',
          'a=group:BUNDLE 0',
          'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
          'c=IN IP4 0.0.0.0',
          'a=mid:0',
          `a=ice-ufrag:${local.ufrag}`,
          `a=ice-pwd:${local.pwd}`,
          `a=fingerprint:${fingerprint.algorithm} ${fingerprint.value}`,
          'a=setup:passive',
          'a=sctp-port:5000',
          `a=max-message-size:${MAX_MESSAGE_BYTES}`,
          `a=candidate:1 1 udp 2130706431 127.0.0.1 ${port} typ host`,
          'a=end-of-candidates',
          '',
        ].join('\r\n'),
      }),
  };
}
