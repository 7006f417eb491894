/** What the object of a media node offers to the Worker and to other objects. */
import type { Outcome } from '../../shared/errors.ts';
import type { BootId, NodeId } from '../../shared/ids.ts';
import type { NodeMethod, NodeRequest, NodeResult } from '../../shared/protocol/control.ts';

/** One media node: `env.NODE_LINK.getByName(nodeId)`. Holds the WebSocket, correlates requests, watches the pings. */
export interface NodeLinkRpc {
  /**
   * Sends one request and waits for its response: the problem of the node, or 503 `node_unreachable` when no link is (or
   * comes back within a moment), 504 `node_timeout` after the deadline (default `REQUEST_DEADLINE_MS`), 502 `node_error`
   * when the response does not fit the method. With `boot`, a node that has been restarted since counts as unreachable.
   * 501 `node_too_old` at once for a method that the node's protocol version does not have. `probe` and `patch` get 404
   * `no_session` as soon as the node is given up.
   */
  request<M extends NodeMethod>(
    request: Extract<NodeRequest, { method: M }>,
    deadlineMs?: number,
    boot?: BootId,
  ): Promise<Outcome<NodeResult<M>>>;
  /** Has the fleet told what is known of this node now; the fleet asks it after a restart. */
  announce(input: { node: NodeId; boot: BootId }): Promise<void>;
}
