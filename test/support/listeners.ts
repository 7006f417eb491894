/** Tracks and ids for tests of listeners' negotiations. */
import type { ListenerIds } from '../../media-node/negotiate/listener-sdp.ts';
import type { CodecName, WantedTrack } from '../../media-node/negotiate/plan.ts';
import { source } from './negotiation.ts';

export function countingIds(): ListenerIds {
  let ssrc = 1000;
  let id = 0;
  return { nextSsrc: () => ssrc++, nextId: () => `id${id++}` };
}

/** @param key `<stream>/<mid>` */
export function wantedTrack(key: string, name: CodecName, fmtp = ''): WantedTrack {
  const [stream = '', mid = ''] = key.split('/');
  return { ...source(name, fmtp, mid), key, stream, info: { purpose: 'guest', muted: false, label: `L-${mid}` } };
}
