/**
 * What is known of all nodes and all rooms, as a pure function of what nodes and lobbies say.
 *
 * Storage keeps who is there and what runs; load and counts of viewers live in memory only, for the next report of each
 * node brings them again. A report that changes nothing else writes nothing.
 */
import type { BootId, LobbyId, NodeId } from '../../shared/ids.ts';
import { roomOfLobby } from '../../shared/ids.ts';
import type { LobbyLoad } from '../../shared/protocol/control.ts';
import type { NodeSnapshot, NodeStatus, RoomSummary } from './rpc.ts';

/** An operator's wish that this life of a node empties itself; its next life begins without it. */
export interface DrainOrder {
  timeoutMs: number;
  /** Unix ms of when the node was told the last time. */
  toldAt: number;
}

export interface FleetNode {
  /** `draining` says whether the node or an operator wants it so. */
  snapshot: NodeSnapshot;
  /** Viewers by lobby. */
  lobbies: readonly LobbyLoad[];
  /** Publishers placed there since its last report. */
  pending: number;
  order: DrainOrder | null;
  /** Unix ms; null: it is not draining. */
  drainingSince: number | null;
}

/** Until the node says that it drains, it is told again at its next word after this long. */
export const DRAIN_RETRY_MS = 5_000;

export interface LobbySummary {
  hasPublisher: boolean;
  tracks: number;
}

export interface FleetState {
  nodes: ReadonlyMap<NodeId, FleetNode>;
  lobbies: ReadonlyMap<LobbyId, LobbySummary>;
}

export const EMPTY_FLEET: FleetState = { nodes: new Map(), lobbies: new Map() };

export type FleetEvent =
  | { type: 'node-updated'; snapshot: NodeSnapshot; lobbies: readonly LobbyLoad[] }
  | { type: 'node-unlinked'; node: NodeId; boot: BootId }
  | { type: 'node-gone'; node: NodeId; boot: BootId }
  | { type: 'placed'; node: NodeId }
  | { type: 'drain'; node: NodeId; timeoutMs: number }
  | { type: 'lobby-updated'; lobby: LobbyId; hasPublisher: boolean; tracks: number }
  | { type: 'lobby-ended'; lobby: LobbyId };

export type FleetEffect =
  | { type: 'store-node'; node: FleetNode }
  | { type: 'drop-node'; node: NodeId }
  | { type: 'store-lobby'; lobby: LobbyId; summary: LobbySummary }
  | { type: 'drop-lobby'; lobby: LobbyId }
  /** The node is to be told to drain. */
  | { type: 'tell-drain'; node: NodeId; boot: BootId; timeoutMs: number };

export interface FleetStep {
  state: FleetState;
  effects: FleetEffect[];
}

export function step(state: FleetState, event: FleetEvent, now: number): FleetStep {
  switch (event.type) {
    case 'node-updated':
      return updated(state, event.snapshot, event.lobbies, now);
    case 'node-unlinked': {
      const known = state.nodes.get(event.node);
      // Said of an earlier life, or said already.
      if (known === undefined || known.snapshot.boot !== event.boot || !known.snapshot.linked) return same(state);
      return stored(state, { ...known, snapshot: { ...known.snapshot, linked: false } });
    }
    case 'drain':
      return drain(state, event.node, event.timeoutMs, now);
    case 'node-gone': {
      if (state.nodes.get(event.node)?.snapshot.boot !== event.boot) return same(state);
      const nodes = new Map(state.nodes);
      nodes.delete(event.node);
      return { state: { ...state, nodes }, effects: [{ type: 'drop-node', node: event.node }] };
    }
    case 'placed': {
      const known = state.nodes.get(event.node);
      if (known === undefined) return same(state);
      return { state: withNode(state, { ...known, pending: known.pending + 1 }), effects: [] };
    }
    case 'lobby-updated': {
      const { lobby, hasPublisher, tracks } = event;
      const known = state.lobbies.get(lobby);
      if (known?.hasPublisher === hasPublisher && known.tracks === tracks) return same(state);
      const summary = { hasPublisher, tracks };
      const lobbies = new Map(state.lobbies).set(lobby, summary);
      return { state: { ...state, lobbies }, effects: [{ type: 'store-lobby', lobby, summary }] };
    }
    case 'lobby-ended': {
      if (!state.lobbies.has(event.lobby)) return same(state);
      const lobbies = new Map(state.lobbies);
      lobbies.delete(event.lobby);
      return { state: { ...state, lobbies }, effects: [{ type: 'drop-lobby', lobby: event.lobby }] };
    }
  }
}

/** Rooms with what their lobbies and all nodes say of them, by name. */
export function roomsOf(state: FleetState): RoomSummary[] {
  const subscribers = new Map<LobbyId, number>();
  for (const { lobbies } of state.nodes.values()) {
    for (const load of lobbies) subscribers.set(load.lobby, (subscribers.get(load.lobby) ?? 0) + load.subscribers);
  }
  const rooms: RoomSummary[] = [];
  for (const [lobby, summary] of state.lobbies) {
    const name = roomOfLobby(lobby);
    if (name !== null) rooms.push({ name, ...summary, subscribers: subscribers.get(lobby) ?? 0 });
  }
  return rooms.sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function nodesOf(state: FleetState): NodeStatus[] {
  return [...state.nodes.values()].map(statusOf).sort((a, b) => (a.node < b.node ? -1 : 1));
}

export function statusOf({ snapshot, drainingSince, order, lobbies }: FleetNode): NodeStatus {
  const totals = { lobbies: lobbies.length, subscribers: 0, relaysFrom: 0, relaysTo: 0 };
  const listed = lobbies.map(({ lobby, subscribers, relays = { from: [], to: [] } }) => {
    totals.subscribers += subscribers;
    totals.relaysFrom += relays.from.length;
    totals.relaysTo += relays.to.length;
    return { lobby, subscribers, relays };
  });
  return { ...snapshot, drainingSince, drainTimeoutMs: order?.timeoutMs ?? null, totals, lobbies: listed };
}

function updated(state: FleetState, said: NodeSnapshot, lobbies: readonly LobbyLoad[], now: number): FleetStep {
  const before = state.nodes.get(said.node);
  const order = before?.snapshot.boot === said.boot ? before.order : null;
  const draining = said.draining || order !== null;
  const wasDraining = before?.snapshot.boot === said.boot ? before.drainingSince : null;
  // It was told, but the word was lost, or it lost its memory of it.
  const tellsAgain = order !== null && !said.draining && now - order.toldAt >= DRAIN_RETRY_MS;
  const node: FleetNode = {
    snapshot: { ...said, draining, seenAt: now },
    lobbies,
    pending: 0,
    order: tellsAgain ? { ...order, toldAt: now } : order,
    drainingSince: draining ? (wasDraining ?? now) : null,
  };
  const isNews = before === undefined || lasting(before) !== lasting(node);
  const next = isNews ? stored(state, node) : { state: withNode(state, node), effects: [] };
  if (tellsAgain) {
    next.effects.push({ type: 'tell-drain', node: said.node, boot: said.boot, timeoutMs: order.timeoutMs });
  }
  return next;
}

function drain(state: FleetState, id: NodeId, timeoutMs: number, now: number): FleetStep {
  const known = state.nodes.get(id);
  if (known === undefined) return same(state);
  const { node, boot } = known.snapshot;
  const order = { timeoutMs: Math.min(timeoutMs, known.order?.timeoutMs ?? timeoutMs), toldAt: now };
  const snapshot = { ...known.snapshot, draining: true };
  const next = stored(state, { ...known, snapshot, order, drainingSince: known.drainingSince ?? now });
  next.effects.push({ type: 'tell-drain', node, boot, timeoutMs: order.timeoutMs });
  return next;
}

/** The part of a node that is worth a write. */
function lasting({ snapshot, order, drainingSince }: FleetNode): string {
  const { seenAt: _, load: __, ...rest } = snapshot;
  return JSON.stringify([rest, order?.timeoutMs, drainingSince]);
}

function stored(state: FleetState, node: FleetNode): FleetStep {
  return { state: withNode(state, node), effects: [{ type: 'store-node', node }] };
}

function withNode(state: FleetState, node: FleetNode): FleetState {
  return { ...state, nodes: new Map(state.nodes).set(node.snapshot.node, node) };
}

function same(state: FleetState): FleetStep {
  return { state, effects: [] };
}
