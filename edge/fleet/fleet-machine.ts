/**
 * What is known of all nodes and all rooms, as a pure function of what nodes and lobbies say.
 *
 * Storage keeps who is there and what runs; load and counts of viewers live in memory only, for the next report of each
 * node brings them again. A report that changes nothing else writes nothing.
 */
import type { BootId, LobbyId, NodeId } from '../../shared/ids.ts';
import { roomOfLobby } from '../../shared/ids.ts';
import type { LobbyLoad } from '../../shared/protocol/control.ts';
import type { NodeSnapshot, RoomSummary } from '../rpc.ts';

export interface FleetNode {
  snapshot: NodeSnapshot;
  /** Viewers by lobby. */
  lobbies: readonly LobbyLoad[];
  /** Publishers placed there since its last report. */
  pending: number;
}

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
  | { type: 'lobby-updated'; lobby: LobbyId; hasPublisher: boolean; tracks: number }
  | { type: 'lobby-ended'; lobby: LobbyId };

/** Writes to storage. */
export type FleetEffect =
  | { type: 'store-node'; snapshot: NodeSnapshot }
  | { type: 'drop-node'; node: NodeId }
  | { type: 'store-lobby'; lobby: LobbyId; summary: LobbySummary }
  | { type: 'drop-lobby'; lobby: LobbyId };

export interface FleetStep {
  state: FleetState;
  effects: FleetEffect[];
}

export function step(state: FleetState, event: FleetEvent, now: number): FleetStep {
  switch (event.type) {
    case 'node-updated': {
      const snapshot = { ...event.snapshot, seenAt: now };
      const before = state.nodes.get(snapshot.node);
      const next = withNode(state, { snapshot, lobbies: event.lobbies, pending: 0 });
      const isNews = before === undefined || lasting(before.snapshot) !== lasting(snapshot);
      return { state: next, effects: isNews ? [{ type: 'store-node', snapshot }] : [] };
    }
    case 'node-unlinked': {
      const known = state.nodes.get(event.node);
      // Said of an earlier life, or said already.
      if (known === undefined || known.snapshot.boot !== event.boot || !known.snapshot.linked) return same(state);
      const snapshot = { ...known.snapshot, linked: false };
      return { state: withNode(state, { ...known, snapshot }), effects: [{ type: 'store-node', snapshot }] };
    }
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

export function nodesOf(state: FleetState): NodeSnapshot[] {
  const snapshots = [...state.nodes.values()].map((node) => node.snapshot);
  return snapshots.sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** The part of a snapshot that is worth a write. */
function lasting(snapshot: NodeSnapshot): string {
  const { node, boot, linked, region, version, engine, addresses, capacity } = snapshot;
  return JSON.stringify([node, boot, linked, region, version, engine, addresses, capacity.sessions]);
}

function withNode(state: FleetState, node: FleetNode): FleetState {
  return { ...state, nodes: new Map(state.nodes).set(node.snapshot.node, node) };
}

function same(state: FleetState): FleetStep {
  return { state, effects: [] };
}
