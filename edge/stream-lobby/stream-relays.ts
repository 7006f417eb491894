/**
 * The relays of a lobby: each member whose tracks are wanted on another node has a tree of them, and it grows and shrinks
 * with what is wanted there. How a tree lives is told in `relay/relay-tree-machine.ts`.
 */
import { type Carrier, isOn } from '../carrier.ts';
import { childrenOf, IDLE_GRACE_MS, memberOf, type RelayTree, relayOn } from '../relay/relay-tree.ts';
import type { TreeContext, TreeEvent } from '../relay/relay-tree-events.ts';
import { stepTree } from '../relay/relay-tree-machine.ts';
import type { StreamEvent } from './stream-events.ts';
import { placesWanting } from './stream-places.ts';
import { flows, isMain, type Member, sourceOf, treeOf } from './stream-state.ts';
import type { StreamTurn } from './stream-turn.ts';

/** The last thing in a step: all that trees grow by has been settled. */
export function settleRelays(turn: StreamTurn, event: StreamEvent): void {
  dropAudiences(turn);
  for (const { session } of turn.members) {
    const member = turn.member(session);
    if (member !== null) settleTree(turn, member, event);
  }
}

function settleTree(turn: StreamTurn, member: Member, event: StreamEvent): void {
  const { state } = turn;
  if (state === null) return;
  const places = placesWanting(state, member);
  if (member.relays === null && places.length === 0) return;
  // A node that nobody needs is dropped here; what its machine thinks idle is wanted all the same.
  const context: TreeContext = { ...turn.policy.around, expected: () => true };
  // One counter for all trees, so that no two relays of the lobby have the same generation.
  let tree: RelayTree = treeOf(member);
  const run = (next: TreeEvent): void => {
    const counted = { ...tree, generation: Math.max(tree.generation, turn.state?.generation ?? 0) };
    const stepped = stepTree(counted, next, turn.now, context);
    if (stepped.tree === counted && stepped.effects.length === 0) return;
    tree = stepped.tree;
    if (tree.generation > (turn.state?.generation ?? 0)) turn.set({ generation: tree.generation });
    for (const effect of stepped.effects) {
      if (effect.type === 'tell') turn.changed(effect);
      else if (effect.type === 'hang-up') turn.effects.push(effect);
      else {
        // What the node is told from now on names this relay, and is newer than all before.
        turn.changed(null);
        turn.effects.push({ ...effect, lobby: state.lobby, source: sourceOf(member) });
      }
    }
  };
  const heard = newsFor(member, tree, event);
  if (heard !== null) run(heard);
  for (;;) {
    const idle = tree.relays.find((relay) => !wants(places, relay) && childrenOf(tree, relay.node).length === 0);
    if (idle === undefined) break;
    run({ type: 'drop', node: idle.node, boot: idle.boot });
  }
  for (const place of places) if (memberOf(tree, place.node) === null) run({ type: 'grow', wanted: true, ...place });
  if (heard === null) run({ type: 'look' });
  const relays = tree.relays.length === 0 ? null : tree;
  if (relays !== member.relays) turn.update({ ...member, relays });
}

function wants(places: readonly Carrier[], place: Carrier): boolean {
  return places.some((one) => isOn(one, place));
}

/** What this step means for the relays of one member; null: nothing. */
function newsFor(member: Member, tree: RelayTree, event: StreamEvent): TreeEvent | null {
  switch (event.type) {
    case 'relay': {
      const { news, source } = event;
      if (source !== member.session) return null;
      // Where somebody listens it is tried again, however unlikely it is to work.
      return news.type === 'failed' ? { ...news, final: false } : news;
    }
    case 'reported':
    case 'reconcile': {
      const { type, node, boot, relays = [] } = event;
      const known = relayOn(tree, { node, boot });
      const sessions = [known?.hop.session, known?.held?.session];
      return { type, node, boot, relays: relays.filter(({ session }) => sessions.includes(session)) };
    }
    case 'node-lost':
      return { type: 'node-lost', node: event.node, boot: event.boot };
    case 'recovered':
      return { type: 'recovered' };
    default:
      return null;
  }
}

/** A node has taken a relay, or may have, that nobody wants any more. */
export function disownPulled(turn: StreamTurn, { lobby, source, news }: Extract<StreamEvent, { type: 'relay' }>): void {
  const mayBeThere = news.type === 'pulled' || (news.type === 'failed' && news.at === 'downstream');
  const member = turn.member(source);
  const isKnown = member !== null && relayOn(treeOf(member), news)?.hop.generation === news.generation;
  if (mayBeThere && !isKnown) turn.disown(lobby, { node: news.node, boot: news.boot });
}

/** Nodes that say that nobody there wants what comes to them; whoever was sent there lately is waited for. */
function dropAudiences(turn: StreamTurn): void {
  for (const place of turn.state?.audiences ?? []) {
    const isIdle = turn.members.some((member) => {
      const relay = flows(member) && isMain(member) ? relayOn(treeOf(member), place) : null;
      if (relay?.phase !== 'connected' || relay.idleSince === null) return false;
      return relay.idleSince + IDLE_GRACE_MS <= turn.now;
    });
    if (isIdle && !turn.policy.around.expected(place)) turn.unwatch(place);
  }
}
