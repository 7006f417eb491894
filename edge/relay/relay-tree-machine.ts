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
 *
 * Here is what the tree hears. What it does by itself at the end of a step is in `relay-settling.ts`.
 */
import type { NodeId } from '../../shared/ids.ts';
import type { RelayReport } from '../../shared/protocol/control.ts';
import { type Carrier, isOn } from '../carrier.ts';
import { expire, settle } from './relay-settling.ts';
import { hangs, memberOf, type Relay, type RelayTree, relayOn } from './relay-tree.ts';
import type { TreeContext, TreeEvent, TreeStep } from './relay-tree-events.ts';
import { TreeTurn } from './relay-tree-turn.ts';
import type { Surroundings } from './upstream-choice.ts';

/** From the node's answer to its word that it is connected. */
export const CONNECT_DEADLINE_MS = 4_000;

type EventOf<T extends TreeEvent['type']> = Extract<TreeEvent, { type: T }>;

/** Returns the same `tree` object when nothing changed. */
export function stepTree(tree: RelayTree, event: TreeEvent, now: number, context: TreeContext): TreeStep {
  const turn = new TreeTurn(tree, now, context);
  take(turn, event);
  expire(turn);
  settle(turn);
  return { tree: turn.tree, effects: turn.effects };
}

/** Do viewers on the publisher's former node get the tracks by a relay from its new one? */
export function leavesRelay(before: NodeId, after: NodeId, around: Surroundings): boolean {
  return around.canRelay(before) && around.canRelay(after);
}

function take(turn: TreeTurn, event: TreeEvent): void {
  switch (event.type) {
    case 'origin':
      follow(turn, event);
      return;
    case 'grow':
      if (memberOf(turn.tree, event.node) === null) turn.add(event, event.wanted === true);
      return;
    case 'drop':
      drop(turn, event);
      return;
    case 'offered':
      at(turn, event, ['offering'], (relay) => turn.put({ ...relay, phase: 'pulling' }));
      return;
    case 'pulled':
      at(turn, event, ['offering', 'pulling'], (relay) => pulled(turn, relay, event.resumed));
      return;
    case 'failed':
      at(turn, event, ['offering', 'pulling', 'connecting', 'connected'], (relay) => {
        // Who waits for a new one is sent elsewhere.
        if (event.final || (event.at === 'downstream' && !relay.inUse)) turn.remove(relay);
        else turn.fail(relay, event.at === 'upstream');
      });
      return;
    case 'reported':
      for (const report of event.relays) reported(turn, event, report);
      return;
    case 'reconcile':
      reconcile(turn, event);
      return;
    case 'node-lost':
      turn.forget((member) => isOn(member, event));
      return;
    case 'recovered':
      recovered(turn);
      return;
    case 'look':
      return;
  }
}

/** Words about a hop that has been given up are dropped. */
function at(
  { tree }: TreeTurn,
  event: { generation: number } & Carrier,
  phases: readonly Relay['phase'][],
  use: (relay: Relay) => void,
): void {
  const relay = relayOn(tree, event);
  if (relay?.hop.generation === event.generation && phases.includes(relay.phase)) use(relay);
}

function drop(turn: TreeTurn, event: EventOf<'drop'>): void {
  const relay = relayOn(turn.tree, event);
  if (relay === null) return;
  if (hangs(relay) && relay.phase !== 'connected') turn.hangUp(relay.hop);
  turn.remove(relay);
}

function pulled(turn: TreeTurn, relay: Relay, resumed: boolean): void {
  const deadline = turn.now + CONNECT_DEADLINE_MS;
  turn.put({ ...relay, phase: 'connecting', held: relay.hop, inUse: true, since: turn.now, deadline });
  if (relay.inUse && !resumed) turn.reopenChildren(relay.node);
}

function reported(turn: TreeTurn, carrier: Carrier, report: RelayReport): void {
  const relay = relayOn(turn.tree, carrier);
  if (relay === null || relay.hop.generation !== report.generation || relay.hop.session !== report.session) return;
  if (report.state === 'silent' || report.state === 'closed') {
    if (hangs(relay)) turn.fail(relay, true);
    return;
  }
  if (report.state !== 'connected' || !hangs(relay)) return;
  const idleSince = report.idle ? (relay.idleSince ?? turn.now) : null;
  if (relay.phase !== 'connected') {
    const phase = { phase: 'connected', since: turn.now, deadline: null, avoid: null } as const;
    turn.put({ ...relay, ...phase, held: relay.hop, inUse: true, idleSince });
  } else if (relay.idleSince !== idleSince) {
    turn.put({ ...relay, idleSince });
  }
}

function reconcile(turn: TreeTurn, event: EventOf<'reconcile'>): void {
  turn.forget((member) => member.node === event.node && member.boot !== event.boot);
  for (const report of event.relays) reported(turn, event, report);
  const relay = relayOn(turn.tree, event);
  if (relay?.phase !== 'connecting' && relay?.phase !== 'connected') return;
  if (!event.relays.some(({ generation }) => generation === relay.hop.generation)) turn.fail(relay, false);
}

function follow(turn: TreeTurn, { origin, resumed }: EventOf<'origin'>): void {
  const before = turn.tree.origin;
  if (origin === null) {
    if (before !== null) turn.tree = { ...turn.tree, origin: null };
    return;
  }
  if (!isOn(before, origin)) {
    const others = turn.tree.relays.filter(({ node }) => node !== origin.node);
    // Those that were waiting need not wait any longer.
    const relays = others.map((relay) =>
      relay.phase === 'waiting' ? { ...relay, deadline: null, failures: 0 } : relay,
    );
    turn.tree = { ...turn.tree, origin: { node: origin.node, boot: origin.boot }, relays };
    // The viewers of the former one get the tracks from this one.
    if (before !== null && before.node !== origin.node && leavesRelay(before.node, origin.node, turn.context)) {
      turn.add(before, true);
      turn.effects.push({ type: 'tell', ...before });
    }
  }
  if (!resumed) turn.reopenChildren(origin.node);
}

/** The calls that were opening relays died with the object. */
function recovered(turn: TreeTurn): void {
  for (const relay of turn.tree.relays) {
    if (relay.phase !== 'offering' && relay.phase !== 'pulling') continue;
    turn.hangUp(relay.hop);
    turn.wait(relay, turn.now);
  }
}
