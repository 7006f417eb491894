/**
 * The control protocol between the edge and a media node: JSON text frames over one WebSocket per node, dialled by the
 * node (`GET /node/link`, `Authorization: Bearer NODE_TOKEN`, `Vestibule-Node: <node id>`).
 *
 *   node → edge   hello      who I am, what I carry now (the full report)
 *   edge → node   welcome    what you shall carry now (the full desired state)
 *   edge → node   request    somebody waits for this; correlated by `id`, answered before `deadlineMs`
 *   node → edge   response
 *   node → edge   report     something I carry has changed; everything in it can be recomputed from my present state
 *   both          ping/pong  text frames "ping" and "pong" outside this schema, so that the runtime can answer for a
 *                            hibernating edge object
 *
 * Both ends parse every frame with these schemas and drop what does not fit.
 */
import { z } from 'zod';
import { problemSchema } from '../errors.ts';
import { bootIdSchema, lobbyIdSchema, nodeIdSchema, sessionIdSchema } from '../ids.ts';

/** Raised when a change is not understood by the version before it; ends one version apart must still agree. */
export const CONTROL_PROTOCOL_VERSION = 2;
/** Nodes of this version and later relay, drain and record; an earlier one is never asked to. */
export const FLEET_PROTOCOL_VERSION = 2;

export const PING_FRAME = 'ping';
export const PONG_FRAME = 'pong';
/** The node pings this often. */
export const PING_INTERVAL_MS = 2_000;
/** A link without a ping for this long is dead, whatever TCP says; with the check's own interval a dead node is known within 10 s. */
export const LINK_SILENCE_MS = 6_000;
/** A node whose link closed has this long to dial again before its sessions are declared lost. */
export const RELINK_GRACE_MS = 5_000;
/** Default deadline of a request. OBS gives up on a POST after 8 s (protocol.md #29). */
export const REQUEST_DEADLINE_MS = 5_000;

// ---- what a node carries ------------------------------------------------------------------------------------------

export const mediaKindSchema = z.enum(['audio', 'video']);
export type MediaKind = z.infer<typeof mediaKindSchema>;

/**
 * What a member says of a track in its `i=` line: `<1 guest | 2 main> <1 muted | 2 not> <label>`. `main` tracks are what
 * goes on air.
 */
export const trackInfoSchema = z.object({
  purpose: z.enum(['guest', 'main']),
  muted: z.boolean(),
  /** No white space. */
  label: z.string().min(1).max(64),
});
export type TrackInfo = z.infer<typeof trackInfoSchema>;

/** A track received from a publisher, as the outside may know it. */
export const trackReportSchema = z.object({
  mid: z.string(),
  kind: mediaKindSchema,
  /** RTP encoding name in its registered spelling: `opus`, `VP8`, `H264`, … */
  codec: z.string(),
  /** Simulcast rids; empty without simulcast. */
  rids: z.array(z.string()),
  /** Of a member's track, with the present mute; absent in rooms. */
  info: trackInfoSchema.optional(),
});
export type TrackReport = z.infer<typeof trackReportSchema>;

/**
 * `connecting` until ICE and DTLS are up; `connected`; `silent` when a connected peer sent nothing for the silence time
 * (it may come back); `closed` is final.
 */
export const sessionStateSchema = z.enum(['connecting', 'connected', 'silent', 'closed']);
export type SessionState = z.infer<typeof sessionStateSchema>;

/**
 * Why a session is `closed`: `peer-closed` by its own DTLS close_notify; `never-connected` in the time that connecting
 * may take; `dtls-failed`; `silence` for too long; `misconduct`: it floods its signal channel; `replaced` by a publisher
 * that took the room over; `requested` by the edge.
 */
export const closeReasonSchema = z.enum([
  'peer-closed',
  'never-connected',
  'dtls-failed',
  'silence',
  'misconduct',
  'replaced',
  'requested',
]);
export type CloseReason = z.infer<typeof closeReasonSchema>;

/** An ingress session. Egress sessions are many and the edge keeps no state for each: they are counted in `LobbyLoad`. */
export const ingressReportSchema = z.object({
  lobby: lobbyIdSchema,
  session: sessionIdSchema,
  generation: z.int().nonnegative(),
  state: sessionStateSchema,
  /** Only with `closed`. */
  reason: closeReasonSchema.optional(),
  tracks: z.array(trackReportSchema),
  /** Of a member of a stream lobby: its egress session, as long as it has one. */
  listener: z.object({ session: sessionIdSchema, state: sessionStateSchema }).optional(),
});
export type IngressReport = z.infer<typeof ingressReportSchema>;

/**
 * A relay that this node pulls: the upstream by which it gets the tracks of one publisher that another node receives.
 * `idle`: nobody here has wanted them for a while (no viewer, no listener, no relay further down, no recording).
 */
export const relayReportSchema = z.object({
  lobby: lobbyIdSchema,
  session: sessionIdSchema,
  generation: z.int().nonnegative(),
  state: sessionStateSchema,
  /** Only with `closed`. */
  reason: closeReasonSchema.optional(),
  idle: z.boolean(),
});
export type RelayReport = z.infer<typeof relayReportSchema>;

export const lobbyLoadSchema = z.object({
  lobby: lobbyIdSchema,
  /** Egress sessions of viewers that are open here (connecting or connected). Relays to other nodes are not counted. */
  subscribers: z.int().nonnegative(),
  /** The other ends of the relays that are open here: which nodes tracks come from and go to. Absent: there are none. */
  relays: z.object({ from: z.array(nodeIdSchema), to: z.array(nodeIdSchema) }).optional(),
});
export type LobbyLoad = z.infer<typeof lobbyLoadSchema>;

export const nodeLoadSchema = z.object({
  /** Ingress and egress sessions together. */
  sessions: z.int().nonnegative(),
  /** Packets per second in and out, over the last report interval. */
  packetsPerSecond: z.number().nonnegative(),
  /** CPU of the process over the last report interval, 1 = one core. */
  cpu: z.number().nonnegative(),
  /** Bytes per second sent, over the last report interval. */
  bytesOutPerSecond: z.number().nonnegative().optional(),
});
export type NodeLoad = z.infer<typeof nodeLoadSchema>;

// ---- desired state ------------------------------------------------------------------------------------------------

/** A relay that a node shall pull and keep. It begins with the request `relay-pull`; when it ends, the edge opens another. */
export const desiredRelaySchema = z.object({
  session: sessionIdSchema,
  generation: z.int().nonnegative(),
  /** The node that serves it. */
  upstream: nodeIdSchema,
});
export type DesiredRelay = z.infer<typeof desiredRelaySchema>;

/** What shall be recorded of a lobby: one file per publisher that this node receives itself (never of a relay). */
export const desiredRecordingSchema = z.object({ format: z.enum(['mp4', 'webm', 'raw']) });
export type DesiredRecording = z.infer<typeof desiredRecordingSchema>;

/**
 * What the edge wants one node to carry for one lobby. Revisions only grow; a node ignores one lower than it has seen.
 * Applying the same one twice changes nothing.
 */
export const desiredLobbySchema = z.object({
  lobby: lobbyIdSchema,
  revision: z.int().nonnegative(),
  /** The ingress session that may publish here; null: none, and without a `relay` every egress session of the lobby ends. */
  publisher: z.object({ session: sessionIdSchema, generation: z.int().nonnegative() }).nullable(),
  /**
   * Where the tracks come from when the publisher is on another node. Never beside a publisher. While one is desired the
   * viewers stay, whether or not that relay is up: another may take its place.
   */
  relay: desiredRelaySchema.nullish(),
  recording: desiredRecordingSchema.nullish(),
});
export type DesiredLobby = z.infer<typeof desiredLobbySchema>;

/**
 * The same for a stream lobby: who may be here, and what goes on air. A member's session that is not listed ends, and its
 * listener with it; so does a listener that is not listed.
 */
export const desiredStreamSchema = z.object({
  lobby: lobbyIdSchema,
  revision: z.int().nonnegative(),
  members: z.array(
    z.object({
      session: sessionIdSchema,
      generation: z.int().nonnegative(),
      listener: sessionIdSchema.nullable(),
    }),
  ),
  /**
   * Members whose tracks come from other nodes: `session` is the member's, `relay` the session that brings its tracks
   * here; `tracks` as its own node reports them, with the present mute.
   */
  remotes: z
    .array(
      z.object({
        session: sessionIdSchema,
        generation: z.int().nonnegative(),
        relay: desiredRelaySchema,
        tracks: z.array(trackReportSchema),
      }),
    )
    .optional(),
  recording: desiredRecordingSchema.nullish(),
  /** True: its audience stays and waits for main tracks, though neither a member nor a remote is listed. */
  audience: z.boolean().optional(),
  /** Push the main tracks to `url` (with the stream key in it: never logged); null: off air. */
  live: z.object({ live: z.string(), url: z.string() }).nullable(),
});
export type DesiredStream = z.infer<typeof desiredStreamSchema>;

/** How a push to an RTMP server fares. */
export const liveReportSchema = z.object({
  lobby: lobbyIdSchema,
  live: z.string(),
  /** `starting` until the server took the stream; `online`; `retrying` after a failure, while live; `ended`. */
  state: z.enum(['starting', 'online', 'retrying', 'ended']),
  /** Why it does not run, in one line without the stream key. */
  error: z.string().optional(),
});
export type LiveReport = z.infer<typeof liveReportSchema>;

// ---- requests: edge → node ------------------------------------------------------------------------------------------

/** `a=ice-server` links are the edge's business; what the node needs to know of an offer's context is here. */
const openPublish = z.object({
  method: z.literal('publish'),
  lobby: lobbyIdSchema,
  revision: z.int().nonnegative(),
  session: sessionIdSchema,
  generation: z.int().nonnegative(),
  offer: z.string(),
  /**
   * The lost session whose viewers this one takes over when its codecs match; when they do not match, the viewers are
   * closed (they reconnect and negotiate anew). Null for a new room.
   */
  replaces: sessionIdSchema.nullable(),
});
const openPlay = z.object({
  method: z.literal('play'),
  lobby: lobbyIdSchema,
  session: sessionIdSchema,
  /** The player's offer; null when the node shall make the offer (legacy empty POST). */
  offer: z.string().nullable(),
  /** Refuse with 403 `subscriber_limit` when the lobby has this many already; 0: no limit. Checked and taken atomically. */
  maxSubscribers: z.int().nonnegative(),
});
/** The player's answer to an offer of ours. 422 `no_offer_pending` when none is awaited. */
const acceptAnswer = z.object({
  method: z.literal('answer'),
  session: sessionIdSchema,
  answer: z.string(),
});
/** `PATCH application/trickle-ice-sdpfrag`. The node owns the ICE state, so it compares the tag and applies in one step. */
const patchIce = z.object({
  method: z.literal('patch'),
  session: sessionIdSchema,
  fragment: z.string(),
  /** The `If-Match` field value as it came; null when absent. */
  ifMatch: z.string().nullable(),
  /** Missing `If-Match` is refused with 428, and tags must be quoted strong tags. */
  strict: z.boolean(),
});
/** Is it there? Answers GET and HEAD on the resource. */
const probe = z.object({ method: z.literal('probe'), session: sessionIdSchema });
/** 404 `no_session` when it is not there. Closing the publisher's session this way is the lobby's business (`apply`). */
const close = z.object({ method: z.literal('close'), session: sessionIdSchema });
/** Make it so, then answer. */
const apply = z.object({ method: z.literal('apply'), desired: desiredLobbySchema });
/**
 * A member enters a stream lobby (WHIP): any number of tracks, none included, and a data channel that becomes the signal
 * channel. `fixed`: a client without one (static WHIP), whose tracks are main.
 */
const join = z.object({
  method: z.literal('join'),
  lobby: lobbyIdSchema,
  revision: z.int().nonnegative(),
  session: sessionIdSchema,
  generation: z.int().nonnegative(),
  fixed: z.boolean(),
  offer: z.string(),
});
/**
 * A member begins to receive the others (WHEP). Without `offer` the answer is our offer number 0, answered by `answer`; the
 * others' tracks follow by offers on the signal channel. With `offer` (a client that cannot take offers over HTTP) the
 * result is an answer, and further tracks follow the same way. Waits for the signal channel: 409 `signal_closed` with
 * Retry-After when it does not open in time; 409 `listener_exists`; 404 `no_session` without that member.
 */
const listen = z.object({
  method: z.literal('listen'),
  lobby: lobbyIdSchema,
  member: sessionIdSchema,
  session: sessionIdSchema,
  offer: z.string().nullable(),
});
/**
 * Make it so, then answer. When only the push cannot begin here (no ffmpeg: 501 `no_ffmpeg`, with words on how to install
 * it), everything else is done all the same and the answer is that problem; the edge then asks for no push any more.
 */
const applyStream = z.object({ method: z.literal('apply-stream'), desired: desiredStreamSchema });

/**
 * To the node that has the tracks (its publisher's, or by a relay of its own): offer them to another node. The result is
 * an SDP offer, answered by `answer`; an unanswered one is dropped. Each m-section has the mid of the track that it carries.
 * `source`: the member whose tracks are meant in a stream lobby; null: the room's. 404 `no_publisher`, `no_session`.
 */
const relayOffer = z.object({
  method: z.literal('relay-offer'),
  lobby: lobbyIdSchema,
  session: sessionIdSchema,
  downstream: nodeIdSchema,
  source: sessionIdSchema.nullable(),
});
/**
 * To the node that wants the tracks: take this offer of the upstream and dial it (from a UDP port of its own, ICE
 * controlling). It takes the place of an earlier relay of the same source; viewers stay when the codecs match. `tracks` as
 * the publisher's node reports them. 503 `node_full`; 409 `publisher_here`.
 */
const relayPull = z.object({
  method: z.literal('relay-pull'),
  lobby: lobbyIdSchema,
  revision: z.int().nonnegative(),
  relay: desiredRelaySchema,
  /** As in `relay-offer`. `generation` of the member. */
  source: z.object({ session: sessionIdSchema, generation: z.int().nonnegative() }).nullable(),
  tracks: z.array(trackReportSchema),
  offer: z.string(),
});
/**
 * Take nothing new, ask those who understand it to move (`reconnect`), end what is left after `timeoutMs`, then leave:
 * the process ends with code 0. Again while it drains: only a shorter time counts.
 */
const drain = z.object({ method: z.literal('drain'), timeoutMs: z.int().nonnegative() });

/**
 * The newest keyframe as a JPEG: of a room's publisher (`session` null), or of a member. Made at most once a second, the
 * same answer for all who ask meanwhile. 404 `no_publisher`: no video comes from it; 501 `no_ffmpeg`; 503 `no_picture`:
 * no keyframe came in time.
 */
const snapshot = z.object({
  method: z.literal('snapshot'),
  lobby: lobbyIdSchema,
  session: sessionIdSchema.nullable(),
});
/** Base64 of 1 MB. */
const MAX_SNAPSHOT_CHARACTERS = 1_400_000;

export const requestSchema = z.discriminatedUnion('method', [
  openPublish,
  openPlay,
  acceptAnswer,
  patchIce,
  probe,
  close,
  apply,
  join,
  listen,
  applyStream,
  relayOffer,
  relayPull,
  drain,
  snapshot,
]);
export type NodeRequest = z.infer<typeof requestSchema>;
export type NodeMethod = NodeRequest['method'];

/** What each method answers with when it succeeds. */
export const resultSchemas = {
  publish: z.object({
    answer: z.string(),
    /** Entity-tag of the first ICE session, quoted and strong: ready for the `ETag` header. */
    etag: z.string(),
    tracks: z.array(trackReportSchema),
    /** False when `replaces` was given and the old viewers had to be closed. */
    resumed: z.boolean(),
  }),
  play: z.object({
    /** The answer, or our offer when the request brought none. */
    sdp: z.string(),
    etag: z.string(),
  }),
  answer: z.object({}),
  patch: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('trickled') }),
    z.object({ kind: z.literal('restarted'), fragment: z.string(), etag: z.string() }),
  ]),
  probe: z.object({}),
  close: z.object({}),
  apply: z.object({}),
  join: z.object({ answer: z.string(), etag: z.string(), tracks: z.array(trackReportSchema) }),
  listen: z.object({ sdp: z.string(), etag: z.string() }),
  'apply-stream': z.object({}),
  'relay-offer': z.object({ offer: z.string() }),
  'relay-pull': z.object({ answer: z.string(), resumed: z.boolean() }),
  drain: z.object({}),
  snapshot: z.object({ jpeg: z.base64().max(MAX_SNAPSHOT_CHARACTERS) }),
} as const satisfies Record<NodeMethod, z.ZodType>;
export type NodeResult<M extends NodeMethod> = z.infer<(typeof resultSchemas)[M]>;

// ---- frames -------------------------------------------------------------------------------------------------------

/** Degrees north and east. */
export const coordinatesSchema = z.object({
  latitude: z.number().min(-90).max(90),
  longitude: z.number().min(-180).max(180),
});
export type Coordinates = z.infer<typeof coordinatesSchema>;

export const nodeCapacitySchema = z.object({
  sessions: z.int().positive(),
  /** What the machine can send; absent: not said. */
  packetsPerSecond: z.number().positive().optional(),
  bandwidthBps: z.number().positive().optional(),
});
export type NodeCapacity = z.infer<typeof nodeCapacitySchema>;

export const helloSchema = z.object({
  type: z.literal('hello'),
  protocol: z.int().positive(),
  node: nodeIdSchema,
  boot: bootIdSchema,
  version: z.string(),
  region: z.string(),
  /** `host:port` of every announced UDP address. */
  addresses: z.array(z.string()),
  engine: z.enum(['portable', 'native']),
  capacity: nodeCapacitySchema,
  /** Degrees; absent: not said (`NODE_COORDINATES`). */
  coordinates: coordinatesSchema.optional(),
  /** It takes nothing new and leaves when it is empty. */
  draining: z.boolean().optional(),
  ingress: z.array(ingressReportSchema),
  lobbies: z.array(lobbyLoadSchema),
  lives: z.array(liveReportSchema).optional(),
  relays: z.array(relayReportSchema).optional(),
  load: nodeLoadSchema,
});
export type Hello = z.infer<typeof helloSchema>;

export const reportSchema = z.object({
  type: z.literal('report'),
  /** Ingress sessions that changed, in order. */
  ingress: z.array(ingressReportSchema),
  /** Every lobby with egress sessions here: replaces what was said before. */
  lobbies: z.array(lobbyLoadSchema),
  /** Pushes that changed. */
  lives: z.array(liveReportSchema).optional(),
  /** Pulled relays that changed, in order. */
  relays: z.array(relayReportSchema).optional(),
  draining: z.boolean().optional(),
  load: nodeLoadSchema,
});
export type Report = z.infer<typeof reportSchema>;

export const responseSchema = z.object({
  type: z.literal('response'),
  id: z.int().nonnegative(),
  outcome: z.discriminatedUnion('ok', [
    z.object({ ok: z.literal(true), value: z.unknown() }),
    z.object({ ok: z.literal(false), problem: problemSchema }),
  ]),
});
export type ResponseFrame = z.infer<typeof responseSchema>;

export const nodeFrameSchema = z.discriminatedUnion('type', [helloSchema, reportSchema, responseSchema]);
export type NodeFrame = z.infer<typeof nodeFrameSchema>;

export const welcomeSchema = z.object({
  type: z.literal('welcome'),
  protocol: z.int().positive(),
  /** The full desired state: what the node carries for a lobby that is not listed here, it closes. */
  desired: z.array(desiredLobbySchema),
  /** Likewise for stream lobbies. */
  streams: z.array(desiredStreamSchema).optional(),
});
export type Welcome = z.infer<typeof welcomeSchema>;

export const requestFrameSchema = z.object({
  type: z.literal('request'),
  id: z.int().nonnegative(),
  deadlineMs: z.int().positive(),
  request: requestSchema,
});
export type RequestFrame = z.infer<typeof requestFrameSchema>;

export const edgeFrameSchema = z.discriminatedUnion('type', [welcomeSchema, requestFrameSchema]);
export type EdgeFrame = z.infer<typeof edgeFrameSchema>;
