/**
 * The life of a relay tree as a pure function: it grows where viewers come, heals where nodes and links die, follows the
 * publisher to another node, and shrinks where nobody watches any more.
 *
 *   waiting ──upstream found──► offering ──offered──► pulling ──pulled──► connecting ──connected──► connected
 *      ▲                            └─────────────────────┴──── failed, too late, silent, closed ───────┘ │
 *      └──────────────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * A relay that has viewers stays in the tree while another hop is tried for it. It leaves when nobody has wanted it for
 * a while, when its node is lost, or when too many tries have failed.
 */
import type { NodeId } from '../../shared/ids.ts';
import type { RelayReport } from '../../shared/protocol/control.ts';
import {
  childrenOf,
  depthOf,
  type Hop,
  hangs,
  hasUpstream,
  MAX_DEPTH,
  memberOf,
  type Relay,
  type RelayTree,
  relayOn,
  strandedAt,
  type TreeNode,
} from './relay-tree.ts';
import type { TreeContext, TreeEffect, TreeEvent, TreeStep } from './relay-tree-events.ts';
import { chooseUpstream, type Surroundings } from './upstream-choice.ts';

/** A step of opening a relay has its own deadline in the call that does it; this is for when that call has died. */
const STEP_DEADLINE_MS = 8_000;
/** From the node's answer to its word that it is connected. */
export const CONNECT_DEADLINE_MS = 4_000;
/** A node says that it is idle after a while; this long after that its relay goes. */
export const IDLE_GRACE_MS = 10_000;
/** A connection that lasted this long counts as good: what came before is forgotten. */
const GOOD_AFTER_MS = 10_000;
/** Tries of a relay that nobody uses yet: who waits for it is sent elsewhere then. */
const MAX_TRIES_NEW = 2;
/** Tries of one with viewers, about half a minute: then they are sent away, to come again elsewhere. */
const MAX_TRIES_IN_USE = 10;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 4_000;

/** Returns the same `tree` object when nothing changed. */
export function stepTree(tree: RelayTree, event: TreeEvent, now: number, context: TreeContext): TreeStep {
  const turn = new TreeTurn(tree, now, context);
  turn.take(event);
  turn.expire();
  turn.settle();
  return { tree: turn.tree, effects: turn.effects };
}

class TreeTurn {
  tree: RelayTree;
  readonly effects: TreeEffect[] = [];
  readonly #now: number;
  readonly #context: TreeContext;

  constructor(tree: RelayTree, now: number, context: TreeContext) {
    this.tree = tree;
    this.#now = now;
    this.#context = context;
  }

  take(event: TreeEvent): void {
    switch (event.type) {
      case 'origin':
        this.#follow(event.origin, event.resumed);
        return;
      case 'grow':
        this.#grow(event, event.wanted === true);
        return;
      case 'drop': {
        const relay = relayOn(this.tree, event);
        if (relay === null) return;
        if (hangs(relay) && relay.phase !== 'connected') this.#hangUp(relay.hop);
        this.#remove(relay);
        return;
      }
      case 'offered':
        this.#at(event, ['offering'], (relay) => this.#put({ ...relay, phase: 'pulling' }));
        return;
      case 'pulled':
        this.#at(event, ['offering', 'pulling'], (relay) => this.#pulled(relay, event.resumed));
        return;
      case 'failed':
        this.#at(event, ['offering', 'pulling', 'connecting', 'connected'], (relay) => {
          // Who waits for a new one is sent elsewhere.
          if (event.final || (event.at === 'downstream' && !relay.inUse)) this.#remove(relay);
          else this.#failed(relay, event.at === 'upstream');
        });
        return;
      case 'reported':
        for (const report of event.relays) this.#reported(event, report);
        return;
      case 'reconcile':
        this.#reconcile(event, event.relays);
        return;
      case 'node-lost':
        this.#forget((member) => member.node === event.node && member.boot === event.boot);
        return;
      case 'recovered':
        for (const relay of this.tree.relays) {
          if (relay.phase !== 'offering' && relay.phase !== 'pulling') continue;
          this.#hangUp(relay.hop);
          this.#wait(relay, this.#now);
        }
        return;
      case 'look':
        return;
    }
  }

  /** Does what the clock says. */
  expire(): void {
    for (const relay of this.tree.relays) {
      if (relay.deadline !== null && relay.deadline <= this.#now && hangs(relay)) {
        this.#hangUp(relay.hop);
        this.#failed(relay, true);
      }
      if (relay.deadline === null && (strandedAt(this.tree, relay) ?? this.#now + 1) <= this.#now) this.#remove(relay);
      const { idleSince, phase } = relay;
      if (idleSince === null || idleSince + IDLE_GRACE_MS > this.#now || phase !== 'connected') continue;
      if (childrenOf(this.tree, relay.node).length > 0 || this.#context.expected(relay)) {
        this.#put({ ...relay, idleSince: this.#now });
      } else {
        this.#remove(relay);
      }
    }
  }

  /** Hangs everything on something that carries the tracks. What is hung anew may bring those below it too deep. */
  settle(): void {
    for (let round = 0; round <= MAX_DEPTH; round += 1) {
      const before = this.tree;
      this.#hang();
      if (this.tree === before) return;
    }
  }

  #hang(): void {
    for (const { node, boot } of this.tree.relays) {
      const relay = relayOn(this.tree, { node, boot });
      if (relay === null || !hangs(relay)) continue;
      if (!hasUpstream(this.tree, relay)) this.#wait({ ...relay, avoid: relay.hop.upstream }, this.#now);
      else if (this.tree.origin !== null && isTooDeep(this.tree, node)) this.#wait(relay, this.#now);
      else if (relay.phase === 'connected' && this.#shouldLeave(relay)) this.#wait(relay, this.#now);
    }
    for (const relay of this.tree.relays) {
      if (relay.phase === 'waiting' && (relay.deadline === null || relay.deadline <= this.#now)) this.#open(relay);
    }
  }

  /** Its upstream is draining, and there is a better one. */
  #shouldLeave(relay: Relay): boolean {
    if (!this.#context.draining(relay.hop.upstream)) return false;
    const better = chooseUpstream(this.tree, relay, this.#context);
    return better !== null && !this.#context.draining(better.node);
  }

  #open(relay: Relay): void {
    const upstream = chooseUpstream(this.tree, relay, this.#context);
    if (upstream === null) {
      // Nobody uses it yet: who waits for it is sent elsewhere. Others are tried again when something changes in the tree.
      if (!relay.inUse) this.#remove(relay);
      else if (relay.deadline !== null) this.#put({ ...relay, deadline: null });
      return;
    }
    const hop: Hop = {
      session: this.#context.mint(),
      generation: this.#nextGeneration(),
      upstream: upstream.node,
      upstreamBoot: upstream.boot,
    };
    this.#put({ ...relay, phase: 'offering', hop, since: this.#now, deadline: this.#now + STEP_DEADLINE_MS });
    this.effects.push({ type: 'pull', node: relay.node, boot: relay.boot, hop });
  }

  #grow({ node, boot }: TreeNode, inUse: boolean): void {
    if (this.tree.origin === null || memberOf(this.tree, node) !== null) return;
    this.#add({ node, boot }, inUse);
  }

  #add({ node, boot }: TreeNode, inUse: boolean): void {
    const { origin } = this.tree;
    if (origin === null) return;
    const session = this.#context.mint();
    const hop: Hop = { session, generation: this.#nextGeneration(), upstream: origin.node, upstreamBoot: origin.boot };
    const fresh = { failures: 0, avoid: null, idleSince: null, held: null, deadline: null } as const;
    const relay: Relay = { node, boot, phase: 'waiting', hop, inUse, since: this.#now, ...fresh };
    this.tree = { ...this.tree, relays: [...this.tree.relays, relay] };
  }

  #pulled(relay: Relay, resumed: boolean): void {
    const { since: _, ...rest } = relay;
    const deadline = this.#now + CONNECT_DEADLINE_MS;
    this.#put({ ...rest, phase: 'connecting', held: relay.hop, inUse: true, since: this.#now, deadline });
    if (relay.inUse && !resumed) this.#reopenChildren(relay.node);
  }

  /** The node has closed what was attached to its former tracks. */
  #reopenChildren(node: NodeId): void {
    for (const child of childrenOf(this.tree, node)) this.#wait(child, this.#now);
  }

  #reported(at: TreeNode, report: RelayReport): void {
    const relay = relayOn(this.tree, at);
    if (relay === null || relay.hop.generation !== report.generation || relay.hop.session !== report.session) return;
    if (report.state === 'silent' || report.state === 'closed') {
      if (hangs(relay)) this.#failed(relay, true);
      return;
    }
    if (report.state !== 'connected' || !hangs(relay)) return;
    const idleSince = report.idle ? (relay.idleSince ?? this.#now) : null;
    if (relay.phase !== 'connected') {
      const phase = { phase: 'connected', since: this.#now, deadline: null, avoid: null } as const;
      this.#put({ ...relay, ...phase, held: relay.hop, inUse: true, idleSince });
    } else if (relay.idleSince !== idleSince) {
      this.#put({ ...relay, idleSince });
    }
  }

  #reconcile(at: TreeNode, relays: readonly RelayReport[]): void {
    this.#forget((member) => member.node === at.node && member.boot !== at.boot);
    for (const report of relays) this.#reported(at, report);
    const relay = relayOn(this.tree, at);
    if (relay?.phase !== 'connecting' && relay?.phase !== 'connected') return;
    if (!relays.some(({ generation }) => generation === relay.hop.generation)) this.#failed(relay, false);
  }

  #follow(origin: TreeNode | null, resumed: boolean): void {
    const before = this.tree.origin;
    if (origin === null) {
      if (before !== null) this.tree = { ...this.tree, origin: null };
      return;
    }
    const stays = before?.node === origin.node && before.boot === origin.boot;
    if (!stays) {
      const others = this.tree.relays.filter(({ node }) => node !== origin.node);
      // Those that were waiting need not wait any longer.
      const relays = others.map((relay) =>
        relay.phase === 'waiting' ? { ...relay, deadline: null, failures: 0 } : relay,
      );
      this.tree = { ...this.tree, origin: { node: origin.node, boot: origin.boot }, relays };
      // The viewers of the former one get the tracks from this one.
      if (before !== null && before.node !== origin.node && leavesRelay(before.node, origin.node, this.#context)) {
        this.#add(before, true);
        this.effects.push({ type: 'tell', ...before });
      }
    }
    if (!resumed) this.#reopenChildren(origin.node);
  }

  /** They are gone with all that was there. */
  #forget(isGone: (member: TreeNode) => boolean): void {
    const { origin, relays } = this.tree;
    const left = relays.filter((relay) => !isGone(relay));
    const lostOrigin = origin !== null && isGone(origin);
    if (left.length === relays.length && !lostOrigin) return;
    this.tree = { ...this.tree, origin: lostOrigin ? null : origin, relays: left };
  }

  #failed(relay: Relay, avoidsUpstream: boolean): void {
    const wasGood = relay.phase === 'connected' && this.#now - relay.since >= GOOD_AFTER_MS;
    const failures = wasGood ? 1 : relay.failures + 1;
    if (failures >= (relay.inUse ? MAX_TRIES_IN_USE : MAX_TRIES_NEW)) {
      this.#remove(relay);
      return;
    }
    const avoid = avoidsUpstream ? relay.hop.upstream : relay.avoid;
    // The first time at once.
    const delayMs = failures === 1 ? 0 : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 2));
    this.#wait({ ...relay, failures, avoid }, this.#now + delayMs);
  }

  #wait(relay: Relay, until: number): void {
    this.#put({ ...relay, phase: 'waiting', since: this.#now, deadline: until, idleSince: null });
  }

  #remove({ node, boot, inUse, phase }: Relay): void {
    this.tree = { ...this.tree, relays: this.tree.relays.filter((relay) => relay.node !== node) };
    const knowsOfIt = inUse || phase === 'pulling' || phase === 'connecting';
    if (knowsOfIt) this.effects.push({ type: 'tell', node, boot });
  }

  #hangUp({ session, upstream: node, upstreamBoot: boot }: Hop): void {
    this.effects.push({ type: 'hang-up', node, boot, session });
  }

  /** Words about a hop that has been given up are dropped. */
  #at(event: { generation: number } & TreeNode, phases: readonly Relay['phase'][], use: (relay: Relay) => void): void {
    const relay = relayOn(this.tree, event);
    if (relay?.hop.generation === event.generation && phases.includes(relay.phase)) use(relay);
  }

  #put(relay: Relay): void {
    const relays = this.tree.relays.map((known) => (known.node === relay.node ? relay : known));
    this.tree = { ...this.tree, relays };
  }

  /** Not less than the clock: the tree may be forgotten and come again. */
  #nextGeneration(): number {
    const generation = Math.max(this.tree.generation + 1, this.#now);
    this.tree = { ...this.tree, generation };
    return generation;
  }
}

/** Do viewers on the publisher's former node get the tracks by a relay from its new one? */
export function leavesRelay(before: NodeId, after: NodeId, around: Surroundings): boolean {
  return around.canRelay(before) && around.canRelay(after);
}

function isTooDeep(tree: RelayTree, node: NodeId): boolean {
  const depth = depthOf(tree, node);
  return Number.isFinite(depth) && depth > MAX_DEPTH;
}
