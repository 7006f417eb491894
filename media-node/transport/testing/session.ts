/** What the session layer does with a transport, reduced to notes. */
import type { Fingerprint } from '../../negotiate/plan.ts';
import { mintIceCredentials } from '../ice-credentials.ts';
import type { PeerTransport, PeerTransportOptions, SrtpKeys } from '../types.ts';
import { openMediaEndpoint, type UdpMediaEndpoint } from '../udp-endpoint.ts';

export const LOOPBACK = { bind: '127.0.0.1', announce: '127.0.0.1', family: 4 } as const;

export function openLoopback(): Promise<UdpMediaEndpoint> {
  return openMediaEndpoint({ addresses: [LOOPBACK], port: 0 });
}

export interface Session {
  readonly transport: PeerTransport;
  readonly local: { ufrag: string; pwd: string };
  /** `connected`, `silent`, `heard`, or why it ended. */
  readonly log: string[];
  readonly media: Buffer[];
  keys: SrtpKeys | null;
}

export const NO_PEER: NonNullable<PeerTransportOptions['remote']> = {
  ice: { ufrag: 'peer', pwd: 'password-of-the-peer-here' },
  fingerprints: [],
  dtlsRole: 'server',
};

export function openSession(endpoint: UdpMediaEndpoint, options: Partial<PeerTransportOptions> = {}): Session {
  const local = options.local ?? mintIceCredentials();
  const log: string[] = [];
  const media: Buffer[] = [];
  const transport = endpoint.createTransport({
    remote: NO_PEER,
    // Peers of tests say nothing for as long as a slow machine needs; silence is for those that ask for it.
    connectTimeoutMs: 120_000,
    silenceMs: 300_000,
    expiryMs: 600_000,
    ...options,
    local,
    events: {
      onConnected(keys) {
        session.keys = keys;
        log.push('connected');
      },
      onMedia: (datagram) => void media.push(Buffer.from(datagram)),
      onSilence: (silent) => void log.push(silent ? 'silent' : 'heard'),
      onEnded: (reason) => void log.push(reason),
    },
  });
  const session: Session = { transport, local, log, media, keys: null };
  return session;
}

export function fingerprintLine({ algorithm, value }: Fingerprint): string {
  return `${algorithm} ${value}`;
}
