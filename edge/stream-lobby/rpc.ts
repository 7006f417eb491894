/** What the object of a stream’s lobby offers to the Worker and to other objects. */
import type { Outcome } from '../../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type {
  Coordinates,
  DesiredRecording,
  DesiredStream,
  IngressReport,
  LiveReport,
  NodeResult,
  RelayReport,
} from '../../shared/protocol/control.ts';

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
   * `replaces`: a session of the same user and kind, which goes on until this one stands on another node: 403
   * `not_your_session`, 404 `no_session`. `lineage` is what the cookie names: the member's first session.
   */
  join(input: {
    lobby: LobbyId;
    user: string;
    session: SessionId;
    fixed: boolean;
    offer: string;
    near?: Coordinates | null;
    replaces?: SessionId | null;
  }): Promise<Outcome<{ answer: string; etag: string; token: string | null; lineage: SessionId }>>;
  /**
   * Checks a cookie's session and the request token of a call for `lobby`: 404 `no_session`, 403 `wrong_stream`, 403
   * `wrong_user` (a bearer of somebody else came along), 403 `bad_request_token`. When all is well the token is replaced.
   * The result's `session` is the one whose token it was: a member who moves has two.
   */
  guard(input: {
    session: SessionId;
    lobby: LobbyId;
    /** The names of whoever a bearer speaks for; null: none came along. */
    bearer: readonly string[] | null;
    token: string;
  }): Promise<Outcome<{ user: string; session: SessionId; token: string }>>;
  /**
   * Whose session this is, a listener's included; null when there is no such session. A member's first one names the member
   * as long as any other of its `lineage` is there.
   */
  ownerOf(input: { session: SessionId }): Promise<{ user: string; lineage: SessionId } | null>;
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
  /**
   * A member's session (with its listener), or a listener alone; 404 `no_session`. `whole`: the member with all of its
   * sessions, by any of them.
   */
  leave(input: { session: SessionId; whole?: boolean }): Promise<Outcome<null>>;
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
  /** The stream has these people now: whoever else is in the lobby is sent out. */
  keep(input: { users: readonly string[] }): Promise<void>;
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
