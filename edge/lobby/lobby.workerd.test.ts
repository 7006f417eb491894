import { evictDurableObject, reset, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { afterEach, describe, expect, test } from 'vitest';
import { mintSessionId, type SessionId } from '../../shared/ids.ts';
import type { IngressReport, NodeResult } from '../../shared/protocol/control.ts';
import { type DialOptions, dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import {
  eventually,
  fleet,
  lobbyIdOf,
  lobbyOf,
  nodeLink,
  playIn,
  publishIn,
  stored,
  stub,
} from './objects-under-test.ts';

const nodes: FakeNode[] = [];

async function dial(options: DialOptions = {}): Promise<FakeNode> {
  const node = await dialFakeNode(options);
  nodes.push(node);
  return node;
}

afterEach(async () => {
  for (const node of nodes.splice(0)) if (node.closed === null) node.close();
  await reset();
});

function reportOf(node: FakeNode, session: SessionId, state: IngressReport['state']): IngressReport {
  const carried = node.sessions.ingress.get(session);
  if (carried === undefined) throw new Error('the fake node does not carry this session');
  return { ...carried, state };
}

/** Reports, and waits until the fleet and the lobby have heard it. */
async function say(node: FakeNode, name: string, session: SessionId, state: IngressReport['state']): Promise<void> {
  const phase = { connecting: 'connecting', connected: 'live', silent: 'lost', closed: 'lost' }[state];
  node.report([reportOf(node, session, state)]);
  await eventually(
    () => record(name),
    (found) => found?.publisher?.phase === phase,
  );
}

interface Stored {
  publisher: { session: string; phase: string; deadline: number | null } | null;
  opening: object | null;
}

function record(name: string): Promise<Stored | undefined> {
  return runInDurableObject(stub(lobbyOf(name)), (_, state) => state.storage.kv.get<Stored>('lobby'));
}

/** Brings the deadline of a lost publisher forward instead of waiting for it: writes the record, wakes it anew. */
async function letGraceRunOut(name: string): Promise<void> {
  await runInDurableObject(stub(lobbyOf(name)), (_, state) => {
    const lobby = state.storage.kv.get<Stored>('lobby');
    if (!lobby?.publisher) throw new Error('there is no publisher');
    state.storage.kv.put('lobby', { ...lobby, publisher: { ...lobby.publisher, deadline: Date.now() } });
  });
  await evictDurableObject(stub(lobbyOf(name)));
  expect(await runDurableObjectAlarm(stub(lobbyOf(name)))).toBe(true);
}

describe('publish and play', () => {
  test('no media node: 503 with Retry-After, and nothing is stored', async () => {
    const { outcome } = await publishIn('r');
    expect(outcome).toMatchObject({ ok: false, problem: { status: 503, code: 'no_media_node' } });
    expect(outcome.ok ? 0 : outcome.problem.retryAfterSeconds).toBeGreaterThan(0);
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
  });

  test('a publisher, two viewers, trickle, probe, DELETE; then nothing is left', async () => {
    const node = await dial();
    const { session, outcome } = await publishIn('r');
    expect(outcome).toMatchObject({ ok: true });
    expect(await playIn('r')).toMatchObject({ ok: true, value: { node: node.node } });
    await playIn('r');
    expect(node.sessions.egress.size).toBe(2);
    const patched = await lobbyOf('r').patch({ session, fragment: 'a=mid:0\r\n', ifMatch: null, strict: false });
    expect(patched).toEqual({ ok: true, value: { kind: 'trickled' } });
    expect(await lobbyOf('r').probe({ session })).toEqual({ ok: true, value: null });
    node.report();
    await eventually(
      () => fleet().rooms(),
      ([room]) => room?.subscribers === 2,
    );
    expect(await fleet().rooms()).toEqual([{ name: 'r', hasPublisher: true, tracks: 2, subscribers: 2 }]);

    expect(await lobbyOf('r').unpublish({ session })).toEqual({ ok: true, value: null });

    expect(node.sessions.ingress.size + node.sessions.egress.size).toBe(0);
    expect(await playIn('r')).toMatchObject({ problem: { status: 404, detail: 'no active publisher in room' } });
    expect(await fleet().rooms()).toEqual([]);
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
    expect((await stored(nodeLink(node.node))).keys).toEqual(['link']);
    expect((await publishIn('r')).outcome.ok).toBe(true);
  });

  test('viewers cost the room no write', async () => {
    await dial();
    await publishIn('r');
    const before = await record('r');
    for (let viewer = 0; viewer < 5; viewer += 1) await playIn('r');
    expect(await record('r')).toEqual(before);
  });

  test('a second publisher is refused and the first is untouched', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    const before = await record('r');
    const { outcome } = await publishIn('r');
    expect(outcome).toMatchObject({ problem: { status: 409, detail: 'publisher already exists in this room' } });
    expect(await record('r')).toEqual(before);
    expect([...node.sessions.ingress.keys()]).toEqual([session]);
  });

  test('two at the same time: exactly one gets the room', async () => {
    await dial();
    const both = await Promise.all([publishIn('r'), publishIn('r')]);
    expect(both.map(({ outcome }) => outcome.ok).sort()).toEqual([false, true]);
  });

  test.each([400, 422])('an offer that the node refuses with %i leaves nothing behind', async (status) => {
    const node = await dial();
    node.refuse('publish', { status, code: 'bad_offer', detail: 'no' });
    expect((await publishIn('r')).outcome).toMatchObject({ problem: { status } });
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
    expect((await stored(nodeLink(node.node))).keys).toEqual(['link']);
    expect(await fleet().rooms()).toEqual([]);
    node.on('publish', null);
    expect((await publishIn('r')).outcome.ok).toBe(true);
  });

  test('a node whose link breaks under the offer: another one is tried, the room is there', async () => {
    const a = await dial({ node: 'a' });
    const b = await dial({ node: 'b' });
    for (const node of [a, b]) {
      node.on('publish', () => {
        const other = node === a ? b : a;
        other.on('publish', null);
        node.close();
        return new Promise<never>(() => undefined);
      });
    }
    const { session, outcome } = await publishIn('r');
    expect(outcome.ok).toBe(true);
    const carrier = [a, b].find((node) => node.sessions.ingress.has(session));
    expect(carrier?.closed).toBeNull();
  });

  test('a viewer that comes while the publisher’s offer is being answered waits for it', async () => {
    const node = await dial();
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    node.on('publish', async (request) => {
      await answered;
      return node.sessions.answer(request) as NodeResult<'publish'>;
    });
    const publishing = publishIn('r');
    await node.request('publish');
    const playing = playIn('r');
    answer();
    expect((await publishing).outcome.ok).toBe(true);
    expect((await playing).ok).toBe(true);
  });

  test('sessions that are not the room’s publisher are 404', async () => {
    await dial();
    await publishIn('r');
    const session = mintSessionId();
    const notHere = { ok: false, problem: { status: 404, code: 'no_session' } };
    expect(await lobbyOf('r').probe({ session })).toMatchObject(notHere);
    expect(await lobbyOf('r').unpublish({ session })).toMatchObject(notHere);
    expect(await lobbyOf('r').patch({ session, fragment: '', ifMatch: null, strict: false })).toMatchObject(notHere);
  });

  test('closing a room ends it; closing it again is 404', async () => {
    const node = await dial();
    await publishIn('r');
    await playIn('r');
    expect((await lobbyOf('r').closeRoom()).ok).toBe(true);
    expect(node.sessions.ingress.size + node.sessions.egress.size).toBe(0);
    expect(await lobbyOf('r').closeRoom()).toMatchObject({ problem: { status: 404 } });
  });

  test('closed while the offer is being answered: the publisher gets 409 and the node keeps nothing', async () => {
    const node = await dial();
    node.ignore('publish');
    const publishing = publishIn('r');
    const { session, generation } = await node.request('publish');
    // The node has opened it; its answer is on the way when the room is closed.
    node.sessions.ingress.set(session, { lobby: lobbyIdOf('r'), session, generation, state: 'connecting', tracks: [] });
    expect((await lobbyOf('r').closeRoom()).ok).toBe(true);
    expect(node.sessions.ingress.size).toBe(0);
    node.close();
    expect((await publishing).outcome.ok).toBe(false);
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
  });
});

describe('a publisher that goes away', () => {
  test('silence: viewers get 409 with Retry-After; back again, they get in', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    await say(node, 'r', session, 'connected');
    await say(node, 'r', session, 'silent');
    const refused = await playIn('r');
    expect(refused).toMatchObject({ problem: { status: 409, code: 'publisher_lost' } });
    expect(refused.ok ? 0 : refused.problem.retryAfterSeconds).toBeGreaterThan(0);
    await say(node, 'r', session, 'connected');
    expect((await playIn('r')).ok).toBe(true);
  });

  test('the grace runs out: viewers are closed, the room is free and empty', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    await playIn('r');
    await say(node, 'r', session, 'connected');
    await say(node, 'r', session, 'silent');
    await letGraceRunOut('r');
    expect((await node.request('apply')).desired.publisher).toBeNull();
    expect(node.sessions.egress.size).toBe(0);
    expect(await playIn('r')).toMatchObject({ problem: { status: 404 } });
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
    expect(await fleet().rooms()).toEqual([]);
  });

  test('an alarm that comes too early is set again for the end of the grace', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    await say(node, 'r', session, 'connected');
    await say(node, 'r', session, 'silent');
    expect(await runDurableObjectAlarm(stub(lobbyOf('r')))).toBe(true);
    const deadline = (await record('r'))?.publisher?.deadline;
    expect((await stored(lobbyOf('r'))).alarm).toBe(deadline);
  });

  test('another publisher takes over on the same node and names the lost one', async () => {
    await dial({ node: 'a' });
    await dial({ node: 'b' });
    const { session } = await publishIn('r');
    const carrier = nodes.find((node) => node.sessions.ingress.has(session));
    if (carrier === undefined) throw new Error('nobody carries it');
    await playIn('r');
    await say(carrier, 'r', session, 'connected');
    await say(carrier, 'r', session, 'closed');
    const next = await publishIn('r');
    expect(next.outcome.ok).toBe(true);
    expect(await carrier.request('publish', 2)).toMatchObject({ session: next.session, replaces: session });
    expect(carrier.sessions.egress.size, 'its viewers stayed').toBe(1);
    expect(await lobbyOf('r').probe({ session })).toMatchObject({ problem: { status: 404 } });
  });

  test('a takeover that the node refuses leaves the lost one with its grace', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    await say(node, 'r', session, 'connected');
    await say(node, 'r', session, 'silent');
    const before = await record('r');
    node.refuse('publish', { status: 422, code: 'no_common_codec', detail: 'no' });
    expect((await publishIn('r')).outcome).toMatchObject({ problem: { status: 422 } });
    expect((await record('r'))?.publisher).toEqual(before?.publisher);
    await say(node, 'r', session, 'connected');
  });

  test('one that never connected frees the room at once', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    node.report([{ ...reportOf(node, session, 'closed'), reason: 'never-connected' }]);
    await eventually(
      () => record('r'),
      (found) => found === undefined,
    );
    expect(await playIn('r')).toMatchObject({ problem: { status: 404 } });
  });

  test('late words of an older generation are dropped', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    await say(node, 'r', session, 'connected');
    const carried = reportOf(node, session, 'closed');
    node.send({
      type: 'report',
      ingress: [{ ...carried, generation: carried.generation - 1 }],
      lobbies: [{ lobby: lobbyIdOf('r'), subscribers: 7 }],
      load: { sessions: 1, packetsPerSecond: 0, cpu: 0 },
    });
    await eventually(
      () => fleet().rooms(),
      ([room]) => room?.subscribers === 7,
    );
    expect((await record('r'))?.publisher).toMatchObject({ session, phase: 'live' });
  });
});

describe('eviction', () => {
  const phases = ['connecting', 'live', 'lost'] as const;
  test.each(phases)('while %s: everything goes on, the URLs stay valid', async (phase) => {
    const node = await dial();
    const { session } = await publishIn('r');
    if (phase !== 'connecting') await say(node, 'r', session, 'connected');
    if (phase === 'lost') await say(node, 'r', session, 'silent');
    const before = await record('r');

    await evictDurableObject(stub(lobbyOf('r')));
    await evictDurableObject(stub(nodeLink(node.node)));
    await evictDurableObject(stub(fleet()));

    expect(await record('r')).toEqual(before);
    expect((await fleet().rooms()).map((room) => room.name)).toEqual(['r']);
    expect(await lobbyOf('r').probe({ session })).toEqual({ ok: true, value: null });
    const second = await publishIn('r');
    expect(second.outcome.ok, 'only a lost one may be replaced').toBe(phase === 'lost');
    const last = phase === 'lost' ? second.session : session;
    expect((await playIn('r')).ok).toBe(true);
    expect((await lobbyOf('r').unpublish({ session: last })).ok).toBe(true);
    expect(node.sessions.ingress.size + node.sessions.egress.size).toBe(0);
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
  });

  test('an opening whose call died with the object is undone on waking', async () => {
    const node = await dial();
    const { session } = await publishIn('other');
    const record = await runInDurableObject(stub(lobbyOf('other')), (_, state) =>
      state.storage.kv.get<{ publisher: object }>('lobby'),
    );
    await runInDurableObject(stub(lobbyOf('other')), (_, state) => {
      const target = { node: node.node, boot: node.boot };
      const opening = { session, generation: 1, deadline: Date.now() + 9_000, target, replaces: null, early: null };
      state.storage.kv.put('lobby', { ...record, publisher: null, opening });
    });
    await evictDurableObject(stub(lobbyOf('other')));
    expect(await playIn('other')).toMatchObject({ problem: { status: 404 } });
    expect((await node.request('apply')).desired.publisher).toBeNull();
    expect(await stored(lobbyOf('other'))).toMatchObject({ keys: [], alarm: null });
  });
});

// Hundreds of calls: on a busy machine they take longer than the usual limit.
test('200 rooms published, played and deleted: no row more than before', async () => {
  const node = await dial();
  const cycle = async (name: string) => {
    const { session, outcome } = await publishIn(name);
    expect(outcome.ok ? null : outcome.problem).toBeNull();
    await playIn(name);
    expect(await lobbyOf(name).unpublish({ session })).toMatchObject({ ok: true });
    // As long as anything is left to do, the runtime looks after no timer and no alarm: nobody would hear of the node.
    await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await cycle('room-0');
  const emptied = await stored(lobbyOf('room-0'));
  const fleetBefore = await stored(fleet());
  const linkBefore = await stored(nodeLink(node.node));
  for (let index = 1; index <= 200; index += 1) await cycle(`room-${index % 10}`);
  expect(node.sessions.ingress.size + node.sessions.egress.size).toBe(0);
  expect(await stored(lobbyOf('room-0'))).toEqual(emptied);
  expect(emptied.keys).toEqual([]);
  expect((await stored(fleet())).keys).toEqual(fleetBefore.keys);
  expect((await stored(nodeLink(node.node))).keys).toEqual(linkBefore.keys);
});

test('asking about rooms that are not there writes nothing', async () => {
  await dial();
  await playIn('nowhere');
  await lobbyOf('nowhere').probe({ session: mintSessionId() });
  await lobbyOf('nowhere').unpublish({ session: mintSessionId() });
  await lobbyOf('nowhere').closeRoom();
  await lobbyOf('nowhere').summary();
  expect(await stored(lobbyOf('nowhere'))).toEqual({ keys: [], alarm: null, tables: [] });
});

describe('recording', () => {
  const told = (node: FakeNode, name: string) => node.sessions.recordings.get(lobbyIdOf(name));

  test('a wish outlives the room, and reaches the node with each publisher and at once', async () => {
    const node = await dial();
    expect(await lobbyOf('r').recording({})).toBeNull();
    await lobbyOf('r').recording({ wish: { format: 'mp4' } });
    await evictDurableObject(stub(lobbyOf('r')));

    await publishIn('r');
    await eventually(
      async () => told(node, 'r'),
      (format) => format === 'mp4',
    );
    await lobbyOf('r').recording({ wish: { format: 'raw' } });
    await eventually(
      async () => told(node, 'r'),
      (format) => format === 'raw',
    );
    await lobbyOf('r').closeRoom();
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: ['recording'], alarm: null });

    expect(await lobbyOf('r').recording({ wish: null })).toBeNull();
    await publishIn('r');
    expect(told(node, 'r')).toBeUndefined();
    await lobbyOf('r').closeRoom();
    // What is said anyway need not be remembered.
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
  });

  test('a node that comes back hears it again', async () => {
    const node = await dial();
    await lobbyOf('r').recording({ wish: { format: 'webm' } });
    await publishIn('r');
    node.close();
    const again = await dial({ boot: node.boot, ingress: [...node.sessions.ingress.values()] });
    await eventually(
      async () => told(again, 'r'),
      (format) => format === 'webm',
    );
  });
});
