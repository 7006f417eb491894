/** Whatever is lost, repeated or restarted on the way: when both ends speak again, they are of one mind. */

import { describe, expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { desiredOn } from '../lobby/lobby-state.ts';
import type { ModelNode } from './model-node-under-test.ts';
import { ModelWorld } from './reconcile-under-test.ts';

const HAPPENINGS: Record<string, (world: ModelWorld, node: ModelNode, ms: number) => void> = {
  publish: (world, node) => world.publish(node),
  watch: (world, node) => world.watch(node),
  leave: (world, node) => world.leave(node),
  unpublish: (world) => world.unpublish(),
  cut: (world, node) => world.cut(node),
  vanish: (world, node) => world.cut(node, false),
  restart: (world, node) => world.restart(node),
  restartEdge: (world) => world.restartEdge(),
  dial: (world, node) => world.dial(node),
  deliver: (world, node) => world.deliver(node),
  deliverMore: (world, node) => world.deliver(node),
  deliverTwice: (world, node) => world.deliver(node, true),
  timeOut: (world, node) => world.timeOut(node),
  pass: (world, _, ms) => world.pass(ms),
};

interface Happening {
  what: string;
  at: number;
  ms: number;
}

function happen(world: ModelWorld, { what, at, ms }: Happening): void {
  const node = world.nodes[at];
  if (node !== undefined) HAPPENINGS[what]?.(world, node, ms);
}

function settle(world: ModelWorld): void {
  for (let turn = 0; turn < 500; turn += 1) {
    const busy = world.nodes.filter(({ toNode, toEdge }) => toNode.length + toEdge.length > 0);
    if (busy.length === 0) return;
    for (const node of busy) world.deliver(node);
  }
  throw new Error('they never stop talking');
}

/** Every node dials and is let in, however long its former connection is believed alive. */
function reunite(world: ModelWorld): void {
  for (const node of world.nodes) world.dial(node);
  settle(world);
  for (let tries = 0; tries < 20 && world.nodes.some(({ connection }) => connection === null); tries += 1) {
    world.pass(500);
    for (const node of world.nodes) if (node.connection === null) world.dial(node);
    settle(world);
  }
}

function agree(world: ModelWorld): void {
  const { lobby } = world;
  for (const { node, boot, publisher, relay, viewers } of world.nodes) {
    const desired = desiredOn(lobby, { node, boot });
    // No ghost: what is there is wanted.
    expect(publisher).toEqual(publisher === null ? null : (desired?.publisher ?? 'nothing'));
    if (relay !== null) expect(relay.session).toBe(desired?.relay?.session);
    if (viewers > 0) expect(desired).not.toBeNull();
    // And what is believed to be there, is.
    if (lobby?.publisher?.node === node && lobby.publisher.phase !== 'lost') {
      expect(publisher?.session).toBe(lobby.publisher.session);
    }
  }
}

const happening: fc.Arbitrary<Happening> = fc.record({
  what: fc.constantFrom(...Object.keys(HAPPENINGS)),
  at: fc.nat(2),
  ms: fc.integer({ min: 1, max: 4_000 }),
});

/** A room on one node with a viewer on another, all of it up. */
function running(): ModelWorld {
  const world = new ModelWorld(['a', 'b', 'c']);
  reunite(world);
  const [a, b] = world.nodes;
  if (a === undefined || b === undefined) throw new Error('there are three');
  world.publish(a);
  settle(world);
  world.watch(b);
  settle(world);
  world.watch(b);
  return world;
}

test('the stage: publisher on one node, a relay and a viewer on another', () => {
  const world = running();
  expect(world.lobby).toMatchObject({ publisher: { node: 'a', phase: 'live' } });
  expect(world.nodes[1]).toMatchObject({ relay: { upstream: 'a' }, viewers: 1 });
  agree(world);
});

describe('any interleaving of losses, repetitions and restarts', () => {
  test('ends with no ghost, nothing believed that is not so, and no session lost that still carries media', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(happening, { maxLength: 60 }), (fromRunning, happenings) => {
        const world = fromRunning ? running() : new ModelWorld(['a', 'b', 'c']);
        for (const one of happenings) happen(world, one);
        reunite(world);
        agree(world);
        const { precious } = world;
        if (precious !== null) {
          expect(precious.node.publisher?.session).toBe(precious.session);
          expect(world.lobby?.publisher?.session).toBe(precious.session);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test('one exchange is enough: a second hello changes nothing', () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 40 }), (happenings) => {
        const world = running();
        for (const one of happenings) happen(world, one);
        reunite(world);
        const before = JSON.stringify(world.nodes.map(({ publisher, relay, viewers }) => [publisher, relay, viewers]));
        for (const node of world.nodes) world.dial(node);
        settle(world);
        expect(JSON.stringify(world.nodes.map(({ publisher, relay, viewers }) => [publisher, relay, viewers]))).toBe(
          before,
        );
      }),
      { numRuns: 1_000 },
    );
  });
});
