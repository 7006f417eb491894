/** One key has one owner: what a peer sends is opened by the sockets, in batches, when they can, and here otherwise. */
import type { InboundKeys, InboundListener, SrtpKeys } from '../../transport/types.ts';
import { deriveSessionKeys, keyBytes } from './session-keys.ts';
import { SrtpReceiver } from './srtp-receiver.ts';

/** `PeerTransport.openInbound`: true when the sockets took the keys. */
export type OpenInbound = (keys: InboundKeys, listener: InboundListener) => boolean;

/** Null: the sockets open this peer's media and call `listener` with it. */
export function openInboundMedia(
  keys: SrtpKeys,
  openInbound: OpenInbound | undefined,
  listener: InboundListener,
): SrtpReceiver | null {
  const session = deriveSessionKeys(keys.profile, keys.remoteKey, keys.remoteSalt);
  const taken = openInbound?.({ profile: keys.profile, bytes: keyBytes(session) }, listener) ?? false;
  return taken ? null : new SrtpReceiver(session);
}
