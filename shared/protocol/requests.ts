/**
 * What the edge asks of a media node while somebody waits for it, and what each method answers with. To add one: its schema,
 * its place in `requestSchema` and its result; the compiler then names the places at both ends that have to know it.
 */
import { z } from 'zod';
import { lobbyIdSchema, nodeIdSchema, sessionIdSchema } from '../ids.ts';
import { desiredLobbySchema, desiredRelaySchema, desiredStreamSchema, lineageSchema } from './desired-state.ts';
import { trackReportSchema } from './tracks.ts';

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
 * channel. `fixed`: a client without one (static WHIP), whose tracks are main. `lineage`: it is to take the place of another
 * session of the same member, here or on another node; absent: it is the first.
 */
const join = z.object({
  method: z.literal('join'),
  lobby: lobbyIdSchema,
  revision: z.int().nonnegative(),
  session: sessionIdSchema,
  generation: z.int().nonnegative(),
  fixed: z.boolean(),
  lineage: lineageSchema.optional(),
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
  /** As in `relay-offer`. `generation` of the member, `lineage` as in `join`. */
  source: z
    .object({ session: sessionIdSchema, generation: z.int().nonnegative(), lineage: lineageSchema.optional() })
    .nullable(),
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
/**
 * Which layer a viewer gets: `rid`, or automatic within `maxWidth` and `maxHeight` (pixels, null: no limit). `media`: index
 * of an m-section, or its mid; null: the first video. 404 `no_session`; 422 `no_media`, `no_layer`.
 */
const selectLayer = z.object({
  method: z.literal('layer'),
  session: sessionIdSchema,
  media: z.string().nullable(),
  rid: z.string().nullable(),
  maxWidth: z.number().positive().nullable(),
  maxHeight: z.number().positive().nullable(),
});
/** What a viewer may be told of what it watches (draft WHEP core extensions). */
export const PLAY_EVENTS = ['active', 'inactive', 'layers', 'reconnect', 'viewercount'] as const;
export const playEventSchema = z.enum(PLAY_EVENTS);
export type PlayEvent = z.infer<typeof playEventSchema>;
/**
 * A viewer's event stream: the node remembers what the reader knows, so that a read brings what is news. It ends with the
 * session. 404 `no_session`; 503 `too_many_streams`; reading and closing one that is gone: 404 `no_stream`. `viewercount`
 * is the edge's to tell: the result says of which lobby, when it was asked for.
 */
const openEvents = z.object({
  method: z.literal('open-events'),
  session: sessionIdSchema,
  events: z.array(playEventSchema).min(1),
});
/** `fresh`: somebody begins to read, who is told what is so now, whoever was told before. Older nodes do not know it. */
const readEvents = z.object({
  method: z.literal('read-events'),
  session: sessionIdSchema,
  stream: z.string(),
  fresh: z.boolean().optional(),
});
const closeEvents = z.object({ method: z.literal('close-events'), session: sessionIdSchema, stream: z.string() });
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
  selectLayer,
  openEvents,
  readEvents,
  closeEvents,
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
  layer: z.object({}),
  'open-events': z.object({ stream: z.string() }),
  'read-events': z.object({
    /** In order; `data` is JSON in one line. */
    messages: z.array(z.object({ event: playEventSchema, data: z.string() })),
    viewersOf: lobbyIdSchema.nullable(),
  }),
  'close-events': z.object({}),
} as const satisfies Record<NodeMethod, z.ZodType>;
export type NodeResult<M extends NodeMethod> = z.infer<(typeof resultSchemas)[M]>;
