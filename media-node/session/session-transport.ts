/** The transport of a session, with the patience that all sessions have. */
import type { LocalTransport, RemoteTransport } from '../negotiate/plan.ts';
import type { PeerTransport, PeerTransportEvents } from '../transport/types.ts';
import { CONNECT_TIMEOUT_MS, type NodeContext, PEER_EXPIRY_MS, PUBLISHER_SILENCE_MS } from './context.ts';

export interface Patience {
  /** With a peer that says nothing: until it counts as silent, in ms. */
  silenceMs?: number;
  /** And until it is gone. */
  expiryMs?: number;
}

/** @param remote null while our own offer is unanswered */
export function openTransport(
  context: NodeContext,
  local: LocalTransport,
  remote: RemoteTransport | null,
  events: PeerTransportEvents,
  { silenceMs = PUBLISHER_SILENCE_MS, expiryMs = PEER_EXPIRY_MS }: Patience = {},
): PeerTransport {
  return context.endpoint.createTransport({
    local: local.ice,
    remote,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    silenceMs,
    expiryMs,
    events,
  });
}
