/** What a relay tree does by itself at the end of each step: it does what the clock says, and hangs up what hangs on nothing. */
import {
  childrenOf,
  depthOf,
  hangs,
  hasUpstream,
  IDLE_GRACE_MS,
  MAX_DEPTH,
  type Relay,
  type RelayTree,
  relayOn,
  strandedAt,
} from './relay-tree.ts';
import type { TreeTurn } from './relay-tree-turn.ts';
import { chooseUpstream } from './upstream-choice.ts';

/** A step of opening a relay has its own deadline in the call that does it; this is for when that call has died. */
const STEP_DEADLINE_MS = 8_000;

/** Does what the clock says: gives up what takes too long, and what nobody wants any more. */
export function expire(turn: TreeTurn): void {
  for (const relay of turn.tree.relays) {
    if (relay.deadline !== null && relay.deadline <= turn.now && hangs(relay)) {
      turn.hangUp(relay.hop);
      turn.fail(relay, true);
    }
    if (relay.deadline === null && (strandedAt(turn.tree, relay) ?? turn.now + 1) <= turn.now) turn.remove(relay);
    const { idleSince, phase } = relay;
    if (idleSince === null || idleSince + IDLE_GRACE_MS > turn.now || phase !== 'connected') continue;
    if (childrenOf(turn.tree, relay.node).length > 0 || turn.context.expected(relay)) {
      turn.put({ ...relay, idleSince: turn.now });
    } else {
      turn.remove(relay);
    }
  }
}

/** Hangs everything on something that carries the tracks. What is hung anew may bring those below it too deep. */
export function settle(turn: TreeTurn): void {
  for (let round = 0; round <= MAX_DEPTH; round += 1) {
    const before = turn.tree;
    hang(turn);
    if (turn.tree === before) return;
  }
}

function hang(turn: TreeTurn): void {
  for (const { node, boot } of turn.tree.relays) {
    const relay = relayOn(turn.tree, { node, boot });
    if (relay === null || !hangs(relay)) continue;
    if (!hasUpstream(turn.tree, relay)) turn.wait({ ...relay, avoid: relay.hop.upstream }, turn.now);
    else if (turn.tree.origin !== null && isTooDeep(turn.tree, relay)) turn.wait(relay, turn.now);
    else if (relay.phase === 'connected' && shouldLeave(turn, relay)) turn.wait(relay, turn.now);
  }
  for (const relay of turn.tree.relays) {
    if (relay.phase === 'waiting' && (relay.deadline === null || relay.deadline <= turn.now)) open(turn, relay);
  }
}

/** Its upstream is draining, and there is a better one. */
function shouldLeave({ tree, context }: TreeTurn, relay: Relay): boolean {
  if (!context.draining(relay.hop.upstream)) return false;
  const better = chooseUpstream(tree, relay, context);
  return better !== null && !context.draining(better.node);
}

function open(turn: TreeTurn, relay: Relay): void {
  const upstream = chooseUpstream(turn.tree, relay, turn.context);
  if (upstream === null) {
    // Nobody uses it yet: who waits for it is sent elsewhere. Others are tried again when something changes in the tree.
    if (!relay.inUse) turn.remove(relay);
    else if (relay.deadline !== null) turn.put({ ...relay, deadline: null });
    return;
  }
  const hop = turn.newHop(upstream);
  turn.put({ ...relay, phase: 'offering', hop, since: turn.now, deadline: turn.now + STEP_DEADLINE_MS });
  turn.effects.push({ type: 'pull', node: relay.node, boot: relay.boot, hop });
}

function isTooDeep(tree: RelayTree, { node }: Relay): boolean {
  const depth = depthOf(tree, node);
  return Number.isFinite(depth) && depth > MAX_DEPTH;
}
