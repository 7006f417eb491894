/** A lobby whose members and audience are near different nodes, and its recording, with fake nodes. */
import { evictDurableObject, reset } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionId } from '../../shared/ids.ts';
import type { Coordinates } from '../../shared/protocol/control.ts';
import { eventually, nodeLink, stored, stub } from '../lobby/objects-under-test.ts';
import { locationOf, SDP } from '../test-support/app.ts';
import { type DialOptions, dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { memberOffer, PLAY_OFFER } from '../test-support/sample-sdp.ts';
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
} from '../test-support/stream-stage.ts';

const PLACE = 'x-place';
const call = stage({ CLIENT_PLACE_HEADER: PLACE, LIVE_ALLOWED_HOSTS: '127.0.0.1' });
const PARIS: Coordinates = { latitude: 48.9, longitude: 2.4 };
const BRUSSELS: Coordinates = { latitude: 50.8, longitude: 4.4 };
const TOKYO: Coordinates = { latitude: 35.7, longitude: 139.7 };
const LIMA: Coordinates = { latitude: -12, longitude: -77 };
const nodes: FakeNode[] = [];

const at = ({ latitude, longitude }: Coordinates) => ({ [PLACE]: `${latitude},${longitude}` });

async function dial(node: string, coordinates: Coordinates, options: DialOptions = {}): Promise<FakeNode> {
  const dialled = await dialFakeNode({ node, coordinates, ...options });
  nodes.push(dialled);
  return dialled;
}

beforeEach(() => putStream());
afterEach(async () => {
  for (const node of nodes.splice(0)) if (node.closed === null) node.close();
  await reset();
});

/** `POST P/whip` from there. `replaces`: URL of the own session that is to be left. */
function ask(visitor: Visitor, place: Coordinates, { information = CAMERA, replaces = '' } = {}): Promise<Response> {
  return visitor.call(`${P}/whip`, {
    method: 'POST',
    headers: {
      ...SDP,
      ...visitor.bearer,
      ...at(place),
      ...(replaces === '' ? {} : { 'Vestibule-Replaces': `https://edge.example${replaces}` }),
    },
    body: memberOffer(information),
  });
}

/** Enters from there; connected as soon as the node says so. */
async function enter(user: string, place: Coordinates, node: FakeNode, information = CAMERA, replaces = '') {
  const visitor = await Visitor.named(call, user);
  const response = await ask(visitor, place, { information, replaces });
  expect(response.status).toBe(201);
  visitor.cookie = response.headers.get('Set-Cookie')?.split(';')[0] ?? '';
  visitor.token = response.headers.get('X-Req-Token') ?? '';
  visitor.location = response.headers.get('Location') ?? '';
  const session = [...node.ingress.keys()].at(-1);
  if (session === undefined) throw new Error(`the member is not on ${node.node}`);
  const report = node.ingress.get(session);
  if (report !== undefined) node.report([{ ...report, state: 'connected' }]);
  await member(session, (one) => one?.phase === 'live');
  return { visitor, session };
}

function member(session: SessionId, condition: (one: StoredMember | undefined) => boolean) {
  return eventually(storedLobby, (record) => condition(record?.members.find((one) => one.session === session)));
}
type StoredMember = NonNullable<Awaited<ReturnType<typeof storedLobby>>>['members'][number];

/** The relay of this member to that node is up, and the lobby knows. */
async function relayed(source: SessionId, node: FakeNode): Promise<void> {
  await node.until(() => node.sessions.memberRelays.has(source));
  node.reportMemberRelay(source, { state: 'connected' });
  await member(
    source,
    (one) => one?.relays?.relays.some((r) => r.node === node.node && r.phase === 'connected') === true,
  );
}

/** Main tracks in Paris, a guest in Tokyo; both listen. */
async function overTwo() {
  const paris = await dial('paris', PARIS);
  const tokyo = await dial('tokyo', TOKYO);
  const one = await enter('u1', PARIS, paris, MAIN);
  const two = await enter('u2', TOKYO, tokyo);
  expect((await one.visitor.listen()).status).toBe(201);
  expect((await two.visitor.listen()).status).toBe(201);
  await Promise.all([relayed(one.session, tokyo), relayed(two.session, paris)]);
  return { paris, tokyo, one, two };
}

async function watch(place: Coordinates | null): Promise<Response> {
  const headers = { ...SDP, ...(await bearerOf(call, 'x')), ...(place === null ? {} : at(place)) };
  return call(`${P}/static/whep`, { method: 'POST', headers, body: PLAY_OFFER });
}

describe('members', () => {
  it('go to the node near them, or to one that is there and hardly farther', async () => {
    const paris = await dial('paris', PARIS);
    const tokyo = await dial('tokyo', TOKYO);
    await dial('brussels', BRUSSELS);
    await enter('u1', PARIS, paris);
    await enter('u2', BRUSSELS, paris);
    await enter('u3', TOKYO, tokyo);
    expect([paris.ingress.size, tokyo.ingress.size]).toEqual([2, 1]);
    for (const node of nodes) expect(node.requests.filter(({ method }) => method === 'relay-pull')).toEqual([]);
  });

  it('of whom nobody knows where they are come to where the others are, and the fleet is asked once', async () => {
    const paris = await dial('paris', PARIS);
    await dial('tokyo', TOKYO);
    await enter('u1', PARIS, paris);
    for (const user of ['u2', 'u3']) expect((await (await Visitor.named(call, user)).enter()).status).toBe(201);
    expect(paris.ingress.size).toBe(3);
  });

  it('get each other’s tracks by one relay each, opened by the three requests', async () => {
    const { paris, tokyo, one } = await overTwo();
    const pull = await tokyo.request('relay-pull');
    const { generation } = (await storedLobby())?.members[0] ?? {};
    expect(pull).toMatchObject({
      lobby: LOBBY,
      source: { session: one.session, generation },
      relay: { upstream: 'paris' },
    });
    expect(pull.tracks).toEqual(paris.ingress.get(one.session)?.tracks);
    await eventually(async () => paris.sessions.served.get(pull.relay.session)?.answered, Boolean);
    for (const node of [paris, tokyo]) {
      expect(node.requests.filter(({ method }) => method === 'relay-pull')).toHaveLength(1);
    }
    // Nobody had to be told anything.
    for (const node of [paris, tokyo])
      expect(node.requests.some(({ method }) => method === 'apply-stream')).toBe(false);
  });

  it('a mute is told to the other node', async () => {
    const { paris, tokyo, one } = await overTwo();
    const report = paris.ingress.get(one.session);
    if (report === undefined) throw new Error('the member is gone');
    const tracks = report.tracks.map((track) => ({
      ...track,
      info: { purpose: 'main' as const, label: 'Main', muted: true },
    }));
    paris.report([{ ...report, tracks }]);
    const { desired } = await tokyo.request('apply-stream');
    expect(desired.remotes).toMatchObject([{ session: one.session, tracks }]);
    expect(paris.requests.some(({ method }) => method === 'apply-stream')).toBe(false);
  });

  it('who leaves takes the relay along; the last one leaves nothing, anywhere', async () => {
    const { paris, tokyo, one, two } = await overTwo();
    expect((await two.visitor.guarded('DELETE', `${P}/res`)).status).toBe(200);
    await paris.until(() => paris.sessions.memberRelays.size === 0);
    await tokyo.until(() => tokyo.sessions.memberRelays.size === 0);
    expect((await one.visitor.guarded('DELETE', `${P}/res`)).status).toBe(200);
    expect(await stored(lobby())).toMatchObject({ keys: [], alarm: null });
    for (const node of [paris, tokyo]) {
      const { keys } = await stored(nodeLink(node.node));
      expect(keys.filter((key) => key.startsWith('lobby:'))).toEqual([]);
    }
  });

  it('a node is lost: its members are gone, and what they were sent is not sent any more', async () => {
    const { paris, tokyo, one, two } = await overTwo();
    tokyo.close();
    await lobby().nodeLost({ node: tokyo.node, boot: tokyo.boot });
    await paris.until(() => paris.sessions.memberRelays.size === 0);
    expect((await two.visitor.guarded('GET', `${P}/live`)).status).toBe(404);
    expect((await one.visitor.guarded('GET', `${P}/live`)).status).toBe(200);
    await enter('u2', TOKYO, paris);
  });

  it('a node that drains gets nobody, and one that is full sends its member elsewhere', async () => {
    const paris = await dial('paris', PARIS);
    const lima = await dial('lima', LIMA);
    await enter('u1', PARIS, paris);
    paris.refuse('join', { status: 503, code: 'node_full', detail: 'full' });
    await enter('u2', PARIS, lima);
    paris.refuse('join', { status: 503, code: 'node_draining', detail: 'leaving' });
    expect((await (await Visitor.named(call, 'u3')).enter()).status).toBe(201);
    expect(lima.ingress.size).toBe(2);
  });

  it('nodes that cannot relay keep all members together', async () => {
    const paris = await dial('paris', PARIS, { protocol: 1 });
    await dial('tokyo', TOKYO);
    await enter('u1', PARIS, paris);
    await enter('u2', TOKYO, paris);
    expect(paris.ingress.size).toBe(2);
  });

  it('the edge restarts: relays that are up are named in the welcome, one that is not is opened again', async () => {
    const { paris, tokyo, one } = await overTwo();
    await evictDurableObject(stub(lobby()));
    await evictDurableObject(stub(nodeLink(tokyo.node)));
    const relay = tokyo.sessions.memberRelays.get(one.session);
    const ingress = [...tokyo.ingress.values()];
    const again = await dialFakeNode({ node: 'tokyo', coordinates: TOKYO, boot: tokyo.boot, ingress, hello: false });
    nodes.push(again);
    if (relay !== undefined) again.sessions.memberRelays.set(one.session, relay);
    again.hello();
    expect((await again.welcome()).streams).toMatchObject([
      { members: [{}], remotes: [{ session: one.session, relay: { session: relay?.session, upstream: 'paris' } }] },
    ]);
    expect(again.requests).toEqual([]);
    expect(paris.requests.filter(({ method }) => method === 'relay-pull')).toHaveLength(1);
    again.reportMemberRelay(one.session, { state: 'closed' });
    expect(await again.request('relay-pull')).toMatchObject({ source: { session: one.session } });
  });
});

describe('a member who is asked to move', () => {
  /** Owner and guest in Paris, both listening; Paris is to be left. */
  async function inParis() {
    const paris = await dial('paris', PARIS);
    const brussels = await dial('brussels', BRUSSELS);
    const one = await enter('u1', PARIS, paris, MAIN);
    const two = await enter('u2', PARIS, paris);
    for (const { visitor } of [one, two]) expect((await visitor.listen()).status).toBe(201);
    paris.refuse('join', { status: 503, code: 'node_draining', detail: 'leaving' });
    return { paris, brussels, one, two };
  }

  it('opens another session beside the first, with the same cookie and lineage; both serve until one is left', async () => {
    const { paris, brussels, one } = await inParis();
    const { generation } = (await storedLobby())?.members[0] ?? {};
    const next = await enter('u1', PARIS, brussels, MAIN, one.visitor.location);
    expect((await brussels.request('join')).lineage).toEqual({ session: one.session, generation });
    expect(next.visitor.cookie).toBe(one.visitor.cookie);
    // Its tracks go to the guest in Paris before anything of the old session ends.
    expect(await paris.request('relay-pull')).toMatchObject({
      source: { session: next.session, lineage: { session: one.session, generation } },
    });
    expect((await next.visitor.listen()).status).toBe(201);
    for (const { visitor } of [one, next]) expect((await visitor.guarded('GET', `${P}/live`)).status).toBe(200);
    expect((await ask(one.visitor, PARIS)).status).toBe(409);

    const left = await call(one.visitor.location, { method: 'DELETE', headers: { Cookie: one.visitor.cookie } });
    expect([left.status, left.headers.get('Set-Cookie')]).toEqual([200, null]);
    await paris.until(() => !paris.ingress.has(one.session));
    expect((await one.visitor.guarded('GET', `${P}/live`)).status).toBe(403);
    const live = { streamKey: 'k', rtmpUrl: 'rtmp://127.0.0.1/live' };
    expect((await next.visitor.startLive(live)).status).toBe(201);
    const over = await next.visitor.guarded('DELETE', `${P}/whip`);
    expect([over.status, over.headers.get('Set-Cookie')]).toEqual([200, expect.stringContaining('Max-Age=0')]);
    expect((await next.visitor.guarded('GET', `${P}/live`)).status).toBe(404);
  });

  it('stays where it is when nobody takes it, and nothing changes', async () => {
    const { brussels, one } = await inParis();
    brussels.refuse('join', { status: 503, code: 'node_full', detail: 'full' });
    const before = await storedLobby();
    const refused = await ask(one.visitor, PARIS, { replaces: one.visitor.location });
    expect([refused.status, refused.headers.get('Set-Cookie')]).toEqual([503, null]);
    expect((await storedLobby())?.members).toEqual(before?.members);
    expect((await one.visitor.guarded('GET', `${P}/live`)).status).toBe(200);
  });

  it('has to name a session of its own in this lobby', async () => {
    const { one, two } = await inParis();
    const forged = one.visitor.location.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    for (const replaces of [
      two.visitor.location,
      forged,
      '/resource/none',
      one.visitor.location.replace('/m.', '/l.'),
    ]) {
      expect((await ask(one.visitor, PARIS, { replaces })).status).toBe(403);
    }
    expect((await storedLobby())?.members).toHaveLength(2);
  });

  it('cannot come back this way after it was sent out, has left, or was ended with the lobby', async () => {
    const { one, two } = await inParis();
    expect((await call(two.visitor.location, { method: 'DELETE' })).status).toBe(200);
    expect((await ask(two.visitor, PARIS, { replaces: two.visitor.location })).status).toBe(404);
    await lobby().keep({ users: [] });
    expect((await ask(one.visitor, PARIS, { replaces: one.visitor.location })).status).toBe(404);
    expect(await storedLobby()).toBeUndefined();
    await putStream(STREAM, ['u3']);
    expect((await ask(two.visitor, PARIS, { replaces: two.visitor.location })).status).toBe(403);
  });

  it('keeps both sessions over a restart of the edge, and is there once in the end', async () => {
    const { paris, brussels, one } = await inParis();
    const next = await enter('u1', PARIS, brussels, MAIN, one.visitor.location);
    await evictDurableObject(stub(lobby()));
    for (const { visitor } of [one, next]) expect((await visitor.guarded('GET', `${P}/live`)).status).toBe(200);
    paris.close();
    await lobby().nodeLost({ node: paris.node, boot: paris.boot });
    const members = (await storedLobby())?.members ?? [];
    expect(members).toMatchObject([{ session: next.session, replaces: null, lineage: { session: one.session } }]);
    expect((await next.visitor.guarded('GET', `${P}/live`)).status).toBe(200);
    expect((await ask(one.visitor, BRUSSELS)).status).toBe(409);
  });
});

describe('the audience', () => {
  it('is served nearby, by a node that gets the main tracks first', async () => {
    const lima = await dial('lima', LIMA);
    const { paris, two } = await overTwo();
    const watching = watch(LIMA);
    const pull = await lima.request('relay-pull');
    expect(pull.source?.session).not.toBe(two.session);
    if (pull.source) await relayed(pull.source.session, lima);
    expect(locationOf(await watching)).toMatch(/^\/resource\/s\./);
    expect(lima.egress.size).toBe(1);
    expect((await watch(LIMA)).status).toBe(201);
    expect((await watch(null)).status).toBe(201);
    expect([lima.egress.size, paris.requests.filter(({ method }) => method === 'play')]).toMatchObject([2, [{}]]);
    expect(lima.requests.filter(({ method }) => method === 'relay-pull')).toHaveLength(1);
  });

  it('is sent to a node that has the tracks when the one nearby does not get them', async () => {
    const lima = await dial('lima', LIMA);
    const { paris } = await overTwo();
    lima.refuse('relay-pull', { status: 503, code: 'node_full', detail: 'full' });
    expect((await watch(LIMA)).status).toBe(201);
    expect(paris.requests.filter(({ method }) => method === 'play').length + lima.egress.size).toBeGreaterThan(0);
    expect(lima.egress.size).toBe(0);
    const record = await storedLobby();
    expect(record?.audiences.map(({ node }) => node)).not.toContain('lima');
  });
});

describe('live', () => {
  it('is pushed from where the main tracks are, and goes on elsewhere when that node is lost', async () => {
    const { paris, tokyo, one } = await overTwo();
    await enter('u3', TOKYO, tokyo, MAIN);
    expect((await one.visitor.startLive({ streamKey: 'k', rtmpUrl: 'rtmp://127.0.0.1/live' })).status).toBe(201);
    const pushing = [paris, tokyo].filter((node) => node.sessions.lives.size > 0);
    expect(pushing).toHaveLength(1);
    paris.close();
    await lobby().nodeLost({ node: paris.node, boot: paris.boot });
    await tokyo.until(() => tokyo.sessions.lives.size === 1);
  });
});

describe('P/recording', () => {
  const shown = async (response: Response) => [response.status, await response.json()];

  it('is said by the owner, told to all nodes with members, and seen by guests', async () => {
    const lima = await dial('lima', LIMA);
    const { paris, tokyo, one, two } = await overTwo();
    const url = `${P}/recording`;
    expect(await shown(await two.visitor.guarded('GET', url))).toEqual([
      200,
      { enabled: false, format: null, recordings: [] },
    ]);
    expect((await two.visitor.guarded('PUT', url)).status).toBe(403);
    expect((await two.visitor.guarded('DELETE', url)).status).toBe(403);
    expect(await shown(await one.visitor.guarded('PUT', url))).toEqual([200, { enabled: true, format: 'mp4' }]);
    for (const node of [paris, tokyo]) await node.until(() => node.sessions.recordings.get(LOBBY) === 'mp4');
    const json = { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ format: 'raw' }) };
    expect(await shown(await one.visitor.guarded('PUT', url, json))).toEqual([200, { enabled: true, format: 'raw' }]);
    for (const node of [paris, tokyo]) await node.until(() => node.sessions.recordings.get(LOBBY) === 'raw');
    await enter('u3', LIMA, lima);
    await lima.until(() => lima.sessions.recordings.get(LOBBY) === 'raw');
    expect(await shown(await two.visitor.guarded('GET', url))).toMatchObject([200, { enabled: true, format: 'raw' }]);
    expect(await shown(await one.visitor.guarded('DELETE', url))).toEqual([200, { enabled: false, format: null }]);
    for (const node of nodes) await node.until(() => !node.sessions.recordings.has(LOBBY));
    expect((await one.visitor.guarded('PUT', url, { ...json, body: '{"format":"avi"}' })).status).toBe(400);
    expect((await call(url, { method: 'PUT' })).status).toBe(401);
  });

  it('outlives the lobby', async () => {
    const paris = await dial('paris', PARIS);
    const first = await enter('u1', PARIS, paris);
    expect((await first.visitor.guarded('PUT', `${P}/recording`)).status).toBe(200);
    expect((await first.visitor.guarded('DELETE', `${P}/res`)).status).toBe(200);
    paris.sessions.recordings.clear();
    await enter('u1', PARIS, paris);
    await paris.until(() => paris.sessions.recordings.get(LOBBY) === 'mp4');
  });
});
