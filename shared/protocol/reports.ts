/**
 * What a media node says that it carries. Everything here can be recomputed from the node's present state, so that a report
 * that was lost is healed by the next hello.
 */
import { z } from 'zod';
import { lobbyIdSchema, nodeIdSchema, sessionIdSchema } from '../ids.ts';
import { trackReportSchema } from './tracks.ts';

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
