/** The media nodes as operators see them, and how one is drained. */
import { reset } from 'cloudflare:test';
import { afterEach, describe, expect, it } from 'vitest';
import { CONTROL_PROTOCOL_VERSION, FLEET_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { eventually, fleet } from '../lobby/objects-under-test.ts';
import { type Call, deployed, problemOf } from '../test-support/app.ts';
import { FakeNode, knock } from '../test-support/fake-node.ts';

const BOSS = { Authorization: 'Bearer boss' };
const call: Call = deployed({ ADMIN_TOKEN: 'boss' });
const nodes: FakeNode[] = [];

afterEach(async () => {
  for (const node of nodes.splice(0)) if (node.closed === null) node.close();
  await reset();
});

async function dial(name: string, hello: Parameters<FakeNode['hello']>[0] = {}): Promise<FakeNode> {
  const { webSocket } = await knock({ node: name });
  if (webSocket === null) throw new Error('the edge refused the dial');
  const node = new FakeNode(webSocket, { node: name });
  nodes.push(node);
  webSocket.accept();
  node.on('drain', () => ({}));
  node.hello(hello);
  await node.welcome();
  return node;
}

const drain = (name: string, init: RequestInit = {}) =>
  call(`/api/admin/nodes/${name}/drain`, { method: 'POST', ...init, headers: { ...BOSS, ...init.headers } });
const json = (body: unknown): RequestInit => ({
  body: JSON.stringify(body),
  headers: { 'Content-Type': 'application/json' },
});
const list = async () => (await call('/api/admin/nodes', { headers: BOSS })).json();

it('lists all that is known of a node, with its place from the name of its region', async () => {
  await dial('n-1', { region: 'eu-central-1', capacity: { sessions: 9, packetsPerSecond: 1000, bandwidthBps: 1e9 } });
  await dial('n-2', { coordinates: { latitude: 1, longitude: 2 } });
  expect(await list()).toMatchObject([
    {
      node: 'n-1',
      linked: true,
      coordinates: { latitude: 50.1, longitude: 8.7 },
      protocol: CONTROL_PROTOCOL_VERSION,
      capacity: { sessions: 9, packetsPerSecond: 1000, bandwidthBps: 1e9 },
      draining: false,
      drainingSince: null,
      drainTimeoutMs: null,
      lobbies: [],
    },
    { node: 'n-2', coordinates: { latitude: 1, longitude: 2 } },
  ]);
});

it('lists viewers and relays by lobby, with their sums', async () => {
  const node = await dial('n-1');
  await dial('n-2');
  const relays = { from: ['n-2', 'n-2'], to: ['n-3', 'n-4'] } as never;
  const [room, space] = ['room:r', 'space:s'] as [never, never];
  node.report([], {
    lobbies: [
      { lobby: room, subscribers: 3, relays },
      { lobby: space, subscribers: 2 },
    ],
  });
  await eventually(
    () => fleet().nodes(),
    ([known]) => known?.lobbies.length === 2,
  );
  expect(await list()).toMatchObject([
    {
      node: 'n-1',
      totals: { lobbies: 2, subscribers: 5, relaysFrom: 2, relaysTo: 2 },
      lobbies: [
        { lobby: 'room:r', subscribers: 3, relays },
        { lobby: 'space:s', subscribers: 2, relays: { from: [], to: [] } },
      ],
    },
    { node: 'n-2', totals: { lobbies: 0, subscribers: 0, relaysFrom: 0, relaysTo: 0 }, lobbies: [] },
  ]);
});

describe('drain', () => {
  it('is told to the node, shows in the list, and nothing new goes there', async () => {
    const node = await dial('n-1');
    const response = await drain('n-1', json({ timeoutMs: 1500 }));
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({
      node: 'n-1',
      draining: true,
      drainingSince: expect.any(Number),
      drainTimeoutMs: 1500,
    });
    expect(await node.request('drain')).toMatchObject({ timeoutMs: 1500 });
    expect(await list()).toMatchObject([{ node: 'n-1', draining: true }]);
    const placed = await fleet().place({ lobby: 'room:r' as never, prefer: node.node });
    expect(placed).toMatchObject({ problem: { code: 'no_media_node', retryAfterSeconds: expect.any(Number) } });
  });

  it('has a timeout of its own choice, and may be said again', async () => {
    const node = await dial('n-1');
    expect((await drain('n-1')).status).toBe(202);
    expect((await drain('n-1')).status).toBe(202);
    expect(await node.request('drain', 2)).toMatchObject({ timeoutMs: 30_000 });
  });

  it('of a node that has done so by itself is seen in the list', async () => {
    const node = await dial('n-1');
    node.report([], { draining: true });
    await eventually(
      () => fleet().nodes(),
      ([known]) => known?.draining === true,
    );
  });

  it('is not for a node that is too old', async () => {
    await dial('n-1', { protocol: FLEET_PROTOCOL_VERSION - 1 });
    const response = await drain('n-1');
    expect(response.status).toBe(501);
    expect((await problemOf(response)).code).toBe('drain_not_supported');
  });

  it.each([
    ['a node that is not there', 'n-9', {}, 404, 'no_node'],
    ['what cannot be a node', 'a%20b', {}, 404, 'no_node'],
    ['no JSON', 'n-1', { body: 'x', headers: { 'Content-Type': 'text/plain' } }, 415, 'unsupported_media_type'],
    ['a negative time', 'n-1', json({ timeoutMs: -1 }), 400, 'bad_body'],
    ['an unknown wish', 'n-1', json({ when: 'later' }), 400, 'bad_body'],
  ])('refuses %s', async (_, name, init, status, code) => {
    await dial('n-1');
    const response = await drain(name, init);
    expect(response.status).toBe(status);
    expect((await problemOf(response)).code).toBe(code);
  });

  it('is for operators', async () => {
    const response = await call('/api/admin/nodes/n-1/drain', { method: 'POST' });
    expect(response.status).toBe(401);
  });
});
