/**
 * One room of the simulation: the real relay tree machine, the real routes of the `Audience` objects, and the lobby's way
 * of choosing (edge/lobby/lobby-router.ts) with calls that take no time.
 */
import { RouteMemory } from '../../../edge/audience/route-memory.ts';
import { cellName } from '../../../edge/audience/shard.ts';
import { placePublisher, placeViewer } from '../../../edge/fleet/placement.ts';
import type { Route } from '../../../edge/lobby/rpc.ts';
import { carryingNodes, childrenOf, memberOf, NO_TREE, type RelayTree } from '../../../edge/relay/relay-tree.ts';
import type { TreeContext, TreeEvent } from '../../../edge/relay/relay-tree-events.ts';
import { stepTree } from '../../../edge/relay/relay-tree-machine.ts';
import type { LobbyId, NodeId, SessionId } from '../../../shared/ids.ts';
import type { Coordinates } from '../../../shared/protocol/control.ts';
import type { Fleet, SimNode } from './fleet.ts';

/** As edge/lobby/lobby-router.ts has it. */
const SEAT_SHARE = 8;
const MAX_SEATS = 500;
/** As edge/relay/fleet-surroundings.ts has it. */
const ON_THE_WAY_MS = 20_000;
/** A node says so after this long without anybody who wants the tracks. */
const IDLE_AFTER_MS = 15_000;

export interface Counters {
  placements: number;
  routeQuestions: number;
  relaysOpened: number;
  treeSteps: number;
}

/** For who counts calls. */
export interface RoomWatch {
  lobbyAsked?(): void;
  nodeAsked?(node: NodeId): void;
}

export class Room {
  readonly lobby: LobbyId;
  tree: RelayTree = NO_TREE;
  /** Viewers by node. */
  readonly viewers = new Map<NodeId, number>();
  readonly #publisher: Coordinates;
  readonly #fleet: Fleet;
  readonly #counters: Counters;
  readonly #memories = new Map<string, RouteMemory>();
  readonly #sentAt = new Map<NodeId, number>();
  readonly #idleSince = new Map<NodeId, number>();
  readonly #context: TreeContext;

  readonly #watch: RoomWatch;

  constructor(lobby: LobbyId, publisher: Coordinates, fleet: Fleet, counters: Counters, watch: RoomWatch = {}) {
    this.#watch = watch;
    this.lobby = lobby;
    this.#publisher = publisher;
    this.#fleet = fleet;
    this.#counters = counters;
    this.#context = {
      distance: (a, b) => fleet.km(a, b),
      canRelay: (node) => fleet.of(node).snapshot.linked,
      draining: (node) => fleet.of(node).snapshot.draining,
      expected: ({ node }) => fleet.now - (this.#sentAt.get(node) ?? 0) < ON_THE_WAY_MS,
      mint: () => fleet.random.id() as SessionId,
    };
  }

  /** The publisher comes, or comes again elsewhere. False: no node takes it. */
  publish(): boolean {
    const { now, random, candidates } = this.#fleet;
    const wish = { near: this.#publisher, prefer: null, exclude: [] };
    const placed = placePublisher(candidates, wish, random.two(), now);
    if (placed === null) return false;
    const { node, boot } = placed;
    this.#step({ type: 'origin', origin: { node, boot }, resumed: true });
    this.forgetRoutes();
    return true;
  }

  /** Where a viewer at `near` is let in; null: nowhere. The node has said yes. `asker`: by which `Audience`. */
  admit(near: Coordinates, asker: string = cellName(this.lobby, near)): SimNode | null {
    const memory = this.memory(asker);
    const exclude: NodeId[] = [];
    for (let tried = 0; tried < 3; tried += 1) {
      const known = tried === 0 ? memory.recall(this.#fleet.now) : null;
      if (known !== null && 'problem' in known) return null;
      const route = known === null ? this.#route(near, exclude) : known.route;
      if (route === null) return null;
      if (known === null) memory.learned(route, memory.version, this.#fleet.now);
      const node = this.#fleet.of(route.node);
      this.#watch.nodeAsked?.(route.node);
      if (node.takes(route.boot)) {
        this.enter(node);
        return node;
      }
      memory.drop(route);
      exclude.push(route.node);
      this.#fleet.refusals += 1;
    }
    return null;
  }

  enter(node: SimNode): void {
    const id = node.snapshot.node;
    node.sessions += 1;
    this.viewers.set(id, (this.viewers.get(id) ?? 0) + 1);
    this.#idleSince.delete(id);
  }

  leave(node: SimNode): void {
    node.sessions -= 1;
    this.viewers.set(node.snapshot.node, (this.viewers.get(node.snapshot.node) ?? 1) - 1);
  }

  /** The lobby hears that a node is gone. */
  lost(node: SimNode, viewersLeft: boolean): void {
    const { node: id, boot } = node.snapshot;
    if (!viewersLeft) this.viewers.delete(id);
    const wasOrigin = this.tree.origin?.node === id;
    if (memberOf(this.tree, id) === null) return;
    this.#step({ type: 'node-lost', node: id, boot });
    this.forgetRoutes();
    if (wasOrigin) this.publish();
  }

  /** What happens by itself: relays that nobody wants say so, and go. */
  look(): void {
    const { now } = this.#fleet;
    if (this.tree.origin === null) this.publish();
    for (const relay of this.tree.relays) {
      const { node, boot, hop } = relay;
      const isWanted = (this.viewers.get(node) ?? 0) > 0 || childrenOf(this.tree, node).length > 0;
      if (isWanted) this.#idleSince.delete(node);
      else if (!this.#idleSince.has(node)) this.#idleSince.set(node, now);
      const idle = now - (this.#idleSince.get(node) ?? now) >= IDLE_AFTER_MS;
      if (idle === (relay.idleSince !== null)) continue;
      const { session, generation } = hop;
      const report = { lobby: this.lobby, session, generation, state: 'connected' as const, idle };
      this.#step({ type: 'reported', node, boot, relays: [report] });
    }
    this.#step({ type: 'look' });
  }

  /** What an `Audience` remembers. */
  memory(asker: string): RouteMemory {
    const known = this.#memories.get(asker) ?? new RouteMemory();
    this.#memories.set(asker, known);
    return known;
  }

  forgetRoutes(): void {
    for (const memory of this.#memories.values()) memory.forget();
  }

  #route(near: Coordinates, exclude: readonly NodeId[]): Route | null {
    const { now, random, candidates } = this.#fleet;
    this.#counters.routeQuestions += 1;
    this.#watch.lobbyAsked?.();
    const refused = [...exclude];
    let mayRelay = true;
    for (;;) {
      const carrying = new Set(carryingNodes(this.tree).map(({ node }) => node));
      this.#counters.placements += 1;
      const placed = placeViewer(candidates, { near, carrying, exclude: refused, mayRelay }, random.two(), now);
      if (placed === null || this.tree.origin === null) return null;
      const { node, boot, candidate } = placed;
      if (!carrying.has(node)) this.#step({ type: 'grow', node, boot });
      if (!carryingNodes(this.tree).some((member) => member.node === node)) {
        refused.push(node);
        mayRelay = false;
        continue;
      }
      const { capacity, load } = candidate.snapshot;
      const free = capacity.sessions - load.sessions - candidate.pending;
      candidate.pending += 1;
      this.#sentAt.set(node, now);
      return { node, boot, maxSubscribers: 0, seats: Math.min(MAX_SEATS, Math.max(1, Math.ceil(free / SEAT_SHARE))) };
    }
  }

  /** Steps, and does what comes of it at once. */
  #step(event: TreeEvent): void {
    const { now } = this.#fleet;
    this.#counters.treeSteps += 1;
    const { tree, effects } = stepTree(this.tree, event, now, this.#context);
    this.tree = tree;
    for (const effect of effects) {
      if (effect.type !== 'pull') continue;
      const { node, boot, hop } = effect;
      const { generation, session } = hop;
      if (!this.#fleet.of(hop.upstream).alive || !this.#fleet.of(node).alive) {
        const at = this.#fleet.of(node).alive ? 'upstream' : 'downstream';
        this.#step({ type: 'failed', node, boot, generation, at, final: false });
        continue;
      }
      this.#counters.relaysOpened += 1;
      this.#step({ type: 'pulled', node, boot, generation, resumed: true });
      const report = { lobby: this.lobby, session, generation, state: 'connected' as const, idle: false };
      this.#step({ type: 'reported', node, boot, relays: [report] });
    }
  }
}
