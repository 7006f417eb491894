/** On which node a relay is hung: pure. */

import type { NodeId } from '../../shared/ids.ts';
import type { Carrier } from '../carrier.ts';
import {
  childrenOf,
  depthOf,
  heightOf,
  MAX_DEPTH,
  MAX_FAN_OUT,
  type Relay,
  type RelayTree,
  subtreeOf,
} from './relay-tree.ts';

/** What the tree has to know of nodes; of one that nobody has heard of, the best is assumed. */
export interface Surroundings {
  /** Kilometres, or any other measure that is smaller for the better upstream. */
  distance(a: NodeId, b: NodeId): number;
  /** It is linked and knows how to relay. */
  canRelay(node: NodeId): boolean;
  draining(node: NodeId): boolean;
}

/** So much farther an upstream may be rather than one hop deeper. */
const HOP_KM = 500;

/**
 * The nearest node that has the tracks, has fan-out left and is not below the relay itself; null: there is none. One that is
 * draining, or has just failed this relay, is better than none.
 */
export function chooseUpstream(tree: RelayTree, relay: Relay, around: Surroundings): Carrier | null {
  const below = subtreeOf(tree, relay.node);
  const height = heightOf(tree, relay.node);
  const connected = tree.relays.filter(({ phase }) => phase === 'connected');
  const carrying: Carrier[] = [...(tree.origin === null ? [] : [tree.origin]), ...connected];
  let best: { node: Carrier; rank: readonly number[] } | null = null;
  for (const { node, boot } of carrying) {
    const depth = depthOf(tree, node);
    if (below.has(node) || depth >= MAX_DEPTH || !around.canRelay(node)) continue;
    const others = childrenOf(tree, node).filter((child) => child.node !== relay.node).length;
    if (others >= MAX_FAN_OUT) continue;
    const rank = [
      around.draining(node) ? 1 : 0,
      relay.avoid === node ? 1 : 0,
      // Those below come along, or have to be hung elsewhere.
      depth + 1 + height > MAX_DEPTH ? 1 : 0,
      around.distance(relay.node, node) + depth * HOP_KM,
      others,
    ];
    if (best === null || isLess(rank, best.rank)) best = { node: { node, boot }, rank };
  }
  return best?.node ?? null;
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  const index = a.findIndex((value, at) => value !== b[at]);
  return index >= 0 && (a[index] ?? 0) < (b[index] ?? 0);
}
