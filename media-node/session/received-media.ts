/** What is received over a transport, from a publisher or by a relay. */
import type { IngressMedia, IngressMediaOptions, IngressTrackStats } from '../forward/types.ts';
import type { PeerTransport } from '../transport/types.ts';
import type { NodeContext } from './context.ts';

/** Once the transport is connected. Its owner hands datagrams to what comes back, and closes it. */
export function receiveMedia(
  context: NodeContext,
  transport: PeerTransport,
  { tracks, keys }: Pick<IngressMediaOptions, 'tracks' | 'keys'>,
): IngressMedia {
  return context.forwarder.openIngress(
    {
      tracks,
      keys,
      send: (datagram) => transport.send(datagram),
      openInbound: (inbound, listener) => transport.openInbound?.(inbound, listener) ?? false,
      onAuthenticated: (nowMs) => transport.noteAuthenticated(nowMs),
    },
    context.now(),
  );
}

/** A video has to begin with a keyframe; where there is none, any packet will do. */
export function showsSomething(tracks: readonly IngressTrackStats[]): boolean {
  const videos = tracks.filter(({ kind }) => kind === 'video');
  return videos.length > 0
    ? videos.some(({ layers }) => layers.some(({ keyframes }) => keyframes > 0))
    : tracks.some(({ layers }) => layers.some(({ packets }) => packets > 0));
}
