/** A small evening: what may never happen, does not, whatever the seed. */
import { describe, expect, test } from 'vitest';
import { depthOf, MAX_DEPTH, MAX_FAN_OUT } from '../../../edge/relay/relay-tree.ts';
import { Evening, type EveningOptions } from './evening.ts';
import { joinStorm } from './storm.ts';

const SMALL: EveningOptions = {
  seed: 1,
  nodes: 120,
  locations: 40,
  viewers: 12_000,
  hours: 1,
  rooms: 6,
  deaths: 0.1,
  drains: 0.2,
};

test('the same seed is the same evening, another one is another', () => {
  const tiny = { ...SMALL, viewers: 1_000 };
  const first = new Evening(tiny).run();
  expect(new Evening(tiny).run()).toEqual(first);
  expect(new Evening({ ...tiny, seed: 2 }).run()).not.toEqual(first);
});

test.each([1, 2, 3])('evening %i: trees stay trees, nobody is lost, nobody is where nothing is', (seed) => {
  const evening = new Evening({ ...SMALL, seed });
  let steps = 0;
  const result = evening.run(({ rooms, fleet, present }) => {
    steps += 1;
    if (steps % 20 !== 0) return;
    let seated = 0;
    for (const { tree, viewers } of rooms) {
      const children = new Map<string, number>();
      for (const relay of tree.relays) {
        if (relay.phase === 'waiting') continue;
        // A loop would be infinitely deep.
        expect(depthOf(tree, relay.node)).toBeLessThanOrEqual(MAX_DEPTH);
        children.set(relay.hop.upstream, (children.get(relay.hop.upstream) ?? 0) + 1);
        expect(fleet.of(relay.node).snapshot.linked).toBe(true);
      }
      for (const count of children.values()) expect(count).toBeLessThanOrEqual(MAX_FAN_OUT);
      const carrying = new Set<string>([tree.origin?.node ?? '', ...tree.relays.map(({ node }) => node)]);
      for (const [node, count] of viewers) {
        expect(count).toBeGreaterThanOrEqual(0);
        seated += count;
        if (count > 0) expect(carrying).toContain(node);
      }
    }
    expect(seated).toBe(present);
    for (const node of fleet.nodes) expect(node.sessions).toBeLessThanOrEqual(node.snapshot.capacity.sessions);
  });
  expect(result.viewers.refused).toBe(0);
  expect(result.viewers.droppedByDrain).toBe(0);
  expect(result.viewers.movedByDeath).toBeGreaterThan(0);
  expect(result.viewers.movedByDrain).toBeGreaterThan(0);
  expect(result.distanceKm.p50).toBeLessThan(1_000);
});

describe('a storm of 1000 joins a second on one room', () => {
  const storm = joinStorm({ seed: 1, nodes: 200, joinsPerSecond: 1_000, seconds: 15 });

  test('finds room for everybody', () => {
    expect(storm).toMatchObject({ joined: 15_000, refused: 0 });
    expect(storm.waited).toBeLessThan(300);
  });

  test.each(['audience', 'lobby', 'nodeLink', 'fleet'] as const)('makes no queue of %s', (kind) => {
    expect(storm[kind].busy).toBeLessThan(0.5);
    // Cloudflare's own soft limit for one object.
    expect(storm[kind].callsPerSecond).toBeLessThan(1_000);
  });

  test('costs the lobby a fraction of its viewers', () => {
    expect(storm.lobby.callsPerSecond).toBeLessThan(500);
  });
});
