import { evictDurableObject, reset, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { afterEach, describe, expect, test } from 'vitest';
import { mintBootId, mintSessionId, type NodeId, type SessionId } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  FLEET_PROTOCOL_VERSION,
  LINK_SILENCE_MS,
  PING_FRAME,
  RELINK_GRACE_MS,
} from '../../shared/protocol/control.ts';
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
} from '../lobby/objects-under-test.ts';
import { type DialOptions, dialFakeNode, FakeNode, knock } from '../test-support/fake-node.ts';

const NODE = 'node-1' as NodeId;
const dialled: FakeNode[] = [];

async function dial(options: DialOptions = {}): Promise<FakeNode> {
  const node = await dialFakeNode(options);
  dialled.push(node);
  return node;
}

/** The same life of the same node, with what it carries. */
function redial(node: FakeNode): Promise<FakeNode> {
  return dial({ node: node.node, boot: node.boot, ingress: [...node.sessions.ingress.values()] });
}

afterEach(async () => {
  for (const node of dialled.splice(0)) if (node.closed === null) node.close();
  await reset();
});

async function unlinked(node: NodeId = NODE): Promise<void> {
  await eventually(
    () => fleet().nodes(),
    (all) => all.find((one) => one.node === node)?.linked !== true,
  );
}

/** As if the link had been down, or nothing had been heard on it, for `ms`. */
async function backdate(ms: number): Promise<void> {
  await runInDurableObject(stub(nodeLink(NODE)), (_, state) => {
    const record = state.storage.kv.get<{ downSince: number | null }>('link');
    if (record !== undefined && record.downSince !== null) {
      state.storage.kv.put('link', { ...record, downSince: record.downSince - ms });
    }
    for (const socket of state.getWebSockets()) {
      const attachment = socket.deserializeAttachment();
      socket.serializeAttachment({ ...attachment, since: attachment.since - ms });
    }
  });
  // What it has heard since then is in memory only.
  await evictDurableObject(stub(nodeLink(NODE)));
}

const probe = (session: SessionId, deadlineMs?: number) =>
  nodeLink(NODE).request<'probe'>({ method: 'probe', session }, deadlineMs);

describe('hello', () => {
  test('the fleet knows the node when it is welcomed', async () => {
    await dial({ region: 'here', capacity: 7 });
    expect(await fleet().nodes()).toMatchObject([
      { node: NODE, linked: true, region: 'here', capacity: { sessions: 7 }, engine: 'portable' },
    ]);
  });

  test.each([
    ['names another node', { node: 'other' as NodeId }, /another node/],
    ['speaks another protocol', { protocol: CONTROL_PROTOCOL_VERSION + 2 }, /protocol/],
  ])('one that %s is refused with the reason', async (_, changes, reason) => {
    const node = await dial({ hello: false });
    node.hello(changes);
    await node.until(() => node.closed !== null);
    expect(node.closed).toMatchObject({ code: 1008, reason: expect.stringMatching(reason) });
    expect(await fleet().nodes()).toEqual([]);
  });

  test.each(['{}', 'not json', '{"type":"report"}'])('a link that begins with %s is closed', async (frame) => {
    const node = await dial({ hello: false });
    node.sendRaw(frame);
    await node.until(() => node.closed !== null);
    expect(node.closed).toMatchObject({ code: 1008, reason: 'hello expected' });
  });

  test('a second one on the same link closes it', async () => {
    const node = await dial();
    node.hello();
    await node.until(() => node.closed !== null);
    expect(node.closed).toMatchObject({ code: 1008, reason: 'duplicate hello' });
    await unlinked();
  });

  test('frames that fit nothing are dropped and the link lives', async () => {
    const node = await dial();
    node.sendRaw('{"type":"surprise"}');
    node.sendRaw(new ArrayBuffer(8));
    node.sendRaw('{"type":"response","id":1,"outcome":{"ok":true}}');
    const { session } = await publishIn('r');
    expect((await probe(session)).ok).toBe(true);
  });

  test('who does not say hello in time is closed', async () => {
    const node = await dial({ hello: false });
    await backdate(60_000);
    expect(await runDurableObjectAlarm(stub(nodeLink(NODE)))).toBe(true);
    await node.until(() => node.closed !== null);
    expect(node.closed).toMatchObject({ code: 1008, reason: 'no hello' });
  });
});

describe('who must not disturb others', () => {
  test('another process with the same id is refused while the first is alive, and nothing of the first is lost', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    const impostor = await dial({ hello: false });
    impostor.hello();
    await impostor.until(() => impostor.closed !== null);
    expect(impostor.closed).toMatchObject({ code: 4003, reason: expect.stringMatching(/another node/) });
    expect(impostor.welcomes).toEqual([]);
    expect((await probe(session)).ok).toBe(true);
    expect((await fleet().nodes())[0]).toMatchObject({ boot: node.boot, linked: true });
  });

  test('a flood of hellos is refused; the node that is here stays, and may come back', async () => {
    const node = await dial();
    let refused = 0;
    for (let index = 0; index < 20; index += 1) {
      const flood = await dial({ hello: false });
      flood.hello({ boot: mintBootId() });
      await flood.until(() => flood.closed !== null);
      if (flood.closed?.code === 4002) refused += 1;
    }
    expect(refused).toBeGreaterThan(5);
    expect(node.closed).toBeNull();
    await redial(node);
  });

  test('many who dial and say nothing make way for one who does', async () => {
    const silent: FakeNode[] = [];
    for (let index = 0; index < 20; index += 1) silent.push(await dial({ hello: false }));
    await dial();
    const [first] = silent;
    await first?.until(() => first.closed !== null);
    expect(first?.closed).toMatchObject({ code: 4002 });
  });

  test('a load that cannot be true is cut down before others see it', async () => {
    const node = await dial({ capacity: 1e12 });
    expect((await fleet().nodes())[0]?.capacity.sessions).toBe(100_000);
    node.report([], { lobbies: [{ lobby: lobbyIdOf('r'), subscribers: 5e9 }] });
    const [known] = await eventually(
      () => fleet().nodes(),
      ([one]) => (one?.load.sessions ?? 0) > 0,
    );
    expect(known).toMatchObject({ load: { sessions: 100_000 }, lobbies: [{ subscribers: 100_000 }] });
  });
});

describe('a node of the version before', () => {
  test('is not asked for what it does not know', async () => {
    const node = await dial({ hello: false });
    node.hello({ protocol: FLEET_PROTOCOL_VERSION - 1 });
    expect(await node.welcome()).toMatchObject({ protocol: FLEET_PROTOCOL_VERSION - 1 });
    const outcome = await nodeLink(NODE).request<'drain'>({ method: 'drain', timeoutMs: 1 });
    expect(outcome).toMatchObject({ problem: { status: 501, code: 'node_too_old' } });
    expect(node.requests).toEqual([]);
    expect((await probe(mintSessionId())).ok, 'and serves as before').toBe(false);
    expect(node.requests).toMatchObject([{ method: 'probe' }]);
  });
});

describe('requests', () => {
  test('a node that was never here: 503 at once, and nobody has a session there', async () => {
    const opened = await nodeLink(NODE).request<'drain'>({ method: 'drain', timeoutMs: 1 });
    expect(opened).toMatchObject({ problem: { status: 503, code: 'node_unreachable' } });
    expect(await probe(mintSessionId())).toMatchObject({ problem: { status: 404, code: 'no_session' } });
    expect(await stored(nodeLink(NODE))).toMatchObject({ keys: [], alarm: null });
  });

  test('no answer: 504 after the deadline, and the late answer hurts nobody', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    let answer = (): void => undefined;
    node.on('probe', () => new Promise((resolve) => (answer = () => resolve({}))));
    expect(await probe(session, 20)).toMatchObject({ problem: { status: 504, code: 'node_timeout' } });
    node.on('probe', null);
    answer();
    expect((await probe(session)).ok).toBe(true);
  });

  test('an answer that does not fit the method: 502', async () => {
    const { webSocket } = await knock();
    if (webSocket === null) throw new Error('the edge refused the dial');
    const node = new FakeNode(webSocket, {});
    dialled.push(node);
    node.ignore('probe');
    webSocket.addEventListener('message', ({ data }) => {
      const { type, id } = JSON.parse(String(data));
      if (type === 'request') node.send({ type: 'response', id, outcome: { ok: true, value: 'nonsense' } });
    });
    webSocket.accept();
    node.hello();
    await node.welcome();
    expect(await probe(mintSessionId())).toMatchObject({ problem: { status: 502, code: 'node_error' } });
  });

  test('the node’s refusal is passed on as it is', async () => {
    const node = await dial();
    const problem = { status: 412, code: 'precondition_failed', detail: 'stale', retryAfterSeconds: 3 };
    node.refuse('probe', problem);
    expect(await probe(mintSessionId())).toEqual({ ok: false, problem });
  });

  test('the link breaks while a request waits: 503', async () => {
    const node = await dial();
    node.ignore('probe');
    const asked = probe(mintSessionId());
    await node.request('probe');
    node.close();
    expect(await asked).toMatchObject({ problem: { status: 503, code: 'node_unreachable' } });
  });

  test('a machine goes dark while somebody asks for a session there: 404 as soon as the node is given up', async () => {
    const node = await dial({ pings: false });
    node.ignore('probe');
    // It does not ping, so this is the time that its silence may last.
    const asked = await probe(mintSessionId(), 3 * LINK_SILENCE_MS);
    expect(asked).toMatchObject({ problem: { status: 404, code: 'no_session' } });
    await node.until(() => node.closed !== null);
    expect(node.closed).toMatchObject({ reason: 'silent' });
  });

  test('a request for an earlier life of the node does not reach this one', async () => {
    const node = await dial();
    const outcome = await nodeLink(NODE).request<'probe'>(
      { method: 'probe', session: mintSessionId() },
      undefined,
      mintBootId(),
    );
    expect(outcome).toMatchObject({ problem: { code: 'node_unreachable' } });
    expect(node.requests).toEqual([]);
  });

  test('between two links a request waits for the next one', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    node.close();
    await unlinked();
    const asked = lobbyOf('r').probe({ session });
    const next = await redial(node);
    expect((await asked).ok).toBe(true);
    expect(next.requests).toMatchObject([{ method: 'probe', session }]);
  });
});

describe('the link is lost', () => {
  test('the same life dials again: everything stays, and is told to it', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    node.close();
    await unlinked();
    const next = await redial(node);
    expect((await next.welcome()).desired).toMatchObject([{ lobby: lobbyIdOf('r'), publisher: { session } }]);
    expect((await playIn('r')).ok).toBe(true);
    expect((await lobbyOf('r').unpublish({ session })).ok).toBe(true);
    expect(next.sessions.count).toBe(0);
  });

  test('what was deleted meanwhile is not desired any more', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    node.close();
    await unlinked();
    expect((await lobbyOf('r').unpublish({ session })).ok).toBe(true);
    const next = await redial(node);
    expect((await next.welcome()).desired).toEqual([]);
    expect(next.sessions.count).toBe(0);
    expect((await stored(nodeLink(NODE))).keys).toEqual(['link']);
  });

  test('another life dials: its rooms have ended', async () => {
    const node = await dial();
    await publishIn('r');
    node.close();
    await unlinked();
    const next = await dial();
    expect((await next.welcome()).desired).toEqual([]);
    expect(await playIn('r')).toMatchObject({ problem: { status: 404 } });
    expect((await publishIn('r')).outcome.ok).toBe(true);
  });

  test('a newer link of the node replaces the older', async () => {
    const node = await dial();
    const { session } = await publishIn('r');
    const next = await redial(node);
    await node.until(() => node.closed !== null);
    expect(node.closed).toEqual({ code: 4000, reason: 'replaced' });
    expect((await probe(session)).ok).toBe(true);
    expect(next.requests.map((request) => request.method)).toEqual(['probe']);
    expect((await fleet().nodes())[0]?.linked).toBe(true);
  });

  test('the grace is not over: the room is kept', async () => {
    const node = await dial();
    await publishIn('r');
    node.close();
    await unlinked();
    await runDurableObjectAlarm(stub(nodeLink(NODE)));
    expect((await publishIn('r')).outcome).toMatchObject({ problem: { code: 'publisher_exists' } });
  });

  test('the grace is over: the room is free, and nothing remembers the node', async () => {
    const node = await dial();
    await publishIn('r');
    node.close();
    await unlinked();
    await backdate(RELINK_GRACE_MS);
    expect(await runDurableObjectAlarm(stub(nodeLink(NODE)))).toBe(true);
    expect(await playIn('r')).toMatchObject({ problem: { status: 404 } });
    expect(await stored(lobbyOf('r'))).toMatchObject({ keys: [], alarm: null });
    expect(await stored(nodeLink(NODE))).toMatchObject({ keys: [], alarm: null });
    expect(await fleet().nodes()).toEqual([]);
    expect(await fleet().rooms()).toEqual([]);
    await dial({ node: 'node-2' });
    expect((await publishIn('r')).outcome.ok).toBe(true);
  });

  test('by itself: the alarm is set for the end of the grace', async () => {
    const node = await dial();
    await publishIn('r');
    const closedAt = Date.now();
    node.close();
    await unlinked();
    const { alarm } = await stored(nodeLink(NODE));
    expect(alarm).toBeGreaterThanOrEqual(closedAt + RELINK_GRACE_MS);
    expect(alarm).toBeLessThanOrEqual(Date.now() + RELINK_GRACE_MS);
  });
});

describe('silence', () => {
  test('without pings the link is closed and the room is free at once', async () => {
    const node = await dial({ pings: false });
    await publishIn('r');
    await backdate(LINK_SILENCE_MS);
    expect(await runDurableObjectAlarm(stub(nodeLink(NODE)))).toBe(true);
    await node.until(() => node.closed !== null);
    expect(node.closed).toMatchObject({ code: 4001, reason: 'silent' });
    expect(await playIn('r')).toMatchObject({ problem: { status: 404 } });
    expect(await fleet().nodes()).toEqual([]);
  });

  test('a ping that the runtime answered counts, even when the object was evicted since', async () => {
    const node = await dial({ pings: false });
    const { session } = await publishIn('r');
    node.sendRaw(PING_FRAME);
    await node.until(() => node.pongs.length > 0);
    await backdate(LINK_SILENCE_MS);
    expect(await runDurableObjectAlarm(stub(nodeLink(NODE)))).toBe(true);
    expect((await probe(session)).ok).toBe(true);
    expect(node.closed).toBeNull();
  });
});

test('killed with the edge: the record says linked, no socket is there; the grace begins on waking', async () => {
  await dial();
  await publishIn('r');
  await runInDurableObject(stub(nodeLink(NODE)), (_, state) => {
    // No close event, as nobody was there to get it: the record names a connection that does not exist.
    const record = state.storage.kv.get<{ connection: number }>('link');
    state.storage.kv.put('link', { ...record, connection: 1 });
  });
  const before = Date.now();
  await evictDurableObject(stub(nodeLink(NODE)));
  await evictDurableObject(stub(fleet()));
  // The fleet, woken by whoever asks first, wakes the links of its nodes.
  await unlinked();
  const record = await runInDurableObject(stub(nodeLink(NODE)), (_, state) => state.storage.kv.get('link'));
  expect(record).toMatchObject({ connection: null, gone: false });
  expect((record as { downSince: number }).downSince).toBeGreaterThanOrEqual(before);
  await backdate(RELINK_GRACE_MS);
  expect(await runDurableObjectAlarm(stub(nodeLink(NODE)))).toBe(true);
  expect(await playIn('r')).toMatchObject({ problem: { status: 404 } });
});

test('evicted with its sockets closed, as when the edge is restarted: the node redials and goes on', async () => {
  const node = await dial();
  const { session } = await publishIn('r');
  await evictDurableObject(stub(nodeLink(NODE)), { webSockets: 'close' });
  await node.until(() => node.closed !== null);
  const asked = lobbyOf('r').probe({ session });
  await redial(node);
  expect((await asked).ok).toBe(true);
});
