import { evictDurableObject, reset, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { afterEach, describe, expect, test } from 'vitest';
import { mintSessionId, type NodeId } from '../../shared/ids.ts';
import type { Coordinates, IngressReport } from '../../shared/protocol/control.ts';
import { admit } from '../audience/admission.ts';
import type { Relay } from '../relay/relay-tree.ts';
import { type DialOptions, dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { PLAY_OFFER, PUBLISH_OFFER } from '../test-support/sample-sdp.ts';
import type { LobbyState } from './lobby-state.ts';
import { eventually, lobbyIdOf, lobbyOf, nodeLink, objects, stored, stub } from './objects-under-test.ts';

const PARIS: Coordinates = { latitude: 48.9, longitude: 2.4 };
const TOKYO: Coordinates = { latitude: 35.7, longitude: 139.7 };
const LIMA: Coordinates = { latitude: -12, longitude: -77 };
const LOBBY = lobbyIdOf('r');

const nodes: FakeNode[] = [];

async function dial(node: string, coordinates: Coordinates, options: DialOptions = {}): Promise<FakeNode> {
  const dialled = await dialFakeNode({ node, coordinates, ...options });
  nodes.push(dialled);
  return dialled;
}

afterEach(async () => {
  for (const node of nodes.splice(0)) if (node.closed === null) node.close();
  await reset();
});

async function publish(near: Coordinates, replaces: ReturnType<typeof mintSessionId> | null = null) {
  const session = mintSessionId();
  const outcome = await lobbyOf('r').publish({ lobby: LOBBY, session, offer: PUBLISH_OFFER, near, replaces });
  return { session, outcome };
}

async function watch(near: Coordinates | null): Promise<string> {
  const outcome = await admit(objects, { lobby: LOBBY, session: mintSessionId(), offer: PLAY_OFFER, near });
  return outcome.ok ? outcome.value.node : outcome.problem.code;
}

function record(): Promise<LobbyState | undefined> {
  return runInDurableObject(stub(lobbyOf('r')), (_, state) => state.storage.kv.get<LobbyState>('lobby'));
}

/** The publisher's node says so, and the lobby has heard it. */
async function say(node: FakeNode, state: IngressReport['state']): Promise<void> {
  node.report([...node.ingress.values()].map((report) => ({ ...report, state })));
  const phase = state === 'connected' ? 'live' : 'lost';
  await eventually(record, (found) => found?.publisher?.phase === phase);
}

async function relayed(node: FakeNode, state: 'connected' | 'closed' | 'silent', idle = false): Promise<void> {
  const { generation } = node.sessions.relays.get(LOBBY) ?? { generation: 0 };
  node.reportRelay(LOBBY, { state, idle });
  await eventually(record, (found) => {
    const relay = found?.tree?.relays.find((known) => known.node === node.node);
    if (state !== 'connected') return relay?.hop.generation !== generation;
    return relay?.phase === 'connected' && (relay.idleSince !== null) === idle;
  });
}

/** Paris publishes, Tokyo watches over a relay that is up. */
async function overTwo(options: DialOptions = {}) {
  const paris = await dial('paris', PARIS);
  const tokyo = await dial('tokyo', TOKYO, options);
  const { session } = await publish(PARIS);
  await say(paris, 'connected');
  expect(await watch(TOKYO)).toBe('tokyo');
  await relayed(tokyo, 'connected');
  return { paris, tokyo, session };
}

/** Brings everything that waits for its time forward: writes the record, wakes the lobby anew. */
async function letTimePass(change: (state: LobbyState) => LobbyState): Promise<void> {
  await runInDurableObject(stub(lobbyOf('r')), (_, state) => {
    const lobby = state.storage.kv.get<LobbyState>('lobby');
    if (lobby === undefined) throw new Error('there is no room');
    state.storage.kv.put('lobby', change(lobby));
  });
  await evictDurableObject(stub(lobbyOf('r')));
  await runDurableObjectAlarm(stub(lobbyOf('r')));
}

function withRelay(state: LobbyState, changes: Partial<Relay>): LobbyState {
  if (state.tree === null) throw new Error('there is no relay');
  return { ...state, tree: { ...state.tree, relays: state.tree.relays.map((relay) => ({ ...relay, ...changes })) } };
}

describe('growing', () => {
  test('viewers go to the node near them; each other node pulls exactly one relay', async () => {
    const paris = await dial('paris', PARIS);
    const tokyo = await dial('tokyo', TOKYO);
    const lima = await dial('lima', LIMA);
    await publish(PARIS);
    const went = await Promise.all([PARIS, TOKYO, LIMA, TOKYO, LIMA, PARIS].map(watch));
    expect(went).toEqual(['paris', 'tokyo', 'lima', 'tokyo', 'lima', 'paris']);
    expect(paris.requests.filter(({ method }) => method === 'relay-offer')).toHaveLength(2);
    for (const node of [tokyo, lima]) {
      const pull = await node.request('relay-pull');
      expect(pull).toMatchObject({
        relay: { upstream: 'paris' },
        source: null,
        tracks: [{ kind: 'audio' }, { kind: 'video' }],
      });
      await eventually(async () => paris.sessions.served.get(pull.relay.session)?.answered, Boolean);
    }
  });

  test('a publisher who leaves while a node is made ready: that is why there is no way, not that no node has room', async () => {
    const paris = await dial('paris', PARIS);
    await dial('tokyo', TOKYO);
    const { session } = await publish(PARIS);
    paris.on('relay-offer', () => new Promise(() => undefined));
    const watching = watch(TOKYO);
    await paris.request('relay-offer');
    await lobbyOf('r').unpublish({ session });
    expect(await watching).toBe('no_publisher');
  });

  test('without a place, and where all is well, everybody stays on the publisher’s node', async () => {
    await dial('a', PARIS);
    await dial('b', TOKYO);
    await publish(TOKYO);
    expect(await Promise.all(Array.from({ length: 6 }, () => watch(null)))).toEqual(Array(6).fill('b'));
  });

  test.each([
    ['refuses', (node: FakeNode) => node.refuse('relay-pull', { status: 503, code: 'node_full', detail: 'full' })],
    ['is too old', (node: FakeNode) => node.refuse('relay-pull', { status: 501, code: 'not_supported', detail: 'no' })],
  ] as const)(
    'a node that %s: its viewers go to one that has the tracks, and nothing is left open',
    async (_, prepare) => {
      const paris = await dial('paris', PARIS);
      prepare(await dial('tokyo', TOKYO));
      await publish(PARIS);
      expect(await watch(TOKYO)).toBe('paris');
      await eventually(
        async () => paris.sessions.served.size,
        (left) => left === 0,
      );
      expect((await record())?.tree).toBeNull();
    },
  );

  test('nodes of the version before are never asked to relay', async () => {
    await dial('paris', PARIS);
    const tokyo = await dial('tokyo', TOKYO, { protocol: 1 });
    await publish(PARIS);
    expect(await watch(TOKYO)).toBe('paris');
    expect(tokyo.requests).toEqual([]);
  });

  test('viewers of a grown tree cost the room no write', async () => {
    await overTwo();
    const before = await record();
    for (let viewer = 0; viewer < 5; viewer += 1) expect(await watch(TOKYO)).toBe('tokyo');
    expect(await record()).toEqual(before);
  });

  test('gone while it was growing: the half-open relay is closed, and another one is opened', async () => {
    const { paris, tokyo } = await overTwo();
    const first = await tokyo.request('relay-pull');
    await letTimePass((state) =>
      withRelay(state, { phase: 'pulling', held: null, inUse: false, deadline: Date.now() + 60_000 }),
    );
    expect((await lobbyOf('r').summary())?.hasPublisher).toBe(true);
    const second = await tokyo.request('relay-pull', 2);
    expect(second.relay.generation).toBeGreaterThan(first.relay.generation);
    expect((await paris.request('close')).session).toBe(first.relay.session);
  });
});

describe('the limit of viewers', () => {
  test('counts those on other nodes as reported', async () => {
    const { tokyo } = await overTwo();
    tokyo.report();
    const counted = () => objects.FLEET.getByName('fleet').viewersOf({ lobby: LOBBY });
    expect(await eventually(counted, (found) => found.length > 0)).toEqual([{ node: 'tokyo', subscribers: 1 }]);
  });
});

describe('healing', () => {
  test('a relay that is lost is replaced, the viewers stay', async () => {
    const { tokyo } = await overTwo();
    await relayed(tokyo, 'silent');
    expect((await tokyo.request('relay-pull', 2)).relay.upstream).toBe('paris');
    expect(tokyo.egress.size).toBe(1);
  });

  test('the publisher’s node dies: the room is free at once, and viewers elsewhere get the next publisher', async () => {
    const { paris, tokyo } = await overTwo();
    const lima = await dial('lima', LIMA);
    paris.close();
    await nodeLink(paris.node).announce({ node: paris.node, boot: paris.boot });
    await lobbyOf('r').nodeLost({ node: paris.node, boot: paris.boot });
    expect(await watch(TOKYO)).toBe('publisher_lost');
    expect(tokyo.egress.size, 'they wait').toBe(1);
    const next = await publish(LIMA);
    expect(next.outcome.ok).toBe(true);
    expect(lima.ingress.has(next.session)).toBe(true);
    expect((await tokyo.request('relay-pull', 2)).relay.upstream).toBe('lima');
    expect(tokyo.egress.size).toBe(1);
  });

  test('nobody publishes again within the grace: everything ends everywhere', async () => {
    const { paris, tokyo } = await overTwo();
    await lobbyOf('r').nodeLost({ node: paris.node, boot: paris.boot });
    await letTimePass((state) => ({
      ...state,
      publisher: state.publisher && { ...state.publisher, deadline: Date.now() },
    }));
    await tokyo.until(() => tokyo.egress.size === 0 && tokyo.sessions.relays.size === 0);
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
  });

  test('a node that links again is told to keep its relay', async () => {
    const { tokyo } = await overTwo();
    const relays = [...tokyo.sessions.relays.values()];
    tokyo.close();
    const again = await dial('tokyo', TOKYO, {
      boot: tokyo.boot,
      lobbies: [{ lobby: LOBBY, subscribers: 1 }],
      hello: false,
    });
    again.hello({ relays });
    const { desired } = await again.welcome();
    expect(desired).toMatchObject([{ lobby: LOBBY, publisher: null, relay: { session: relays[0]?.session } }]);
  });

  test('the end of the room ends its relays, and nothing is left in storage', async () => {
    const { tokyo, session } = await overTwo();
    expect((await lobbyOf('r').unpublish({ session })).ok).toBe(true);
    await tokyo.until(() => tokyo.egress.size === 0 && tokyo.sessions.relays.size === 0);
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
    expect((await stored(nodeLink('tokyo' as NodeId))).keys).toEqual(['link']);
    expect(await watch(TOKYO)).toBe('no_publisher');
  });
});

describe('shrinking', () => {
  test('just woken, nobody knows who is on the way: an idle relay is looked at again later', async () => {
    const { tokyo } = await overTwo();
    await relayed(tokyo, 'connected', true);
    await letTimePass((state) => withRelay(state, { idleSince: 1 }));
    expect((await record())?.tree?.relays[0]?.idleSince).toBeGreaterThan(1);
  });
});

describe('a publisher that is asked to move', () => {
  test('opens elsewhere beside itself, and takes its own place when it is connected', async () => {
    const { paris, tokyo, session } = await overTwo();
    const lima = await dial('lima', LIMA);
    paris.sessions.draining = true;
    paris.report(undefined, { draining: true });
    await eventually(
      () => objects.FLEET.getByName('fleet').nodes(),
      (found) => found.some(({ node, draining }) => node === 'paris' && draining),
    );
    const moved = await publish(LIMA, session);
    expect(moved.outcome.ok).toBe(true);
    expect(lima.ingress.has(moved.session)).toBe(true);
    expect((await record())?.publisher?.session, 'until then the old one goes on').toBe(session);
    expect(await lobbyOf('r').probe({ session: moved.session })).toMatchObject({ ok: true });
    lima.report([...lima.ingress.values()].map((report) => ({ ...report, state: 'connected' })));
    await eventually(record, (found) => found?.publisher?.session === moved.session);
    expect((await tokyo.request('relay-pull', 2)).relay.upstream).toBe('lima');
    expect((await paris.request('relay-pull')).relay.upstream).toBe('lima');
    expect(paris.ingress.size).toBe(0);
    expect(tokyo.egress.size).toBe(1);
  });

  test('to a node that has a relay of its tracks: the old session goes on as well until the new one is connected', async () => {
    const { paris, tokyo, session } = await overTwo();
    paris.sessions.draining = true;
    paris.report(undefined, { draining: true });
    await eventually(
      () => objects.FLEET.getByName('fleet').nodes(),
      (found) => found.some(({ node, draining }) => node === 'paris' && draining),
    );
    const moved = await publish(TOKYO, session);
    expect(moved.outcome.ok).toBe(true);
    expect(tokyo.ingress.has(moved.session)).toBe(true);
    expect((await record())?.publisher?.session).toBe(session);
    expect(await lobbyOf('r').probe({ session })).toMatchObject({ ok: true });
    expect(paris.ingress.has(session)).toBe(true);
    tokyo.report([...tokyo.ingress.values()].map((report) => ({ ...report, state: 'connected' })));
    await eventually(record, (found) => found?.publisher?.session === moved.session);
    expect((await paris.request('relay-pull')).relay.upstream).toBe('tokyo');
    expect(paris.ingress.size).toBe(0);
    expect(tokyo.egress.size).toBe(1);
  });

  test('somebody else’s session is no proof', async () => {
    const { session } = await overTwo();
    expect((await publish(LIMA, mintSessionId())).outcome).toMatchObject({ problem: { code: 'publisher_exists' } });
    expect((await record())?.publisher?.session).toBe(session);
  });

  test('draining nodes get no viewers', async () => {
    const { tokyo } = await overTwo();
    tokyo.sessions.draining = true;
    tokyo.report([], { draining: true });
    await eventually(
      () => watch(TOKYO),
      (where) => where === 'paris',
    );
  });
});

test('a record of the version before is read, and the room goes on', async () => {
  const { session } = await overTwo();
  await runInDurableObject(stub(lobbyOf('r')), (_, state) => {
    const now = state.storage.kv.get<LobbyState>('lobby');
    if (!now?.publisher) throw new Error('there is no publisher');
    const { successor: _s, tree: _t, ...rest } = now;
    const { gone: _g, ...publisher } = now.publisher;
    state.storage.kv.put('lobby', { ...rest, version: 1, publisher });
  });
  await evictDurableObject(stub(lobbyOf('r')));
  expect(await lobbyOf('r').probe({ session })).toEqual({ ok: true, value: null });
  expect(await watch(PARIS)).toBe('paris');
});
