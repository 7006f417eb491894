import { describe, expect, test } from 'vitest';
import { type BootId, type LobbyId, mintBootId, type NodeId } from '../../shared/ids.ts';
import { CONTROL_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { fc } from '../../shared/test-support/properties.ts';
import {
  DRAIN_RETRY_MS,
  EMPTY_FLEET,
  type FleetEvent,
  type FleetState,
  nodesOf,
  roomsOf,
  step,
} from './fleet-machine.ts';
import type { NodeSnapshot } from './rpc.ts';

const T0 = 1_700_000_000_000;
const BOOT = mintBootId();

function snapshot(name: string, changes: Partial<NodeSnapshot> & { sessions?: number } = {}): NodeSnapshot {
  const { sessions = 0, ...rest } = changes;
  return {
    node: name as NodeId,
    boot: BOOT,
    linked: true,
    region: '',
    coordinates: null,
    protocol: CONTROL_PROTOCOL_VERSION,
    draining: false,
    version: '1',
    engine: 'portable',
    addresses: ['127.0.0.1:1'],
    capacity: { sessions: 100 },
    load: { sessions, packetsPerSecond: 0, cpu: 0 },
    seenAt: T0,
    ...rest,
  };
}

function history(...events: FleetEvent[]): { state: FleetState; effects: string[][] } {
  let state = EMPTY_FLEET;
  const effects: string[][] = [];
  for (const event of events) {
    const stepped = step(state, event, T0);
    state = stepped.state;
    effects.push(stepped.effects.map((effect) => effect.type));
  }
  return { state, effects };
}

const updated = (node: NodeSnapshot, lobbies: { lobby: string; subscribers: number }[] = []): FleetEvent => ({
  type: 'node-updated',
  snapshot: node,
  lobbies: lobbies.map((load) => ({ ...load, lobby: load.lobby as LobbyId })),
});
const lobby = (name: string, tracks = 2): FleetEvent => ({
  type: 'lobby-updated',
  lobby: name as LobbyId,
  hasPublisher: true,
  tracks,
});

describe('what is written', () => {
  test('load and counts are not', () => {
    const { effects } = history(
      updated(snapshot('a')),
      updated(snapshot('a', { sessions: 5 }), [{ lobby: 'room:x', subscribers: 5 }]),
      updated(snapshot('a', { boot: mintBootId() })),
    );
    expect(effects).toEqual([['store-node'], [], ['store-node']]);
  });

  test('a lobby that says the same again is not', () => {
    expect(history(lobby('room:x'), lobby('room:x'), lobby('room:x', 3)).effects).toEqual([
      ['store-lobby'],
      [],
      ['store-lobby'],
    ]);
  });

  test('the end of an unknown lobby is not', () => {
    expect(history({ type: 'lobby-ended', lobby: 'room:x' as LobbyId }).effects).toEqual([[]]);
  });
});

test('rooms are listed by name with the viewers of all nodes, and vanish when they end', () => {
  const { state } = history(
    lobby('room:b'),
    lobby('room:a', 1),
    lobby('space:other'),
    updated(snapshot('n1'), [
      { lobby: 'room:a', subscribers: 2 },
      { lobby: 'room:ended', subscribers: 9 },
    ]),
    updated(snapshot('n2'), [{ lobby: 'room:a', subscribers: 3 }]),
  );
  expect(roomsOf(state)).toEqual([
    { name: 'a', hasPublisher: true, tracks: 1, subscribers: 5 },
    { name: 'b', hasPublisher: true, tracks: 2, subscribers: 0 },
  ]);
  const { state: ended } = step(state, { type: 'lobby-ended', lobby: 'room:a' as LobbyId }, T0);
  expect(roomsOf(ended).map((room) => room.name)).toEqual(['b']);
});

test('a node is unlinked, then gone; words about an earlier life of it are dropped', () => {
  const old = mintBootId();
  const { state } = history(updated(snapshot('a')), { type: 'node-unlinked', node: 'a' as NodeId, boot: old });
  expect(nodesOf(state)[0]?.linked).toBe(true);
  const unlinked = step(state, { type: 'node-unlinked', node: 'a' as NodeId, boot: BOOT }, T0).state;
  expect(nodesOf(unlinked)[0]?.linked).toBe(false);
  expect(step(unlinked, { type: 'node-gone', node: 'a' as NodeId, boot: old }, T0).state).toBe(unlinked);
  expect(nodesOf(step(unlinked, { type: 'node-gone', node: 'a' as NodeId, boot: BOOT }, T0).state)).toEqual([]);
});

test('what is on its way counts until the next report', () => {
  const { state } = history(updated(snapshot('a')), { type: 'placed', node: 'a' as NodeId });
  expect(state.nodes.get('a' as NodeId)?.pending).toBe(1);
  expect(step(state, updated(snapshot('a')), T0).state.nodes.get('a' as NodeId)?.pending).toBe(0);
});

describe('draining', () => {
  const order: FleetEvent = { type: 'drain', node: 'a' as NodeId, timeoutMs: 30_000 };

  test('a node that says so itself is listed so, since when', () => {
    const { state } = history(updated(snapshot('a', { draining: true })), updated(snapshot('a', { draining: true })));
    expect(nodesOf(state)).toMatchObject([{ draining: true, drainingSince: T0 }]);
    expect(nodesOf(step(state, updated(snapshot('a')), T0).state)).toMatchObject([{ draining: false }]);
  });

  test('an order is written, told to the node, and only a shorter time counts when it comes again', () => {
    const { state, effects } = history(updated(snapshot('a')), order, { ...order, timeoutMs: 60_000 });
    expect(effects.slice(1)).toEqual([
      ['store-node', 'tell-drain'],
      ['store-node', 'tell-drain'],
    ]);
    expect(state.nodes.get('a' as NodeId)?.order?.timeoutMs).toBe(30_000);
    expect(nodesOf(state)).toMatchObject([{ draining: true, drainingSince: T0 }]);
  });

  test('an order that the node does not seem to know is told again, but not at every word', () => {
    const { state } = history(updated(snapshot('a')), order);
    const soon = step(state, updated(snapshot('a')), T0 + 1);
    expect(soon.effects).toEqual([]);
    expect(nodesOf(soon.state)).toMatchObject([{ draining: true }]);
    const later = step(soon.state, updated(snapshot('a')), T0 + DRAIN_RETRY_MS);
    expect(later.effects).toEqual([{ type: 'tell-drain', node: 'a', boot: BOOT, timeoutMs: 30_000 }]);
    const obeyed = step(state, updated(snapshot('a', { draining: true })), T0 + DRAIN_RETRY_MS);
    expect(obeyed.effects).toEqual([]);
  });

  test('the next life of the node begins without the order', () => {
    const { state } = history(updated(snapshot('a')), order, updated(snapshot('a', { boot: mintBootId() })));
    expect(nodesOf(state)).toMatchObject([{ draining: false, drainingSince: null }]);
  });

  test('nobody is drained who is not there', () => {
    expect(history(order)).toEqual({ state: EMPTY_FLEET, effects: [[]] });
  });
});

test('any order of events: storage replayed from the effects knows who is there and what runs', () => {
  const name = fc.constantFrom('a', 'b') as unknown as fc.Arbitrary<NodeId>;
  const boot = fc.constantFrom(BOOT, mintBootId()) as fc.Arbitrary<BootId>;
  const room = fc.constantFrom('room:x', 'room:y') as unknown as fc.Arbitrary<LobbyId>;
  const event: fc.Arbitrary<FleetEvent> = fc.oneof(
    fc.tuple(name, boot, fc.nat(5)).map(([node, life, sessions]) => updated(snapshot(node, { boot: life, sessions }))),
    fc.record({ type: fc.constantFrom('node-unlinked' as const, 'node-gone' as const), node: name, boot }),
    fc.record({ type: fc.constant('placed' as const), node: name }),
    fc.record({ type: fc.constant('drain' as const), node: name, timeoutMs: fc.nat(9) }),
    fc.record({
      type: fc.constant('lobby-updated' as const),
      lobby: room,
      hasPublisher: fc.boolean(),
      tracks: fc.nat(3),
    }),
    fc.record({ type: fc.constant('lobby-ended' as const), lobby: room }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      let state = EMPTY_FLEET;
      const nodes = new Map<NodeId, string>();
      const lobbies = new Map<LobbyId, unknown>();
      for (const next of events) {
        const stepped = step(state, next, T0);
        state = stepped.state;
        for (const effect of stepped.effects) {
          if (effect.type === 'store-node') nodes.set(effect.node.snapshot.node, lifeOf(effect.node.snapshot));
          else if (effect.type === 'drop-node') nodes.delete(effect.node);
          else if (effect.type === 'store-lobby') lobbies.set(effect.lobby, effect.summary);
          else if (effect.type === 'drop-lobby') lobbies.delete(effect.lobby);
        }
      }
      expect(nodes).toEqual(new Map(nodesOf(state).map((node) => [node.node, lifeOf(node)])));
      expect(lobbies).toEqual(state.lobbies);
    }),
    { numRuns: 1_000 },
  );
});

function lifeOf(node: NodeSnapshot): string {
  return `${node.boot} ${node.linked} ${node.draining}`;
}
