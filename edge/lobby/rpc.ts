/** What the object of a room offers to the Worker and to other objects. */
import type { Outcome } from '../../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type {
  Coordinates,
  DesiredLobby,
  DesiredRecording,
  IngressReport,
  NodeResult,
  RelayReport,
} from '../../shared/protocol/control.ts';

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
