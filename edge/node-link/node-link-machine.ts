/**
 * The life of the link to one media node as a pure function: which connection is the link, how long a silence or an
 * absence may last, and when the node's sessions are declared lost.
 *
 *   unknown ──hello──► up ──closed, silent──► down ──RELINK_GRACE──► gone ──all lobbies told──► unknown
 *                       ▲──────── hello ───────┘◄──────── hello ──────┘
 *
 * From a node's death to its rooms being free: the kernel closes the socket of a killed process at once, so 5 s of
 * grace; the silence of a lost machine is noticed `LINK_SILENCE_MS` after the last ping and counts as absence since then,
 * so 6 s. Both are within the promised 10 s.
 */
import { z } from 'zod';
import { type BootId, bootIdSchema, type NodeId, nodeIdSchema } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  type Hello,
  LINK_SILENCE_MS,
  PING_INTERVAL_MS,
  RELINK_GRACE_MS,
} from '../../shared/protocol/control.ts';

/** Two pings may be late, and whoever sends them is still alive. */
const ALIVE_MS = 2 * PING_INTERVAL_MS;
/** When telling the lobbies failed, they are told again after this long. */
const GONE_RETRY_MS = 1_000;

export const linkRecordSchema = z.object({
  version: z.literal(1),
  node: nodeIdSchema,
  boot: bootIdSchema,
  /** Number of the connection that is the link; null: the link is down. */
  connection: z.int().positive().nullable(),
  /** Unix ms since when the node has not been heard; null: the link is up. */
  downSince: z.int().nullable(),
  /** It did not come back in time; its lobbies are being told. */
  gone: z.boolean(),
});
/** null: no node to remember. */
export type LinkState = z.infer<typeof linkRecordSchema> | null;

export type LinkEvent =
  /** `heardAt`: Unix ms of the last sign of life on the present link; null without one. */
  | { type: 'hello'; connection: number; node: NodeId; boot: BootId; heardAt: number | null }
  | { type: 'closed'; connection: number }
  /** The object woke up; these connections are still there. */
  | { type: 'woken'; connections: readonly number[] }
  /** `heardAt`: Unix ms of the last ping or frame on the link; null when there is no link. */
  | { type: 'tick'; heardAt: number | null }
  /** Every lobby has heard that the node is gone. */
  | { type: 'forgotten' };

export type LinkEffect =
  /** A newer connection of the same node took over, this one is dead, or it is not welcome. */
  | { type: 'drop'; connection: number; code: number; reason: string }
  | { type: 'unlinked'; node: NodeId; boot: BootId }
  | { type: 'gone'; node: NodeId; boot: BootId };

export interface LinkStep {
  state: LinkState;
  effects: LinkEffect[];
}

/** Close codes of the link; 4000 to 4999 are ours to define (RFC 6455 §7.4.2). */
export const CLOSE_POLICY = 1008;
export const CLOSE_TRY_AGAIN = 1011;
export const CLOSE_REPLACED = 4000;
export const CLOSE_SILENT = 4001;
export const CLOSE_BUSY = 4002;
export const CLOSE_TAKEN = 4003;

export function step(state: LinkState, event: LinkEvent, now: number): LinkStep {
  switch (event.type) {
    case 'hello': {
      const { connection, node, boot } = event;
      const effects: LinkEffect[] = [];
      if (isTaken(state, event, now)) {
        effects.push({ type: 'drop', connection, code: CLOSE_TAKEN, reason: 'another node with this id is linked' });
        return { state, effects };
      }
      if (state !== null && state.connection !== null && state.connection !== connection) {
        effects.push({ type: 'drop', connection: state.connection, code: CLOSE_REPLACED, reason: 'replaced' });
      }
      return { state: { version: 1, node, boot, connection, downSince: null, gone: false }, effects };
    }
    case 'closed':
      return state?.connection === event.connection ? down(state, now) : { state, effects: [] };
    case 'woken':
      return state === null || state.connection === null || event.connections.includes(state.connection)
        ? { state, effects: [] }
        : down(state, now);
    case 'tick':
      return tick(state, event.heardAt, now);
    case 'forgotten':
      return { state: state?.gone === true ? null : state, effects: [] };
  }
}

/**
 * Another process claims to be this node while the node is alive: two with one id would throw each other out for ever, and
 * each would end the other's sessions. The one that is here stays. A node that was restarted is not meant: its former
 * process closed the link when it died, and where a whole machine died its silence is noticed in a moment.
 */
function isTaken(state: LinkState, event: Extract<LinkEvent, { type: 'hello' }>, now: number): boolean {
  if (state === null || state.connection === null || state.boot === event.boot || event.heardAt === null) return false;
  return now - event.heardAt < ALIVE_MS;
}

/** Unix ms of the next tick that may change something; null: none. */
export function nextTick(state: LinkState, heardAt: number | null, now: number): number | null {
  if (state === null) return null;
  if (state.gone) return now + GONE_RETRY_MS;
  if (state.downSince !== null) return state.downSince + RELINK_GRACE_MS;
  return (heardAt ?? now) + LINK_SILENCE_MS;
}

/** Is there a link, or reason to hope for one within moments? */
export function mayBeLinked(state: LinkState, now: number): boolean {
  if (state === null || state.gone) return false;
  return state.downSince === null || state.downSince + RELINK_GRACE_MS > now;
}

/** Why this hello is refused, in words for the node's log; null: it is welcome. */
export function objectionTo(hello: Hello, expected: NodeId): string | null {
  if (hello.node !== expected) return 'hello names another node than the request did';
  // Ends one version apart must still agree: edge and nodes are not updated in the same second.
  if (Math.abs(hello.protocol - CONTROL_PROTOCOL_VERSION) > 1) {
    return `control protocol ${hello.protocol} is not spoken here, ${CONTROL_PROTOCOL_VERSION} is`;
  }
  return null;
}

function tick(state: LinkState, heardAt: number | null, now: number): LinkStep {
  if (state === null) return { state, effects: [] };
  const { connection, node, boot } = state;
  const effects: LinkEffect[] = [];
  let next = state;
  if (connection !== null && heardAt !== null && heardAt + LINK_SILENCE_MS <= now) {
    effects.push({ type: 'drop', connection, code: CLOSE_SILENT, reason: 'silent' });
    effects.push({ type: 'unlinked', node, boot });
    next = { ...state, connection: null, downSince: heardAt };
  }
  if (next.gone || (next.downSince !== null && next.downSince + RELINK_GRACE_MS <= now)) {
    effects.push({ type: 'gone', node, boot });
    next = next.gone ? next : { ...next, gone: true };
  }
  return { state: next, effects };
}

function down(state: NonNullable<LinkState>, now: number): LinkStep {
  const { node, boot } = state;
  return { state: { ...state, connection: null, downSince: now }, effects: [{ type: 'unlinked', node, boot }] };
}
