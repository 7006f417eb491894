import { evictDurableObject, reset } from 'cloudflare:test';
import { afterEach, expect, test, vi } from 'vitest';
import { Lobby } from '../lobby/lobby-object.ts';
import { eventually, lobbyIdOf, objects, playIn, stored, stub } from '../lobby/objects-under-test.ts';
import { deployed, post, problemOf, publishIn } from '../test-support/app.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { PLAY_OFFER, PUBLISH_OFFER } from '../test-support/sample-sdp.ts';
import { cellName } from './shard.ts';

const nodes: FakeNode[] = [];
const NAME = `${cellName(lobbyIdOf('r'), null)}|0`;
const call = deployed();

async function dial(node = 'node-1'): Promise<FakeNode> {
  const dialled = await dialFakeNode({ node });
  nodes.push(dialled);
  return dialled;
}

/** Counts the questions to the lobbies from now on. */
function countRoutes(): () => number {
  const spy = vi.spyOn(Lobby.prototype, 'route');
  return () => spy.mock.calls.length;
}

afterEach(async () => {
  for (const node of nodes.splice(0)) if (node.closed === null) node.close();
  vi.restoreAllMocks();
  await reset();
});

test('the lobby hears of a few of many viewers, and nothing is stored for them', async () => {
  const node = await dial();
  await publishIn(call, 'r');
  const asked = countRoutes();
  const all = await Promise.all(Array.from({ length: 200 }, () => playIn('r')));
  expect(all.every(({ ok }) => ok)).toBe(true);
  expect(node.egress.size).toBe(200);
  expect(asked()).toBeGreaterThan(0);
  expect(asked()).toBeLessThanOrEqual(10);
  expect(await stored(objects.AUDIENCE.getByName(NAME))).toEqual({ keys: [], alarm: null, tables: [] });
});

test('a storm on a room without publisher does not reach the lobby; whoever comes after it has begun gets in', async () => {
  await dial();
  // One object for all: when many come there may be several, and each asks for itself.
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const asked = countRoutes();
  const begunAt = Date.now();
  for (let wave = 0; wave < 20; wave += 1) await Promise.all(Array.from({ length: 20 }, () => playIn('r')));
  // What a second begins with is asked, and the wave in which that was enough; the slower the machine, the more seconds.
  const seconds = 2 + Math.floor((Date.now() - begunAt) / 1000);
  expect(asked()).toBeGreaterThan(0);
  expect(asked()).toBeLessThanOrEqual(40 * seconds);
  await publishIn(call, 'r');
  await eventually(
    () => playIn('r'),
    ({ ok }) => ok,
  );
});

test('a publisher that goes is no secret: 404 at once, and a new one is found at once on another node', async () => {
  const first = await dial('a');
  const path = await publishIn(call, 'r');
  expect((await playIn('r')).ok).toBe(true);
  expect((await call(path, { method: 'DELETE' })).status).toBe(200);
  expect(await playIn('r')).toMatchObject({ ok: false, problem: { code: 'no_publisher' } });
  first.close();
  const second = await dial('b');
  await objects.FLEET.getByName('fleet').nodeGone({ node: first.node, boot: first.boot });
  await publishIn(call, 'r');
  expect(await playIn('r')).toMatchObject({ ok: true, value: { node: second.node } });
});

test('a full node sends its viewers to another one, not to nowhere', async () => {
  const a = await dial('a');
  const b = await dial('b');
  await publishIn(call, 'r');
  const [carrier, other] = a.ingress.size > 0 ? [a, b] : [b, a];
  expect(await playIn('r')).toMatchObject({ value: { node: carrier.node } });
  carrier.refuse('play', { status: 503, code: 'node_full', detail: 'full', retryAfterSeconds: 2 });
  expect(await playIn('r')).toMatchObject({ ok: true, value: { node: other.node } });
  other.refuse('play', { status: 503, code: 'node_full', detail: 'full', retryAfterSeconds: 2 });
  expect(await playIn('r')).toMatchObject({ ok: false, problem: { status: 503 } });
});

test('evicted: the next viewer gets in', async () => {
  await dial();
  // A room of its own: those above are spread over more objects by now.
  await publishIn(call, 'quiet');
  await playIn('quiet');
  await evictDurableObject(stub(objects.AUDIENCE.getByName(`${cellName(lobbyIdOf('quiet'), null)}|0`)));
  expect((await playIn('quiet')).ok).toBe(true);
});

test('where a viewer is, is taken from Cloudflare, or from the header that a setting names', async () => {
  const paris = { latitude: 48.9, longitude: 2.4 };
  const tokyo = { latitude: 35.7, longitude: 139.7 };
  nodes.push(await dialFakeNode({ node: 'paris', coordinates: paris }));
  nodes.push(await dialFakeNode({ node: 'tokyo', coordinates: tokyo }));
  const placed = deployed({ CLIENT_PLACE_HEADER: 'X-Place' });
  const at = (place: string) => ({ 'X-Place': place });
  await publishIn(placed, 'r', at('48.9,2.4'));
  const watched = async (edge: typeof call, init: RequestInit) =>
    (await edge('/api/whep/play/r', init)).headers.get('Location')?.split('.')[2];
  expect(await watched(placed, post(PLAY_OFFER, at('35.7,139.7')))).toBe('tokyo');
  expect(await watched(placed, post(PLAY_OFFER, at('48.9,2.4')))).toBe('paris');
  const far = { latitude: '35.7', longitude: '139.7' };
  expect(await watched(call, { ...post(PLAY_OFFER), cf: far } as RequestInit)).toBe('tokyo');
});

test('a publisher moves by the URL of its own session, and by no other', async () => {
  const a = await dial('a');
  const b = await dial('b');
  const path = await publishIn(call, 'r');
  const elsewhere = await publishIn(call, 'other');
  const [carrier, other] = a.ingress.size > b.ingress.size ? [a, b] : [b, a];
  const again = (replaces: string) =>
    call('/api/whip/publish/r', post(PUBLISH_OFFER, { 'Vestibule-Replaces': replaces }));
  const forged = `${path.slice(0, -1)}${path.endsWith('A') ? 'B' : 'A'}`;
  for (const wrong of [forged, elsewhere, 'nonsense']) {
    const refused = await again(wrong);
    expect(refused.status).toBe(403);
    expect((await problemOf(refused)).code).toBe('not_your_session');
  }
  expect((await again('')).status).toBe(409);
  const taken = await again(`http://edge.test${path}`);
  expect(taken.status).toBe(201);
  expect(carrier.ingress.size + other.ingress.size).toBe(2);
});
