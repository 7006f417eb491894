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
 * Both ends parse every frame with these schemas and drop what does not fit. Here are the versions, the timing and the
 * frames; what stands in them has files of its own: `tracks`, `reports`, `desired-state`, `requests`.
 */
import { z } from 'zod';
import { problemSchema } from '../errors.ts';
import { bootIdSchema, nodeIdSchema } from '../ids.ts';
import { desiredLobbySchema, desiredStreamSchema } from './desired-state.ts';
import {
  ingressReportSchema,
  liveReportSchema,
  lobbyLoadSchema,
  nodeLoadSchema,
  relayReportSchema,
} from './reports.ts';
import { requestSchema } from './requests.ts';

// One door to the whole protocol: who speaks it imports this file.
export * from './desired-state.ts';
export * from './reports.ts';
export * from './requests.ts';
export * from './tracks.ts';

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
