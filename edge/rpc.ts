/**
 * What the Durable Objects offer to the Worker and to each other. Plain values in and out: a refusal is an `Outcome`,
 * never a thrown error, because a thrown one loses its type on the way.
 */
import type { Outcome, Problem } from '../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId } from '../shared/ids.ts';
import type {
  DesiredLobby,
  IngressReport,
  LobbyLoad,
  NodeLoad,
  NodeMethod,
  NodeRequest,
  NodeResult,
} from '../shared/protocol/control.ts';

/** One room: `env.LOBBY.getByName(lobbyId)`. Decides who publishes and where; knows where tracks are; keeps no viewer. */
export interface LobbyRpc {
  /** Opens the publisher's session: 409 `publisher_exists` while another one holds the room, 503 `no_media_node`. */
  publish(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string;
  }): Promise<Outcome<{ answer: string; etag: string }>>;
  /**
   * Opens a viewer's session on the node that has the tracks: 404 `no_publisher` (`no active publisher in room`), 409
   * `publisher_lost` with Retry-After while the publisher's grace runs, 403 `subscriber_limit`.
   * The session id is bound to the node that carries it: the Worker writes both into the resource URL.
   */
  play(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string | null;
  }): Promise<Outcome<{ sdp: string; etag: string; node: NodeId }>>;
  /** PATCH, GET and DELETE of the publisher's resource; 404 `no_session` when the room has no such publisher. */
  patch(input: {
    session: SessionId;
    fragment: string;
    ifMatch: string | null;
    strict: boolean;
  }): Promise<Outcome<NodeResult<'patch'>>>;
  probe(input: { session: SessionId }): Promise<Outcome<null>>;
  unpublish(input: { session: SessionId }): Promise<Outcome<null>>;
  /** Ends the room whatever runs in it; 404 `no_room` when nothing does. */
  closeRoom(): Promise<Outcome<null>>;
  /** What `Fleet` lists for this lobby; null when nothing runs here. */
  summary(): Promise<{ hasPublisher: boolean; tracks: number } | null>;

  // From NodeLink.
  nodeReported(input: { node: NodeId; boot: BootId; ingress: IngressReport[] }): Promise<void>;
  /** A node (re)linked: here is all it carries for this lobby; returns what it shall carry, null: nothing. */
  reconcile(input: { node: NodeId; boot: BootId; ingress: IngressReport[] }): Promise<DesiredLobby | null>;
  nodeLost(input: { node: NodeId; boot: BootId }): Promise<void>;
}

/** One media node: `env.NODE_LINK.getByName(nodeId)`. Holds the WebSocket, correlates requests, watches the pings. */
export interface NodeLinkRpc {
  /**
   * Sends one request and waits for its response: the problem of the node, or 503 `node_unreachable` when no link is (or
   * comes back within a moment), 504 `node_timeout` after the deadline (default `REQUEST_DEADLINE_MS`), 502 `node_error`
   * when the response does not fit the method. With `boot`, a node that has been restarted since counts as unreachable.
   */
  request<M extends NodeMethod>(
    request: Extract<NodeRequest, { method: M }>,
    deadlineMs?: number,
    boot?: BootId,
  ): Promise<Outcome<NodeResult<M>>>;
  /** Has the fleet told what is known of this node now; the fleet asks it after a restart. */
  announce(input: { node: NodeId; boot: BootId }): Promise<void>;
}

export interface NodeSnapshot {
  node: NodeId;
  boot: BootId;
  linked: boolean;
  region: string;
  version: string;
  engine: 'portable' | 'native';
  addresses: string[];
  capacity: { sessions: number };
  load: NodeLoad;
  /** Unix ms of the last word. */
  seenAt: number;
}

export interface RoomSummary {
  name: string;
  hasPublisher: boolean;
  tracks: number;
  subscribers: number;
}

/** All nodes and all rooms: `env.FLEET.getByName('fleet')`. */
export interface FleetRpc {
  /**
   * The node for a new publisher; 503 `no_media_node` with Retry-After when nothing fits. `exclude`: nodes that have just
   * turned out to be unreachable.
   */
  place(input: {
    lobby: LobbyId;
    prefer: NodeId | null;
    exclude?: NodeId[];
  }): Promise<Outcome<{ node: NodeId; boot: BootId }>>;
  nodeUpdated(input: { snapshot: NodeSnapshot; lobbies: LobbyLoad[] }): Promise<void>;
  /** The link is down: nothing new goes there, but it may come back and what it carries is still its own. */
  nodeUnlinked(input: { node: NodeId; boot: BootId }): Promise<void>;
  /** It did not come back in time: forgotten. */
  nodeGone(input: { node: NodeId; boot: BootId }): Promise<void>;
  nodes(): Promise<NodeSnapshot[]>;
  lobbyUpdated(input: { lobby: LobbyId; hasPublisher: boolean; tracks: number }): Promise<void>;
  lobbyEnded(input: { lobby: LobbyId }): Promise<void>;
  rooms(): Promise<RoomSummary[]>;
}

export type { Problem };
