/** What a room's relay tree hears of what happens to the room. */
import { mintSessionId } from '../../shared/ids.ts';
import type { RelayTree } from '../relay/relay-tree.ts';
import type { TreeContext, TreeEffect, TreeEvent } from '../relay/relay-tree-events.ts';
import { stepTree } from '../relay/relay-tree-machine.ts';
import type { LobbyEvent } from './lobby-events.ts';
import { type LobbyState, originOf, treeOf } from './lobby-state.ts';

/** Where no node can relay. */
export const NO_RELAYS: TreeContext = {
  distance: () => 0,
  canRelay: () => false,
  draining: () => false,
  expected: () => false,
  mint: mintSessionId,
};

interface RelayTurn {
  before: LobbyState | null;
  /** With everything done but the tree. */
  state: LobbyState;
  event: LobbyEvent;
  /** Those attached to the former publisher are attached to the present one. */
  resumed: boolean;
  now: number;
  around: TreeContext;
}

/** The room's tree afterwards, null without relays, and what is to be done about it. */
export function relayTurn(turn: RelayTurn): { tree: RelayTree | null; effects: TreeEffect[] } {
  const { before, state, now, around } = turn;
  let tree = state.tree ?? treeOf(before);
  const effects: TreeEffect[] = [];
  for (const event of eventsOf(turn, tree)) {
    const stepped = stepTree(tree, event, now, around);
    tree = stepped.tree;
    effects.push(...stepped.effects);
  }
  // A tell is for the end: what the node shall carry may have changed again.
  const last = tree.relays.length === 0 ? null : tree;
  return { tree: state.tree === null && last === null ? null : last, effects: withoutRepeats(effects) };
}

function eventsOf({ before, state, event, resumed }: RelayTurn, tree: RelayTree): TreeEvent[] {
  const events: TreeEvent[] = [];
  const lost = lostNode(event);
  if (lost !== null) events.push(lost);
  const origin = originOf(state.publisher);
  const moved = origin?.node !== tree.origin?.node || origin?.boot !== tree.origin?.boot;
  const replaced = origin !== null && before?.publisher?.session !== state.publisher?.session;
  // Where its node was lost, the tree has forgotten it by itself.
  if (moved || replaced) events.push({ type: 'origin', origin, resumed: resumed || !replaced });
  switch (event.type) {
    case 'reported':
    case 'reconcile':
      events.push({ type: event.type, node: event.node, boot: event.boot, relays: event.relays ?? [] });
      break;
    case 'grow':
    case 'offered':
    case 'pulled':
    case 'failed':
    case 'recovered':
      events.push(event);
      break;
    default:
      if (state.tree !== null) events.push({ type: 'look' });
  }
  return events;
}

function lostNode(event: LobbyEvent): TreeEvent | null {
  return event.type === 'node-lost' ? { type: 'node-lost', node: event.node, boot: event.boot } : null;
}

function withoutRepeats(effects: readonly TreeEffect[]): TreeEffect[] {
  return effects.filter(
    (effect, index) =>
      effect.type !== 'tell' ||
      effects.findLastIndex((other) => other.type === 'tell' && other.node === effect.node) === index,
  );
}
