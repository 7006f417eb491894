/** What a lobby's relay trees know of the nodes: the last snapshot of the fleet, and what the nodes said to the lobby itself. */

import { mintSessionId, type NodeId } from '../../shared/ids.ts';
import { FLEET_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import { kmBetween } from '../fleet/geography.ts';
import type { Candidate } from '../fleet/placement.ts';
import type { TreeContext } from './relay-tree-events.ts';

/** Whoever was sent to a node comes within the life of a route and of a request. */
const ON_THE_WAY_MS = 20_000;

export class FleetSurroundings implements TreeContext {
  #nodes: ReadonlyMap<NodeId, Candidate> = new Map();
  readonly #draining = new Set<string>();
  /** Unix ms of the last viewer that was sent to each node. */
  readonly #sentAt = new Map<string, number>();
  /** After a restart nobody knows who is on the way. */
  readonly #wokenAt = Date.now();

  update(candidates: readonly Candidate[]): void {
    this.#nodes = new Map(candidates.map((candidate) => [candidate.snapshot.node, candidate]));
  }

  /** True: it has just begun to drain. */
  said(node: Carrier, draining: boolean): boolean {
    const isNew = draining && !this.#draining.has(keyOf(node));
    if (draining) this.#draining.add(keyOf(node));
    else this.#draining.delete(keyOf(node));
    return isNew;
  }

  sent(node: Carrier): void {
    this.#sentAt.set(keyOf(node), Date.now());
  }

  distance(a: NodeId, b: NodeId): number {
    const [from, to] = [this.#nodes.get(a)?.where, this.#nodes.get(b)?.where];
    return from && to ? kmBetween(from, to) : 0;
  }

  canRelay(node: NodeId): boolean {
    const snapshot = this.#nodes.get(node)?.snapshot;
    return snapshot === undefined || (snapshot.linked && snapshot.protocol >= FLEET_PROTOCOL_VERSION);
  }

  /** It knows how to relay, be its link up or not. */
  speaksRelay(node: NodeId): boolean {
    return (this.#nodes.get(node)?.snapshot.protocol ?? FLEET_PROTOCOL_VERSION) >= FLEET_PROTOCOL_VERSION;
  }

  draining(node: NodeId): boolean {
    const snapshot = this.#nodes.get(node)?.snapshot;
    if (snapshot === undefined) return [...this.#draining].some((key) => key.startsWith(`${node} `));
    return snapshot.draining || this.#draining.has(keyOf(snapshot));
  }

  expected(node: Carrier): boolean {
    return Date.now() - (this.#sentAt.get(keyOf(node)) ?? this.#wokenAt) < ON_THE_WAY_MS;
  }

  mint(): ReturnType<typeof mintSessionId> {
    return mintSessionId();
  }
}

/** A node id has no blanks. */
function keyOf({ node, boot }: Carrier): string {
  return `${node} ${boot}`;
}
