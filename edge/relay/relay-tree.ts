/**
 * The nodes that carry the tracks of one publisher, and what can be read off them: who hangs on whom, how deep, how many.
 * One tree per room; in a stream lobby one per member with tracks.
 */
import { z } from 'zod';
import { bootIdSchema, type NodeId, nodeIdSchema, sessionIdSchema } from '../../shared/ids.ts';
import { type Carrier, carrierSchema } from '../carrier.ts';

/** The publisher's node has depth 0. Each hop adds delay, and a node that dies takes those below it along for a moment. */
export const MAX_DEPTH = 3;
/** Relays that hang on one node: 16 + 16² + 16³ nodes can be reached, and a relay costs its upstream no more than a viewer. */
export const MAX_FAN_OUT = 16;

/** A node says that it is idle after a while; this long after that its relay goes. */
export const IDLE_GRACE_MS = 10_000;
/** The viewers of a relay without upstream are sent away after this long, to come again elsewhere. */
const STRANDED_MS = 30_000;

/** One session that brings the tracks from the upstream: an egress there, an ingress here. */
const hopSchema = z.object({
  session: sessionIdSchema,
  generation: z.int().nonnegative(),
  upstream: nodeIdSchema,
  upstreamBoot: bootIdSchema,
});
export type Hop = z.infer<typeof hopSchema>;

export const relaySchema = carrierSchema.extend({
  /**
   * `waiting` for an upstream or for the next try; `offering`: the upstream is asked for an offer; `pulling`: the node has
   * got it; `connecting`: it has answered; `connected`: tracks arrive.
   */
  phase: z.enum(['waiting', 'offering', 'pulling', 'connecting', 'connected']),
  /** What is being tried, or what has become of the last try. */
  hop: hopSchema,
  /** What the node was last seen to pull: while another hop is tried, this one goes on as long as it can. */
  held: hopSchema.nullable(),
  /** Viewers may be there: it is not given up lightly. */
  inUse: z.boolean(),
  /** Unix ms since when the phase lasts. */
  since: z.int(),
  /** Unix ms of the end of the phase; null when it may last. */
  deadline: z.int().nullable(),
  /** Failures in a row. */
  failures: z.int().nonnegative(),
  /** The upstream that failed last: others are tried first. */
  avoid: nodeIdSchema.nullable(),
  /** Unix ms since when nobody there has wanted the tracks; null: somebody does. */
  idleSince: z.int().nullable(),
});
export type Relay = z.infer<typeof relaySchema>;

export const treeSchema = z.object({
  /** Where the publisher is; null while there is none: the relays wait for the next. */
  origin: carrierSchema.nullable(),
  /** One per node at most, and none on the origin's. */
  relays: z.array(relaySchema),
  /** The last one given to a hop. */
  generation: z.int().nonnegative(),
});
export type RelayTree = z.infer<typeof treeSchema>;

export const NO_TREE: RelayTree = { origin: null, relays: [], generation: 0 };

export function relayOn(tree: RelayTree, { node, boot }: Carrier): Relay | null {
  return tree.relays.find((relay) => relay.node === node && relay.boot === boot) ?? null;
}

/** Does it hang on its upstream, or is it about to? */
export function hangs(relay: Relay): boolean {
  return relay.phase !== 'waiting';
}

/** The life of `node` that is in the tree. */
export function memberOf(tree: RelayTree, node: NodeId): Carrier | null {
  if (tree.origin?.node === node) return tree.origin;
  return tree.relays.find((relay) => relay.node === node) ?? null;
}

/** Is what it hangs on still in the tree? */
export function hasUpstream(tree: RelayTree, relay: Relay): boolean {
  return memberOf(tree, relay.hop.upstream)?.boot === relay.hop.upstreamBoot;
}

export function childrenOf(tree: RelayTree, node: NodeId): Relay[] {
  return tree.relays.filter((relay) => hangs(relay) && relay.hop.upstream === node);
}

/** Hops from the origin; infinite for what hangs on nothing. */
export function depthOf(tree: RelayTree, node: NodeId): number {
  let at = node;
  for (let depth = 0; depth <= tree.relays.length; depth += 1) {
    if (tree.origin?.node === at) return depth;
    const relay = tree.relays.find((candidate) => candidate.node === at);
    if (relay === undefined || !hangs(relay)) break;
    at = relay.hop.upstream;
  }
  return Number.POSITIVE_INFINITY;
}

/** `node` and everything below it. */
export function subtreeOf(tree: RelayTree, node: NodeId): Set<NodeId> {
  const found = new Set<NodeId>([node]);
  // A set that grows while it is walked.
  for (const member of found) for (const child of childrenOf(tree, member)) found.add(child.node);
  return found;
}

/** Levels below `node`; 0: nothing hangs on it. */
export function heightOf(tree: RelayTree, node: NodeId): number {
  let level: NodeId[] = [node];
  for (let height = 0; height <= tree.relays.length; height += 1) {
    level = level.flatMap((member) => childrenOf(tree, member).map((child) => child.node));
    if (level.length === 0) return height;
  }
  return tree.relays.length;
}

/** Nodes that viewers may be sent to: media is there, or the node has agreed to fetch it. */
export function carryingNodes(tree: RelayTree): Carrier[] {
  const { origin } = tree;
  const ready = tree.relays.filter(({ phase, held }) => held !== null && phase !== 'waiting');
  return [...(origin === null ? [] : [origin]), ...ready.map(({ node, boot }) => ({ node, boot }))];
}

/** Unix ms at which a relay is given up that finds no upstream although there is a publisher; null: it is not waiting so. */
export function strandedAt(tree: RelayTree, { phase, deadline, since }: Relay): number | null {
  return phase === 'waiting' && deadline === null && tree.origin !== null ? since + STRANDED_MS : null;
}

/** Unix ms of the next thing that happens by itself; null: nothing. */
export function nextTreeDeadline(tree: RelayTree): number | null {
  const times = tree.relays.flatMap((relay) => {
    const { deadline, idleSince } = relay;
    return [deadline, strandedAt(tree, relay), idleSince === null ? null : idleSince + IDLE_GRACE_MS].filter(isTime);
  });
  return times.length === 0 ? null : Math.min(...times);
}

function isTime(time: number | null): time is number {
  return time !== null;
}
