/** What can happen to a relay tree and what comes of it: the words of `relay-tree-machine.ts`. */

import type { SessionId } from '../../shared/ids.ts';
import type { RelayReport } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import type { Hop, RelayTree } from './relay-tree.ts';
import type { Surroundings } from './upstream-choice.ts';

export interface TreeContext extends Surroundings {
  /** Viewers have been sent to this node lately: it is not taken away under them. */
  expected(node: Carrier): boolean;
  /** A new session id; like the clock, randomness comes in from outside. */
  mint(): SessionId;
}

export type TreeEvent =
  /**
   * The publisher is here now; null: nowhere. `resumed`: what was attached to the former one on the same node is attached
   * to this one.
   */
  | { type: 'origin'; origin: Carrier | null; resumed: boolean }
  /** Viewers want to be served by this node. `wanted`: they are there already, so it is not given up lightly. */
  | ({ type: 'grow'; wanted?: boolean } & Carrier)
  /** Nobody there wants the tracks. What hangs on it is hung elsewhere. */
  | ({ type: 'drop' } & Carrier)
  | ({ type: 'offered'; generation: number } & Carrier)
  /** The node has answered. `resumed`: who was attached to its former tracks is attached to these. */
  | ({ type: 'pulled'; generation: number; resumed: boolean } & Carrier)
  /** A step failed there: the upstream's or the node's own. `final`: this node will never do it. */
  | ({ type: 'failed'; generation: number; at: 'upstream' | 'downstream'; final: boolean } & Carrier)
  | ({ type: 'reported'; relays: readonly RelayReport[] } & Carrier)
  /** All relays that a node pulls: what is not named is not there. Said by another life of it, the former is gone. */
  | ({ type: 'reconcile'; relays: readonly RelayReport[] } & Carrier)
  | ({ type: 'node-lost' } & Carrier)
  /** The object woke up without the calls that were opening relays. */
  | { type: 'recovered' }
  /** Time has passed, or more is known of the nodes. */
  | { type: 'look' };

export type TreeEffect =
  /** Have `upstream` offer the tracks, `node` take them, and `upstream` take its answer. */
  | ({ type: 'pull'; hop: Hop } & Carrier)
  /** A session at an upstream that nobody will use. */
  | ({ type: 'hang-up'; session: SessionId } & Carrier)
  /** What this node shall carry is another thing now. */
  | ({ type: 'tell' } & Carrier);

export interface TreeStep {
  tree: RelayTree;
  effects: TreeEffect[];
}
