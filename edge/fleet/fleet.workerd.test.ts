import { evictDurableObject, reset, runInDurableObject } from 'cloudflare:test';
import { afterEach, expect, test } from 'vitest';
import type { NodeId } from '../../shared/ids.ts';
import { eventually, fleet, lobbyIdOf, playIn, publishIn, stored, stub } from '../lobby/objects-under-test.ts';
import { type DialOptions, dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';

const nodes: FakeNode[] = [];

async function dial(options: DialOptions): Promise<FakeNode> {
  const node = await dialFakeNode(options);
  nodes.push(node);
  return node;
}

afterEach(async () => {
  for (const node of nodes.splice(0)) if (node.closed === null) node.close();
  await reset();
});

const placeSomewhere = (exclude: NodeId[] = []) => fleet().place({ lobby: lobbyIdOf('r'), prefer: null, exclude });

test('no node: 503 with Retry-After, and nothing is written', async () => {
  expect(await placeSomewhere()).toMatchObject({ problem: { status: 503, code: 'no_media_node' } });
  expect(await stored(fleet())).toEqual({ keys: [], alarm: null, tables: [] });
});

test('a full node gets nothing until its report says that it has room', async () => {
  const small = await dial({ node: 'small', capacity: 1 });
  expect(await placeSomewhere()).toMatchObject({ value: { node: 'small', boot: small.boot } });
  expect((await placeSomewhere()).ok, 'what is on its way counts').toBe(false);
  small.report([], { load: { sessions: 0, packetsPerSecond: 1, cpu: 0 } });
  await eventually(placeSomewhere, (outcome) => outcome.ok);
});

test('an evicted fleet knows its nodes and rooms, places at once, and learns the counts by the next report', async () => {
  const node = await dial({ node: 'a' });
  await publishIn('r');
  await playIn('r');
  const before = await fleet().nodes();
  await evictDurableObject(stub(fleet()));
  expect((await fleet().nodes()).map(({ seenAt: _, load: __, ...rest }) => rest)).toEqual(
    before.map(({ seenAt: _, load: __, ...rest }) => rest),
  );
  expect((await placeSomewhere()).ok).toBe(true);
  expect(await fleet().rooms()).toEqual([{ name: 'r', hasPublisher: true, tracks: 2, subscribers: 0 }]);
  node.report([]);
  await eventually(
    () => fleet().rooms(),
    ([room]) => room?.subscribers === 1,
  );
});

test('a report of load writes nothing', async () => {
  const node = await dial({ node: 'a' });
  const before = await writes();
  node.report([], { load: { sessions: 3, packetsPerSecond: 9, cpu: 0.5 } });
  await eventually(
    () => fleet().nodes(),
    ([known]) => known?.load.sessions === 3,
  );
  expect(await writes()).toBe(before);
});

test('a room that ended without a word, because the edge was killed, leaves the list when the fleet wakes', async () => {
  await dial({ node: 'a' });
  await publishIn('alive');
  await fleet().lobbyUpdated({ lobby: lobbyIdOf('ghost'), hasPublisher: true, tracks: 2 });
  await evictDurableObject(stub(fleet()));
  const rooms = await eventually(
    () => fleet().rooms(),
    (all) => all.length === 1,
  );
  expect(rooms.map((room) => room.name)).toEqual(['alive']);
  expect((await stored(fleet())).keys).toEqual(['lobby:room:alive', 'node:a']);
});

test('a node that is not remembered by its link leaves the list when the fleet wakes', async () => {
  await dial({ node: 'a' });
  const [alive] = await fleet().nodes();
  if (alive === undefined) throw new Error('the node is not listed');
  await fleet().nodeUpdated({ snapshot: { ...alive, node: 'ghost' as NodeId }, lobbies: [] });
  await evictDurableObject(stub(fleet()));
  const listed = await eventually(
    () => fleet().nodes(),
    (all) => all.length === 1,
  );
  expect(listed).toMatchObject([{ node: 'a', linked: true }]);
});

/** Rows that the fleet's database has written since it was opened. */
function writes(): Promise<number> {
  return runInDurableObject(stub(fleet()), (_, state) => {
    return state.storage.sql.exec<{ n: number }>('SELECT total_changes() AS n').one().n;
  });
}
