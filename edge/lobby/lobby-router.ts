/**
 * Decides where viewers of a room are sent: to a node that has the tracks, near enough and with room to spare, or to a
 * better one that gets them by a relay first.
 */

import { failed, type Outcome, succeeded } from '../../shared/errors.ts';
import type { LobbyId, NodeId } from '../../shared/ids.ts';
import { type Coordinates, FLEET_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import { type Candidate, candidateOf, placeViewer } from '../fleet/placement.ts';
import type { FleetView } from '../fleet/snapshot-cache.ts';
import { NO_MEDIA_NODE } from '../problems.ts';
import type { FleetSurroundings } from '../relay/fleet-surroundings.ts';
import { carryingNodes, memberOf, type RelayTree } from '../relay/relay-tree.ts';
import type { Changes } from './changes.ts';
import type { RelayEvent } from './lobby-events.ts';
import { SUBSCRIBER_LIMIT } from './lobby-problems.ts';
import { type LobbyState, treeOf } from './lobby-state.ts';
import type { Route } from './rpc.ts';

/** A viewer waits this long for a node that is just getting the tracks, and is sent to one that has them when it fails. */
const GROW_WAIT_MS = 3_000;
/** All who are let in by one answer are some part of what the node can take: others send viewers there, too. */
const SEAT_SHARE = 8;
const MAX_SEATS = 500;
/** Counts of viewers from all nodes are used for this long. */
const COUNT_LIFE_MS = 1_000;
/** The object whose viewers are routed. */
interface Host {
  readonly env: Env;
  readonly changes: Changes;
  readonly around: FleetSurroundings;
  readonly fleet: FleetView;
  state(): LobbyState | null;
  feed(event: RelayEvent): void;
  /** 0: no limit. */
  maxSubscribers(): number;
}

export class LobbyRouter {
  readonly #host: Host;
  #counted: { counts: Map<NodeId, number>; at: number } | null = null;

  constructor(host: Host) {
    this.#host = host;
  }

  /** There is a publisher: where do its viewers at `near` go? */
  async route(lobby: LobbyId, near: Coordinates | null, exclude: readonly NodeId[]): Promise<Outcome<Route>> {
    const candidates = await this.#candidates();
    let mayRelay = this.#mayRelay(candidates);
    const refused = [...exclude];
    for (;;) {
      const tree = this.#tree();
      const carrying = carryingNodes(tree);
      const names = new Set([...carrying, ...tree.relays.filter(({ phase }) => phase !== 'waiting')].map(nameOf));
      const randoms = [Math.random(), Math.random()] as const;
      const able = candidates.filter(
        ({ snapshot }) => (memberOf(tree, snapshot.node)?.boot ?? snapshot.boot) === snapshot.boot,
      );
      const wish = { near, carrying: names, exclude: refused, mayRelay };
      const placed = placeViewer(able, wish, randoms, Date.now());
      if (placed === null) return failed(NO_MEDIA_NODE);
      const { node, boot } = placed;
      if (carrying.some((member) => member.node === node) || (await this.#grow({ node, boot }))) {
        return this.#to(lobby, { node, boot }, placed.candidate);
      }
      refused.push(node);
      mayRelay = false;
    }
  }

  /** Resolves with true when viewers may be sent there. */
  #grow(node: Carrier): Promise<boolean> {
    this.#host.feed({ type: 'grow', ...node });
    const carries = () => carryingNodes(this.#tree()).some((member) => member.node === node.node);
    const isOver = () => carries() || memberOf(this.#tree(), node.node) === null;
    return this.#host.changes.until(isOver, GROW_WAIT_MS).then(carries);
  }

  async #to(lobby: LobbyId, at: Carrier, candidate: Candidate): Promise<Outcome<Route>> {
    const { capacity, load } = candidate.snapshot;
    const free = capacity.sessions - load.sessions - candidate.pending;
    const seats = Math.min(MAX_SEATS, Math.max(1, Math.ceil(free / SEAT_SHARE)));
    const limit = this.#host.maxSubscribers();
    this.#host.around.sent(at);
    this.#host.fleet.sent(at.node);
    // On one node the node itself counts, and exactly.
    if (limit === 0 || this.#tree().relays.length === 0) {
      return succeeded({ ...at, maxSubscribers: limit, seats });
    }
    const counts = await this.#counts(lobby);
    let elsewhere = 0;
    for (const [node, subscribers] of counts) if (node !== at.node) elsewhere += subscribers;
    const left = limit - elsewhere;
    if (left <= 0) return failed(SUBSCRIBER_LIMIT);
    return succeeded({ ...at, maxSubscribers: left, seats: Math.min(seats, Math.ceil(left / SEAT_SHARE)) });
  }

  /** The publisher's node is among them even when the fleet has not heard of it. */
  async #candidates(): Promise<Candidate[]> {
    const { fleet, around } = this.#host;
    const { origin } = this.#tree();
    const knows = (list: readonly Candidate[]) =>
      origin === null || list.some(({ snapshot }) => snapshot.node === origin.node && snapshot.boot === origin.boot);
    let candidates: Candidate[] = [];
    try {
      candidates = await fleet.candidates();
      if (!knows(candidates)) candidates = await fleet.refreshed();
    } catch (error) {
      console.error('the fleet could not be asked', error);
    }
    around.update(candidates);
    if (origin === null || knows(candidates)) return candidates;
    return [...candidates.filter(({ snapshot }) => snapshot.node !== origin.node), unheardOf(origin)];
  }

  #mayRelay(candidates: readonly Candidate[]): boolean {
    const { origin } = this.#tree();
    const snapshot = candidates.find((candidate) => candidate.snapshot.node === origin?.node)?.snapshot;
    return snapshot !== undefined && snapshot.protocol >= FLEET_PROTOCOL_VERSION;
  }

  async #counts(lobby: LobbyId): Promise<Map<NodeId, number>> {
    const now = Date.now();
    if (this.#counted !== null && now - this.#counted.at < COUNT_LIFE_MS) return this.#counted.counts;
    try {
      const said = await this.#host.env.FLEET.getByName(FLEET_NAME).viewersOf({ lobby });
      this.#counted = { counts: new Map(said.map(({ node, subscribers }) => [node, subscribers])), at: now };
    } catch (error) {
      console.error('the fleet could not be asked', error);
    }
    return this.#counted?.counts ?? new Map();
  }

  #tree(): RelayTree {
    return treeOf(this.#host.state());
  }
}

function nameOf({ node }: Carrier): NodeId {
  return node;
}

/** A fleet that has just been restarted knows nobody; the publisher's node takes viewers all the same. */
function unheardOf({ node, boot }: Carrier): Candidate {
  return candidateOf({
    node,
    boot,
    linked: true,
    region: '',
    coordinates: null,
    version: '',
    protocol: 1,
    engine: 'portable',
    addresses: [],
    capacity: { sessions: Number.MAX_SAFE_INTEGER },
    load: { sessions: 0, packetsPerSecond: 0, cpu: 0 },
    draining: false,
    seenAt: Date.now(),
  });
}
