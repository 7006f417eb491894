/** Going live, static WHIP and WHEP, loss and end of a lobby (acceptance 10 to 12), with a fake node. */
import { evictDurableObject, reset, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionId } from '../../shared/ids.ts';
import type { IngressReport } from '../../shared/protocol/control.ts';
import { eventually, nodeLink, stored, stub } from '../lobby/objects-under-test.ts';
import { locationOf, SDP, textOf } from '../test-support/app.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { PLAY_OFFER, PUBLISH_OFFER } from '../test-support/sample-sdp.ts';
import {
  bearerOf,
  CAMERA,
  LOBBY,
  lobby,
  MAIN,
  P,
  putStream,
  STREAM,
  stage,
  storedLobby,
  Visitor,
  visitorIn,
} from '../test-support/stream-stage.ts';

const call = stage({ LIVE_ALLOWED_HOSTS: '127.0.0.1' });
const TARGET = { streamKey: 'secret-key', rtmpUrl: 'rtmp://127.0.0.1:1935/live' };
let node: FakeNode;

beforeEach(async () => {
  node = await dialFakeNode();
  await putStream();
});
afterEach(async () => {
  if (node.closed === null) node.close();
  await reset();
});

const post = (body: string, headers: Record<string, string>) => ({
  method: 'POST',
  headers: { ...SDP, ...headers },
  body,
});

/** The session of the member who entered as the `count`th. */
function sessionAt(count: number): SessionId {
  const session = [...node.ingress.keys()][count - 1];
  if (session === undefined) throw new Error('the fake node carries fewer sessions');
  return session;
}

/** The node says so, and the lobby has heard it. */
async function say(session: SessionId, state: IngressReport['state']): Promise<void> {
  const report = node.ingress.get(session);
  if (report === undefined) throw new Error('the fake node does not carry this session');
  node.report([{ ...report, state }]);
  const phase = { connecting: 'connecting', connected: 'live', silent: 'silent', closed: undefined }[state];
  await eventually(storedLobby, (record) => record?.members.find((one) => one.session === session)?.phase === phase);
}

/** Lets the deadlines of the lobby come instead of waiting for them. */
async function letGraceRunOut(): Promise<void> {
  await runInDurableObject(stub(lobby()), (_, state) => {
    const record = state.storage.kv.get<NonNullable<Awaited<ReturnType<typeof storedLobby>>>>('lobby');
    const members = record?.members.map((one) => (one.deadline === null ? one : { ...one, deadline: Date.now() }));
    state.storage.kv.put('lobby', { ...record, members });
  });
  await evictDurableObject(stub(lobby()));
  expect(await runDurableObjectAlarm(stub(lobby()))).toBe(true);
}

describe('live', () => {
  it.each([
    ['P/live', `${P}/live`, TARGET],
    ['P/live/start', `${P}/live/start`, { rtmpKey: 'secret-key', rtmpEndpoint: 'rtmp://127.0.0.1:1935/live' }],
  ])('%s starts, GET shows, DELETE stops', async (_name, path, body) => {
    const owner = await visitorIn(call, 'u1', MAIN);
    const started = await owner.startLive(body, path);
    expect(started.status).toBe(201);
    const { resource } = (await started.json()) as { resource: string };
    expect(started.headers.get('Location')).toBe(`${P}/live/${resource}`);
    expect(node.sessions.lives.get(LOBBY)).toEqual({ live: resource, url: 'rtmp://127.0.0.1:1935/live/secret-key' });

    node.report([], { lives: [{ lobby: LOBBY, live: resource, state: 'online' }] });
    await eventually(storedLobby, (record) => record?.live?.state === 'online');
    const expected = {
      status: 'online',
      isLive: true,
      isLobbyRunning: true,
      streamId: STREAM,
      state: 'online',
      error: null,
    };
    expect(await owner.status()).toEqual({ ...expected, resource });
    expect(await owner.status(`${P}/live/${resource}`)).toMatchObject(expected);
    expect((await owner.startLive(body, path)).status).toBe(409);
    expect((await owner.guarded('GET', `${P}/live/other`)).status).toBe(404);
    expect((await owner.guarded('DELETE', `${P}/live/other`)).status).toBe(404);

    const stopped = await owner.guarded('DELETE', `${P}/live/${resource}`);
    expect(stopped.status).toBe(204);
    expect(stopped.headers.get('X-Req-Token')).toBe(owner.token);
    expect(node.sessions.lives.size).toBe(0);
    expect(await owner.status(`${P}/live/${resource}`)).toMatchObject({ status: 'offline', isLive: false });
    expect((await owner.guarded('DELETE', `${P}/live/${resource}`)).status).toBe(404);
    expect((await owner.guarded('DELETE', `${P}/live`)).status).toBe(404);
  });

  it('what goes wrong is in the status, the key is not', async () => {
    const owner = await visitorIn(call, 'u1', MAIN);
    const { resource } = (await (await owner.startLive(TARGET)).json()) as { resource: string };
    const error = 'rtmp://127.0.0.1:1935/live/secret-key: the server refused secret-key';
    node.report([], { lives: [{ lobby: LOBBY, live: resource, state: 'retrying', error }] });
    await eventually(storedLobby, (record) => record?.live?.state === 'retrying');
    const status = await owner.status();
    expect(status).toMatchObject({ status: 'offline', isLive: true, state: 'retrying' });
    expect(status.error).toContain('refused');
    expect(JSON.stringify(status)).not.toContain('secret-key');
  });

  it('guests may look and not act; a stopped guest keeps a token', async () => {
    await visitorIn(call, 'u1', MAIN);
    const guest = await visitorIn(call, 'u2', MAIN);
    for (const act of [() => guest.startLive(TARGET), () => guest.guarded('DELETE', `${P}/live`)]) {
      const refused = await act();
      expect(refused.status).toBe(403);
      expect(refused.headers.get('X-Req-Token')).toBe(guest.token);
    }
    expect(await guest.status()).toMatchObject({ isLive: false });
    expect((await call(`${P}/live`, { method: 'POST' })).status).toBe(401);
    const replayed = { Cookie: guest.cookie, 'X-Req-Token': 'old' };
    expect((await call(`${P}/live`, { method: 'POST', headers: replayed })).status).toBe(403);
  });

  it.each([
    ['a path', { ...TARGET, rtmpUrl: '/tmp/x.flv' }],
    ['a file', { ...TARGET, rtmpUrl: 'file:///tmp/x.flv' }],
    ['http', { ...TARGET, rtmpUrl: 'http://127.0.0.1/live' }],
    ['a host that is not listed', { ...TARGET, rtmpUrl: 'rtmp://10.0.0.1/live' }],
    ['an unknown field', { ...TARGET, more: true }],
    ['both forms', { ...TARGET, rtmpKey: 'k', rtmpEndpoint: 'rtmp://127.0.0.1/live' }],
    ['no key', { rtmpUrl: TARGET.rtmpUrl }],
    ['no JSON', '{'],
  ])('%s is 400, and nobody is told', async (_name, body) => {
    const owner = await visitorIn(call, 'u1', MAIN);
    const refused = await owner.startLive(body);
    expect(refused.status).toBe(400);
    const text = await refused.text();
    expect(text).not.toContain('secret-key');
    expect(node.requests.some((request) => request.method === 'apply-stream')).toBe(false);
    expect((await owner.startLive(TARGET)).status).toBe(201);
  });

  it('without a main track: 409', async () => {
    const owner = await visitorIn(call, 'u1', CAMERA);
    expect((await owner.startLive(TARGET)).status).toBe(409);
  });

  it('a node without ffmpeg: 501 with its advice, and the lobby is off air', async () => {
    const owner = await visitorIn(call, 'u1', MAIN);
    const advice = 'ffmpeg is missing: install it or set FFMPEG_PATH';
    node.refuse('apply-stream', { status: 501, code: 'no_ffmpeg', detail: advice });
    const refused = await owner.startLive(TARGET);
    expect(refused.status).toBe(501);
    expect(await refused.json()).toMatchObject({ code: 'no_ffmpeg', error: advice });
    node.on('apply-stream', null);
    expect(await owner.status()).toMatchObject({ isLive: false, status: 'offline', error: advice });
    expect((await owner.startLive(TARGET)).status).toBe(201);
  });
});

describe('static WHIP and WHEP', () => {
  it('a machine sends main tracks beside its user, without cookie and token, and the audience gets them', async () => {
    const owner = await visitorIn(call, 'u1', CAMERA);
    const published = await call(`${P}/static/whip`, post(PUBLISH_OFFER, owner.bearer));
    const machine = locationOf(published);
    expect(published.headers.get('Set-Cookie')).toBeNull();
    expect(published.headers.get('X-Req-Token')).toBeNull();
    expect(await node.request('join', 2)).toMatchObject({ fixed: true });

    const watched = await call(`${P}/static/whep`, post(PLAY_OFFER, await bearerOf(call, 'somebody')));
    const viewer = locationOf(watched);
    expect(viewer).toMatch(/^\/resource\/s\./);
    expect(await textOf(watched)).toContain('a=sendonly');
    expect(await node.request('play')).toMatchObject({ lobby: LOBBY, maxSubscribers: 0 });
    expect((await call(viewer)).status).toBe(200);
    expect((await owner.startLive(TARGET)).status).toBe(201);
    expect((await call(machine, { method: 'DELETE', headers: owner.bearer })).status).toBe(200);
    expect((await call(viewer, { method: 'DELETE' })).status).toBe(200);
    expect(node.egress.size).toBe(0);
    // And the lobby is still there.
    expect(await owner.status()).toMatchObject({ isLobbyRunning: true });
  });

  it('refuses: no bearer 401, no member 403, no stream 404, no lobby 404, no main track 404', async () => {
    const [owner, stranger] = await Promise.all([bearerOf(call, 'u1'), bearerOf(call, 'x')]);
    const other = P.replace('s1', 's2');
    const cases: [string, string, RequestInit, number][] = [
      ['whip, no bearer', `${P}/static/whip`, post(PUBLISH_OFFER, {}), 401],
      ['whep, no bearer', `${P}/static/whep`, post(PLAY_OFFER, {}), 401],
      ['whip, no member', `${P}/static/whip`, post(PUBLISH_OFFER, stranger), 403],
      ['whip, no stream', `${other}/static/whip`, post(PUBLISH_OFFER, owner), 404],
      ['whep, no stream', `${other}/static/whep`, post(PLAY_OFFER, owner), 404],
      ['whip, no lobby', `${P}/static/whip`, post(PUBLISH_OFFER, owner), 404],
      ['whep, no lobby', `${P}/static/whep`, post(PLAY_OFFER, owner), 404],
      ['whip, empty', `${P}/static/whip`, post('', owner), 400],
      ['whep, empty', `${P}/static/whep`, post('', owner), 400],
      ['whep, a publisher’s offer', `${P}/static/whep`, post(PUBLISH_OFFER, owner), 422],
    ];
    for (const [name, path, init, status] of cases) expect((await call(path, init)).status, name).toBe(status);
    await visitorIn(call, 'u1', CAMERA);
    expect((await call(`${P}/static/whep`, post(PLAY_OFFER, owner))).status).toBe(404);
    expect(node.requests.filter(({ method }) => method === 'play')).toEqual([]);
  });

  it('the last human takes machine, audience and push along', async () => {
    const owner = await visitorIn(call, 'u1', MAIN);
    locationOf(await call(`${P}/static/whip`, post(PUBLISH_OFFER, owner.bearer)));
    locationOf(await call(`${P}/static/whep`, post(PLAY_OFFER, owner.bearer)));
    expect((await owner.startLive(TARGET)).status).toBe(201);
    expect((await owner.guarded('DELETE', `${P}/res`)).status).toBe(200);
    expect(node.sessions.count).toBe(0);
    expect(node.sessions.lives.size).toBe(0);
    expect(await stored(lobby())).toMatchObject({ keys: [], alarm: null });
    expect((await owner.enter(MAIN)).status).toBe(201);
    expect(await owner.status()).toMatchObject({
      status: 'offline',
      isLive: false,
      isLobbyRunning: true,
      resource: null,
    });
  });
});

describe('loss', () => {
  it('a closed member is gone at once and may come back; a silent one after the grace', async () => {
    const one = await visitorIn(call, 'u1');
    const two = await visitorIn(call, 'u2');
    const [first, second] = [sessionAt(1), sessionAt(2)];
    await say(first, 'connected');
    await say(second, 'closed');
    expect((await two.listen()).status).toBe(404);
    expect((await two.enter()).status).toBe(201);

    await say(sessionAt(2), 'connected');
    await say(sessionAt(2), 'silent');
    expect((await two.guarded('GET', `${P}/live`)).status).toBe(200);
    expect((await (await Visitor.named(call, 'u2')).enter()).status).toBe(409);
    await say(sessionAt(2), 'connected');
    await say(sessionAt(2), 'silent');
    await letGraceRunOut();
    await node.until(() => node.ingress.size === 1);
    expect([...node.ingress.keys()]).toEqual([first]);
    expect((await two.listen()).status).toBe(404);
    expect((await two.enter()).status).toBe(201);
    expect((await one.guarded('GET', `${P}/live`)).status).toBe(200);
  });

  it('a join that races the last leave finds a lobby that works', async () => {
    const one = await visitorIn(call, 'u1');
    const two = await Visitor.named(call, 'u2');
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    node.on('join', async (request) => {
      await released;
      return node.sessions.answer(request) as never;
    });
    const entering = two.enter();
    await node.request('join', 2);
    expect((await one.guarded('DELETE', `${P}/whip`)).status).toBe(200);
    release();
    expect((await entering).status).toBe(201);
    expect(await two.status()).toMatchObject({ isLobbyRunning: true });
    expect((await two.listen()).status).toBe(201);
    expect(node.ingress.size).toBe(1);
  });

  it('the node is lost: sessions are over, the next ones go to another node', async () => {
    const visitor = await visitorIn(call, 'u1', MAIN);
    await visitor.startLive(TARGET);
    node.close();
    const other = await dialFakeNode({ node: 'node-2' });
    await lobby().nodeLost({ node: node.node, boot: node.boot });
    expect((await visitor.guarded('GET', `${P}/live`)).status).toBe(404);
    expect((await visitor.enter(MAIN)).status).toBe(201);
    expect(other.ingress.size).toBe(1);
    expect(await visitor.status()).toMatchObject({ isLive: false });
    other.close();
  });

  it('the edge restarts: cookie and token stay good, the node is told what it carries', async () => {
    const visitor = await visitorIn(call, 'u1', MAIN);
    expect((await visitor.listen()).status).toBe(201);
    const { resource } = (await (await visitor.startLive(TARGET)).json()) as { resource: string };
    const before = await storedLobby();
    await evictDurableObject(stub(lobby()));
    await evictDurableObject(stub(nodeLink(node.node)));
    const again = await dialFakeNode({ boot: node.boot, ingress: [...node.ingress.values()] });
    const [member] = before?.members ?? [];
    expect((await again.welcome()).streams).toMatchObject([
      {
        lobby: LOBBY,
        members: [{ session: member?.session, generation: member?.generation, listener: member?.listener?.session }],
        live: { live: resource },
      },
    ]);
    expect((await again.welcome()).desired).toEqual([]);
    expect(await visitor.status()).toMatchObject({ isLive: true, isLobbyRunning: true });
    expect(again.ingress.size).toBe(1);
    again.close();
  });

  it('the node restarts: its lobby is over, and its welcome is empty', async () => {
    const visitor = await visitorIn(call, 'u1');
    node.close();
    const again = await dialFakeNode();
    expect((await again.welcome()).streams).toEqual([]);
    expect((await visitor.guarded('GET', `${P}/live`)).status).toBe(404);
    expect((await visitor.enter()).status).toBe(201);
    again.close();
  });
});
