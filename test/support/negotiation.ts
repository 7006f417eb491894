/** Local ends of negotiations in tests: fixed, so that a failure reads the same every time. */
import type { LocalTransport, SourceTrackInfo } from '../../media-node/negotiate/plan.ts';
import type { SenderIds } from '../../media-node/negotiate/sender-lines.ts';

export const LOCAL: LocalTransport = {
  ice: { ufrag: 'localufrag', pwd: 'localpasswordlocalpassword' },
  fingerprint: { algorithm: 'sha-256', value: Array.from({ length: 32 }, () => 'A1').join(':') },
  candidates: [
    { address: '127.0.0.1', port: 50_000, family: 4 },
    { address: '2001:db8::1', port: 50_000, family: 6 },
  ],
};

export function fixedIds(): SenderIds {
  let next = 1000;
  return { cname: 'cname', streamId: 'stream', nextSsrc: () => next++ };
}

export function source(name: SourceTrackInfo['codec']['name'], fmtp = '', mid = 'source'): SourceTrackInfo {
  const audio = name === 'opus' || name === 'PCMU' || name === 'PCMA';
  const clockRate = audio ? (name === 'opus' ? 48_000 : 8_000) : 90_000;
  const kind = audio ? 'audio' : 'video';
  return { mid, kind, codec: { name, kind, clockRate, channels: name === 'opus' ? 2 : 1, fmtp } };
}
