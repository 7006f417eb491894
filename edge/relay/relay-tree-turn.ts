/** One step of a relay tree in the making: the tree as it changes, and what is to be done about it. */
import type { NodeId } from '../../shared/ids.ts';
import type { Carrier } from '../carrier.ts';
import { childrenOf, type Hop, type Relay, type RelayTree } from './relay-tree.ts';
import type { TreeContext, TreeEffect } from './relay-tree-events.ts';

/** A connection that lasted this long counts as good: what came before is forgotten. */
const GOOD_AFTER_MS = 10_000;
/** Tries of a relay that nobody uses yet: who waits for it is sent elsewhere then. */
const MAX_TRIES_NEW = 2;
/** Tries of one with viewers, about half a minute: then they are sent away, to come again elsewhere. */
const MAX_TRIES_IN_USE = 10;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 4_000;

export class TreeTurn {
  tree: RelayTree;
  readonly effects: TreeEffect[] = [];
  readonly now: number;
  readonly context: TreeContext;

  constructor(tree: RelayTree, now: number, context: TreeContext) {
    this.tree = tree;
    this.now = now;
    this.context = context;
  }

  /** A relay that waits for its upstream. Without a publisher there is none. */
  add({ node, boot }: Carrier, inUse: boolean): void {
    const { origin } = this.tree;
    if (origin === null) return;
    const hop = this.newHop(origin);
    const fresh = { failures: 0, avoid: null, idleSince: null, held: null, deadline: null } as const;
    const relay: Relay = { node, boot, phase: 'waiting', hop, inUse, since: this.now, ...fresh };
    this.tree = { ...this.tree, relays: [...this.tree.relays, relay] };
  }

  /** Takes the place of the relay on the same node. */
  put(relay: Relay): void {
    const relays = this.tree.relays.map((known) => (known.node === relay.node ? relay : known));
    this.tree = { ...this.tree, relays };
  }

  wait(relay: Relay, until: number): void {
    this.put({ ...relay, phase: 'waiting', since: this.now, deadline: until, idleSince: null });
  }

  /** It is tried again after a pause, or given up after too many tries. */
  fail(relay: Relay, avoidsUpstream: boolean): void {
    const wasGood = relay.phase === 'connected' && this.now - relay.since >= GOOD_AFTER_MS;
    const failures = wasGood ? 1 : relay.failures + 1;
    if (failures >= (relay.inUse ? MAX_TRIES_IN_USE : MAX_TRIES_NEW)) {
      this.remove(relay);
      return;
    }
    const avoid = avoidsUpstream ? relay.hop.upstream : relay.avoid;
    // The first time at once.
    const delayMs = failures === 1 ? 0 : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 2));
    this.wait({ ...relay, failures, avoid }, this.now + delayMs);
  }

  remove({ node, boot, inUse, phase }: Relay): void {
    this.tree = { ...this.tree, relays: this.tree.relays.filter((relay) => relay.node !== node) };
    const knowsOfIt = inUse || phase === 'pulling' || phase === 'connecting';
    if (knowsOfIt) this.effects.push({ type: 'tell', node, boot });
  }

  /** Nobody there will answer: nodes that are gone are told nothing. */
  forget(isGone: (member: Carrier) => boolean): void {
    const { origin, relays } = this.tree;
    const left = relays.filter((relay) => !isGone(relay));
    const lostOrigin = origin !== null && isGone(origin);
    if (left.length === relays.length && !lostOrigin) return;
    this.tree = { ...this.tree, origin: lostOrigin ? null : origin, relays: left };
  }

  /** `node` has closed what was attached to its former tracks. */
  reopenChildren(node: NodeId): void {
    for (const child of childrenOf(this.tree, node)) this.wait(child, this.now);
  }

  hangUp({ session, upstream: node, upstreamBoot: boot }: Hop): void {
    this.effects.push({ type: 'hang-up', node, boot, session });
  }

  newHop({ node: upstream, boot: upstreamBoot }: Carrier): Hop {
    const session = this.context.mint();
    // Not less than the clock: the tree may be forgotten and come again.
    const generation = Math.max(this.tree.generation + 1, this.now);
    this.tree = { ...this.tree, generation };
    return { session, generation, upstream, upstreamBoot };
  }
}
