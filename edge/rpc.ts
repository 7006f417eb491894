/**
 * What the Durable Objects offer to the Worker and to each other. Plain values in and out: a refusal is an `Outcome`,
 * never a thrown error, because a thrown one loses its type on the way.
 */
import type { Outcome, Problem } from '../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId, StreamId } from '../shared/ids.ts';
import type {
  Coordinates,
  DesiredLobby,
  DesiredRecording,
  DesiredStream,
  IngressReport,
  LiveReport,
  LobbyLoad,
  NodeCapacity,
  NodeLoad,
  NodeMethod,
  NodeRequest,
  NodeResult,
  RelayReport,
} from '../shared/protocol/control.ts';

/** One room: `env.LOBBY.getByName(lobbyId)`. Decides who publishes and where; knows where tracks are; keeps no viewer. */
export interface LobbyRpc {
  /**
   * Opens the publisher's session: 409 `publisher_exists` while another one holds the room, 503 `no_media_node`. `near`:
   * where the publisher is. `replaces`: the session of the present publisher, which the caller has proved to be its own:
   * this one is opened beside it and takes its place when it is connected.
   */
  publish(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string;
    near?: Coordinates | null;
    replaces?: SessionId | null;
  }): Promise<Outcome<{ answer: string; etag: string }>>;
  /**
   * Where a viewer at `near` is to be sent: a node that has the tracks or will have them in a moment. 404 `no_publisher`
   * (`no active publisher in room`), 409 `publisher_lost` with Retry-After (1 s) while the publisher’s grace runs, 403
   * `subscriber_limit`, 503 `no_media_node`. `exclude`: nodes that have just refused or could not be reached. `asker`: the
   * `Audience` object that will use the route for others too, and wants to hear when it is no good any more.
   */
  route(input: {
    lobby: LobbyId;
    near: Coordinates | null;
    exclude: NodeId[];
    asker: string | null;
  }): Promise<Outcome<Route>>;
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
  /** The latest keyframe as JPEG, base64: 404 `no_publisher`, 503 `no_picture`, 501 `no_ffmpeg`. */
  snapshot(input: { lobby: LobbyId }): Promise<Outcome<{ jpeg: string }>>;
  /** Says whether what is published here is recorded, and tells; without a wish it only tells. Null: it is not. */
  recording(input: { wish?: DesiredRecording | null }): Promise<DesiredRecording | null>;
  /** What `Fleet` lists for this lobby; null when nothing runs here. */
  summary(): Promise<{ hasPublisher: boolean; tracks: number } | null>;

  // From NodeLink.
  /** `draining`: the node takes nothing new and wants to be rid of what it has. */
  nodeReported(input: {
    node: NodeId;
    boot: BootId;
    ingress: IngressReport[];
    relays?: RelayReport[];
    draining?: boolean;
  }): Promise<void>;
  /** A node (re)linked: here is all it carries for this lobby; returns what it shall carry, null: nothing. */
  reconcile(input: {
    node: NodeId;
    boot: BootId;
    ingress: IngressReport[];
    relays?: RelayReport[];
  }): Promise<DesiredLobby | null>;
  nodeLost(input: { node: NodeId; boot: BootId }): Promise<void>;
}

/** Where viewers of a room are sent. */
export interface Route {
  node: NodeId;
  boot: BootId;
  /** The node refuses with 403 when it has this many already; 0: no limit. */
  maxSubscribers: number;
  /** So many may be sent there before the lobby is asked again. */
  seats: number;
}

/**
 * The door for viewers of one room from one part of the world: `env.AUDIENCE.getByName(lobby + '|' + shard)`. Remembers
 * where the lobby sends them, so that the lobby does not hear of each. Nothing is stored.
 */
export interface AudienceRpc {
  /**
   * Opens a viewer's session: refusals as `LobbyRpc.route` and as the node's. The session id is bound to the node that
   * carries it: the Worker writes both into the resource URL. `busy`: so many come that they should be spread over more of
   * these objects.
   */
  play(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string | null;
    near: Coordinates | null;
    /** The name of this object. */
    asker: string;
  }): Promise<Outcome<{ sdp: string; etag: string; node: NodeId }> & { busy: boolean }>;
  /** What was remembered of routes is no good any more. */
  forget(): Promise<void>;
}

/** What a space knows of one of its streams. Only its owner and its guests may enter its lobby. */
export interface StreamInfo {
  uuid: StreamId;
  title: string;
  /** A name as tokens carry it: `sub`, `uuid` or `userId@home`. It is the member's `user` everywhere in the lobby. */
  owner: string;
  /** Likewise; nobody is named twice, and the owner is not among them. */
  guests: string[];
}

/** One space: `env.SPACE.getByName(space)`. Asking it writes nothing. */
export interface SpaceRpc {
  /** Null: no such stream, or no such space. */
  stream(input: { stream: StreamId }): Promise<StreamInfo | null>;
  /** Creates the stream or takes the place of what is known of it; with `onlyNew`, what is there stays as it is. */
  put(input: { stream: StreamInfo; onlyNew: boolean }): Promise<'created' | 'updated' | 'exists'>;
  /** False: there was no such stream. */
  delete(input: { stream: StreamId }): Promise<boolean>;
  /**
   * Streams in order of their UUIDs, behind `after`; `member`: those whose owner or guest has one of these names, null:
   * all. `more`: there are others behind the last one.
   */
  list(input: {
    member: readonly string[] | null;
    after: StreamId | null;
    limit: number;
  }): Promise<{ streams: StreamInfo[]; more: boolean }>;
}

/** `starting` counts as online: it is on its way and nothing has gone wrong. */
export interface LiveStatus {
  /** The push that runs or ran last in this life of the lobby; null: none did. */
  live: string | null;
  isLive: boolean;
  isLobbyRunning: boolean;
  state: LiveReport['state'] | 'off';
  /** Why it does not run, without the stream key. */
  error: string | null;
}

/**
 * The lobby of one stream: `env.STREAM_LOBBY.getByName(streamLobbyId(space, stream))`. Members are let in by the Worker
 * (who they are, whether they may); the object keeps who is in, guards their sessions, and tells the node.
 */
export interface StreamLobbyRpc {
  /**
   * A user enters: 409 `session_exists` while the user has a session of this kind here, 503 `no_media_node`. A `fixed`
   * one (static WHIP) gets no token, and 404 `lobby_not_running` without a human in the lobby. `near`: where the user is.
   */
  join(input: {
    lobby: LobbyId;
    user: string;
    session: SessionId;
    fixed: boolean;
    offer: string;
    near?: Coordinates | null;
  }): Promise<Outcome<{ answer: string; etag: string; token: string | null }>>;
  /**
   * Checks a cookie's session and the request token of a call for `lobby`: 404 `no_session`, 403 `wrong_stream`, 403
   * `wrong_user` (a bearer of somebody else came along), 403 `bad_request_token`. When all is well the token is replaced.
   */
  guard(input: {
    session: SessionId;
    lobby: LobbyId;
    /** The names of whoever a bearer speaks for; null: none came along. */
    bearer: readonly string[] | null;
    token: string;
  }): Promise<Outcome<{ user: string; token: string }>>;
  /** The user of a member's or listener's session; null when there is no such session. */
  userOf(input: { session: SessionId }): Promise<string | null>;
  /** A member begins to receive: 404 `no_session`, 409 `listener_exists`, 409 `signal_closed` with Retry-After. */
  listen(input: {
    member: SessionId;
    session: SessionId;
    offer: string | null;
  }): Promise<Outcome<{ sdp: string; etag: string }>>;
  /** The answer to our offer, for a listener or for the listener of a member: 404 `no_session`, 422 `no_offer_pending`. */
  answer(input: { session: SessionId; answer: string }): Promise<Outcome<null>>;
  patch(input: {
    session: SessionId;
    fragment: string;
    ifMatch: string | null;
    strict: boolean;
  }): Promise<Outcome<NodeResult<'patch'>>>;
  probe(input: { session: SessionId }): Promise<Outcome<null>>;
  /** A member's session (with its listener), or a listener alone; 404 `no_session`. */
  leave(input: { session: SessionId }): Promise<Outcome<null>>;
  /** Opens a session for somebody in the audience, who gets the main tracks: 404 `no_main_track` without any. */
  watch(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string;
    near?: Coordinates | null;
  }): Promise<Outcome<{ sdp: string; etag: string; node: NodeId }>>;
  /** `url` holds the stream key: 404 `no_session`, 409 `already_live`, 409 `no_main_track`, 501 `no_ffmpeg`. */
  startLive(input: { session: SessionId; live: string; url: string }): Promise<Outcome<null>>;
  /** `live` null: whichever runs. 404 `not_live`. */
  stopLive(input: { live: string | null }): Promise<Outcome<null>>;
  liveStatus(): Promise<LiveStatus>;
  /** Says whether who is in the lobby is recorded, and tells; without a wish it only tells. Null: nobody is. */
  recording(input: { wish?: DesiredRecording | null }): Promise<DesiredRecording | null>;
  /** Ends the lobby whatever runs in it; 404 `lobby_not_running`. */
  close(): Promise<Outcome<null>>;

  // From NodeLink.
  nodeReported(input: NodeWord): Promise<void>;
  reconcile(input: NodeWord): Promise<DesiredStream | null>;
  nodeLost(input: { node: NodeId; boot: BootId }): Promise<void>;
}

/** What one life of a node says about one stream lobby. */
export interface NodeWord {
  node: NodeId;
  boot: BootId;
  ingress: IngressReport[];
  lives: LiveReport[];
  relays?: RelayReport[];
  draining?: boolean;
}

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

export interface NodeSnapshot {
  node: NodeId;
  boot: BootId;
  linked: boolean;
  region: string;
  /** Degrees: as the node said, or where its region is; null: nobody knows. */
  coordinates: Coordinates | null;
  version: string;
  /** Of its hello: below `FLEET_PROTOCOL_VERSION` it neither relays nor drains. */
  protocol: number;
  engine: 'portable' | 'native';
  addresses: string[];
  capacity: NodeCapacity;
  load: NodeLoad;
  /** It takes nothing new: it says so, or an operator wants it so. */
  draining: boolean;
  /** Unix ms of the last word. */
  seenAt: number;
}

/** What operators see of a node. */
export interface NodeStatus extends NodeSnapshot {
  /** Unix ms; null while it is not draining. */
  drainingSince: number | null;
  /** As the operator wished who ordered it; null: nobody did, or the node drains for its own reasons. */
  drainTimeoutMs: number | null;
  /** Sums over `lobbies`. */
  totals: { lobbies: number; subscribers: number; relaysFrom: number; relaysTo: number };
  /** What is there of each lobby: viewers (relays are not counted), and which nodes its tracks come from and go to. */
  lobbies: Required<LobbyLoad>[];
}

/** All nodes at one moment of the fleet's clock, as text: it is made once for all who ask in the same moment. */
export interface FleetSnapshot {
  /** Unix ms, of the same clock as `seenAt`. */
  takenAt: number;
  /** JSON of `NodeSnapshot[]`, without addresses. */
  nodes: string;
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
   * The node for a new publisher; 503 `no_media_node` with Retry-After when nothing fits. `prefer`: where the viewers are;
   * `near`: where the publisher is; `exclude`: nodes that have just turned out to be unreachable.
   */
  place(input: {
    lobby: LobbyId;
    prefer: NodeId | null;
    near?: Coordinates | null;
    exclude?: NodeId[];
  }): Promise<Outcome<{ node: NodeId; boot: BootId }>>;
  /** Viewers of one lobby by node, as last reported. */
  viewersOf(input: { lobby: LobbyId }): Promise<{ node: NodeId; subscribers: number }[]>;
  /** For the caches of those who place viewers (`fleet/snapshot-cache.ts`). */
  snapshot(): Promise<FleetSnapshot>;
  /**
   * Nothing new goes to the node from now on, and it is asked to empty itself within `timeoutMs`. Again: the same, with the
   * shorter time. 404 `no_node`; 501 `drain_not_supported` by a node that is too old.
   */
  drain(input: { node: NodeId; timeoutMs: number }): Promise<Outcome<NodeStatus>>;
  nodeUpdated(input: { snapshot: NodeSnapshot; lobbies: LobbyLoad[] }): Promise<void>;
  /** The link is down: nothing new goes there, but it may come back and what it carries is still its own. */
  nodeUnlinked(input: { node: NodeId; boot: BootId }): Promise<void>;
  /** It did not come back in time: forgotten. */
  nodeGone(input: { node: NodeId; boot: BootId }): Promise<void>;
  nodes(): Promise<NodeStatus[]>;
  lobbyUpdated(input: { lobby: LobbyId; hasPublisher: boolean; tracks: number }): Promise<void>;
  lobbyEnded(input: { lobby: LobbyId }): Promise<void>;
  rooms(): Promise<RoomSummary[]>;
}

export type { Problem };
