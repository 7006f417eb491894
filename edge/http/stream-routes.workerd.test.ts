/** Entering, listening and leaving over HTTP, by the acceptance behaviours of the lobby (1 to 4, 9), with a fake node. */
import { evictDurableObject, reset } from 'cloudflare:test';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mintSessionId } from '../../shared/ids.ts';
import { writeSessionCookie } from '../auth/session-cookie.ts';
import { eventually, objects, stored, stub } from '../lobby/objects-under-test.ts';
import { problemOf, SDP, SDPFRAG, textOf } from '../test-support/app.ts';
import { TEST_SESSION_SECRET } from '../test-support/bindings.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { memberOffer, PLAY_OFFER, PLAYER_ANSWER, PUBLISH_OFFER } from '../test-support/sample-sdp.ts';
import {
  bearerOf,
  LOBBY,
  lobby,
  P,
  putStream,
  STREAM,
  stage,
  storedLobby,
  Visitor,
  visitorIn,
} from '../test-support/stream-stage.ts';

const call = stage();
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

function expectNothingSet(response: Response): void {
  expect(response.headers.get('Set-Cookie')).toBeNull();
  expect(response.headers.get('X-Req-Token')).toBeNull();
}

/** Cookie attributes only. */
function attributesOf(response: Response): string {
  return (response.headers.get('Set-Cookie') ?? '').split('; ').slice(1).join('; ');
}

describe('POST P/whip', () => {
  it('lets a member in: answer, Location, ETag, cookie, token', async () => {
    const visitor = await Visitor.named(call, 'u1');
    const response = await visitor.enter();

    expect(response.status).toBe(201);
    expect(response.headers.get('Content-Type')).toBe('application/sdp');
    expect(await textOf(response)).toMatch(/^v=0\r\n[\s\S]*a=candidate:/);
    expect(response.headers.get('Location')).toMatch(/^\/resource\/m\.[A-Za-z0-9._@-]+$/);
    expect(response.headers.get('ETag')).toMatch(/^"[^"]+"$/);
    expect(response.headers.get('Set-Cookie')).toMatch(/^session\.id=[^;]+; /);
    expect(attributesOf(response)).toBe('Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax');
    expect(visitor.token.length).toBeGreaterThanOrEqual(34);
    expect(response.headers.get('Cache-Control')).toBe('no-store');
    expect(response.headers.get('Access-Control-Expose-Headers')).toContain('X-Req-Token');
    expect(await node.request('join')).toMatchObject({
      lobby: LOBBY,
      fixed: false,
      offer: memberOffer(['1 2 Cam', '1 2 Cam']),
    });
    expect(await visitor.status()).toMatchObject({
      isLobbyRunning: true,
      isLive: false,
      status: 'offline',
      streamId: STREAM,
    });
  });

  it('takes a data channel alone, from a guest', async () => {
    await visitorIn(call, 'u1');
    expect((await (await Visitor.named(call, 'u2')).enter([])).status).toBe(201);
  });

  it('marks the cookie for https and for other origins', async () => {
    const visitor = await Visitor.named(
      stage({ PUBLIC_URL: 'https://media.example', ALLOWED_ORIGIN: 'https://page.example' }),
      'u1',
    );
    expect(attributesOf(await visitor.enter())).toBe('Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=None');
  });

  it('stores neither token nor cookie', async () => {
    const visitor = await visitorIn(call, 'u1');
    const { keys } = await stored(lobby());
    expect(keys).toEqual(['lobby']);
    expect(JSON.stringify(await storedLobby())).not.toContain(visitor.token);
  });

  it('refuses in the order of the contract, and sets nothing', async () => {
    const offer = memberOffer(['1 2 Cam']);
    const [owner, stranger] = await Promise.all([bearerOf(call, 'u1'), bearerOf(call, 'x')]);
    const secret = new TextEncoder().encode('some other secret of sufficient length');
    const sign = (expires: string) =>
      new SignJWT({ sub: 'u1' }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime(expires).sign(secret);
    const forged = { Authorization: `Bearer ${await sign('1h')}` };
    const unknown = `/space/s1/stream/3b241101-e2bb-4255-8caf-4136c566a963/whip`;
    const cases: [string, string, RequestInit, number][] = [
      ['no bearer', `${P}/whip`, post(offer, {}), 401],
      ['a forged one', `${P}/whip`, post(offer, forged), 401],
      ['no member', `${P}/whip`, post(offer, stranger), 403],
      ['no member, wrong type', `${P}/whip`, post('x', { ...stranger, 'Content-Type': 'text/plain' }), 403],
      ['unknown stream', unknown, post(offer, owner), 404],
      ['wrong space', `${P.replace('s1', 's2')}/whip`, post(offer, owner), 404],
      ['no UUID', '/space/s1/stream/one/whip', post(offer, owner), 404],
      ['wrong type', `${P}/whip`, post(offer, { ...owner, 'Content-Type': 'text/plain' }), 415],
      ['empty', `${P}/whip`, post('', owner), 400],
      ['only a version', `${P}/whip`, post('v=0\r\n', owner), 400],
      ['too large', `${P}/whip`, post('v=0\r\n'.padEnd(1024 * 1024 + 1, 'x'), owner), 413],
      ['a viewer’s offer', `${P}/whip`, post(PLAY_OFFER, owner), 422],
      ['PUT', `${P}/whip`, { method: 'PUT', headers: owner, body: offer }, 405],
    ];
    for (const [name, path, init, status] of cases) {
      const response = await call(path, init);
      expect(response.status, name).toBe(status);
      expectNothingSet(response);
    }
    expect(node.requests).toEqual([]);
    expect(await stored(lobby())).toMatchObject({ keys: [], alarm: null });
    expect((await (await Visitor.named(call, 'u1')).enter()).status).toBe(201);
  });

  it('a second session of a user is 409 and the first is untouched', async () => {
    const visitor = await visitorIn(call, 'u1');
    const second = await call(`${P}/whip`, post(memberOffer(), visitor.bearer));

    expect(second.status).toBe(409);
    expectNothingSet(second);
    expect((await visitor.guarded('GET', `${P}/live`)).status).toBe(200);
    expect(node.ingress.size).toBe(1);
  });

  it.each([400, 422, 503])('an offer that the node refuses with %i leaves nothing behind', async (status) => {
    node.refuse('join', { status, code: 'bad_offer', detail: 'no' });
    const visitor = await Visitor.named(call, 'u1');
    const refused = await visitor.enter();

    expect(refused.status).toBe(status);
    expectNothingSet(refused);
    expect(await stored(lobby())).toMatchObject({ keys: [], alarm: null });
    node.on('join', null);
    expect((await visitor.enter()).status).toBe(201);
  });

  it('no media node: 503 with Retry-After', async () => {
    node.close();
    await reset();
    await putStream();
    const response = await (await Visitor.named(call, 'u1')).enter();
    expect(response.status).toBe(503);
    expect(response.headers.get('Retry-After')).not.toBeNull();
    expect(await stored(lobby())).toMatchObject({ keys: [], alarm: null });
  });

  it('all three at once are in one lobby on one node', async () => {
    const other = await dialFakeNode({ node: 'node-2' });
    const visitors = await Promise.all(['u1', 'u2', 'u3'].map((user) => Visitor.named(call, user)));
    const responses = await Promise.all(visitors.map((visitor) => visitor.enter()));
    expect(responses.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect([node.ingress.size, other.ingress.size].sort()).toEqual([0, 3]);
    other.close();
  });
});

describe('P/whep', () => {
  it('an empty body gets our offer, PATCH takes the answer', async () => {
    const visitor = await visitorIn(call, 'u1');
    const first = visitor.token;
    const offered = await visitor.listen();

    expect(offered.status).toBe(201);
    expect(await textOf(offered)).toContain('a=setup:actpass');
    expect(offered.headers.get('Location')).toMatch(/^\/resource\/l\./);
    expect(offered.headers.get('ETag')).toMatch(/^"[^"]+"$/);
    expect(offered.headers.get('Expires')).not.toBeNull();
    expect(visitor.token).not.toBe(first);

    const broken = await visitor.guarded('PATCH', `${P}/whep`, { headers: SDP, body: 'v=0\r\n' });
    expect(broken.status).toBe(400);
    const answered = await visitor.guarded('PATCH', `${P}/whep`, { headers: SDP, body: PLAYER_ANSWER });
    expect(answered.status).toBe(201);
    expect(answered.headers.get('Content-Length')).toBe('0');
    expect(await textOf(answered)).toBe('');
    const again = await visitor.guarded('PATCH', `${P}/whep`, { headers: SDP, body: PLAYER_ANSWER });
    expect(again.status).toBe(409);
    expect(await again.json()).toMatchObject({ code: 'no_offer_pending' });
  });

  it('the answer may go to the Location: 204, then 422', async () => {
    const visitor = await visitorIn(call, 'u1');
    const location = (await visitor.listen()).headers.get('Location') ?? '';
    const answer = () => call(location, { method: 'PATCH', headers: SDP, body: PLAYER_ANSWER });
    expect((await answer()).status).toBe(204);
    expect((await answer()).status).toBe(422);
  });

  it('an offer gets an answer', async () => {
    const visitor = await visitorIn(call, 'u1');
    const response = await visitor.listen(PLAY_OFFER);
    expect(response.status).toBe(201);
    expect(await textOf(response)).toContain('a=setup:passive');
    const patched = await visitor.guarded('PATCH', `${P}/whep`, { headers: SDP, body: PLAYER_ANSWER });
    expect(patched.status).toBe(409);
    const refused = await (await visitorIn(call, 'u2')).listen(PUBLISH_OFFER);
    expect(refused.status).toBe(422);
  });

  it('PATCH before POST: 409; PATCH of another type: 415', async () => {
    const visitor = await visitorIn(call, 'u1');
    expect((await visitor.guarded('PATCH', `${P}/whep`, { headers: SDP, body: PLAYER_ANSWER })).status).toBe(409);
    expect((await visitor.guarded('PATCH', `${P}/whep`, { headers: SDPFRAG, body: 'a=mid:0\r\n' })).status).toBe(415);
  });

  it('a second one is 409, until the first is gone', async () => {
    const visitor = await visitorIn(call, 'u1');
    const location = (await visitor.listen()).headers.get('Location') ?? '';
    const second = await visitor.listen();
    expect(second.status).toBe(409);
    expect(await second.json()).toMatchObject({ code: 'listener_exists' });
    // Only what is received ends.
    expect((await call(location, { method: 'DELETE' })).status).toBe(200);
    expect(node.egress.size).toBe(0);
    expect(node.ingress.size).toBe(1);
    expect((await visitor.listen()).status).toBe(201);
  });

  it('one that the node has given up is no hindrance, even when nobody said so', async () => {
    const visitor = await visitorIn(call, 'u1');
    await visitor.listen();
    for (const [session, report] of node.ingress) {
      const { listener: _, ...rest } = report;
      node.ingress.set(session, rest);
    }
    node.egress.clear();
    expect((await visitor.listen()).status).toBe(201);
  });

  it('a signal channel that does not open: 409 with Retry-After, and another try is free', async () => {
    const visitor = await visitorIn(call, 'u1');
    node.refuse('listen', { status: 409, code: 'signal_closed', detail: 'not open', retryAfterSeconds: 1 });
    const refused = await visitor.listen();
    expect(refused.status).toBe(409);
    expect(refused.headers.get('Retry-After')).toBe('1');
    expect(refused.headers.get('X-Req-Token')).toBe(visitor.token);
    node.on('listen', null);
    expect((await visitor.listen()).status).toBe(201);
  });

  it('an eviction between offer and answer loses nothing', async () => {
    const visitor = await visitorIn(call, 'u1');
    const location = (await visitor.listen()).headers.get('Location') ?? '';
    await evictDurableObject(stub(lobby()));
    const answered = await visitor.guarded('PATCH', `${P}/whep`, { headers: SDP, body: PLAYER_ANSWER });
    expect(answered.status).toBe(201);
    expect((await call(location)).status).toBe(200);
    expect(node.ingress.size + node.egress.size).toBe(2);
  });
});

describe('the guard', () => {
  it('no cookie, or one that was forged, is 401', async () => {
    const visitor = await visitorIn(call, 'u1');
    const attributes = { secure: false, crossSite: false };
    const forge = async (secret: string) =>
      (await writeSessionCookie({ lobby: LOBBY, session: mintSessionId(), user: 'u1' }, secret, attributes)).split(
        ';',
      )[0] ?? '';
    const altered = visitor.cookie.slice(0, -1) + (visitor.cookie.endsWith('A') ? 'B' : 'A');
    for (const cookie of ['', 'session.id=', 'session.id=x.y', altered, await forge('another secret of the edge')]) {
      const response = await call(`${P}/whep`, {
        method: 'POST',
        headers: { Cookie: cookie, 'X-Req-Token': visitor.token },
      });
      expect(response.status, cookie).toBe(401);
      expect(response.headers.get('X-Req-Token')).toBeNull();
    }
    expect((await visitor.listen()).status).toBe(201);
    // Genuine, but of no session.
    const ghost = await forge(TEST_SESSION_SECRET);
    expect((await call(`${P}/live`, { headers: { Cookie: ghost, 'X-Req-Token': 'x' } })).status).toBe(404);
  });

  it('no token, a random one and a replayed one are 403, and the right one still passes', async () => {
    const visitor = await visitorIn(call, 'u1');
    const used = visitor.token;
    expect((await visitor.guarded('GET', `${P}/live`)).status).toBe(200);
    for (const token of [undefined, 'x'.repeat(52), used]) {
      const headers = { Cookie: visitor.cookie, ...(token === undefined ? {} : { 'X-Req-Token': token }) };
      const response = await call(`${P}/live`, { headers });
      expect(response.status).toBe(403);
      expectNothingSet(response);
    }
    expect((await visitor.listen()).status).toBe(201);
  });

  it('two calls with one token: one passes', async () => {
    const visitor = await visitorIn(call, 'u1');
    const headers = { Cookie: visitor.cookie, 'X-Req-Token': visitor.token };
    const both = await Promise.all([call(`${P}/live`, { headers }), call(`${P}/live`, { headers })]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 403]);
  });

  it('the bearer of another user is 403, one’s own is fine, a bad one is 401', async () => {
    const [one, two] = [await visitorIn(call, 'u1'), await visitorIn(call, 'u2')];
    expect((await one.guarded('GET', `${P}/live`, { headers: two.bearer })).status).toBe(403);
    expect((await one.guarded('GET', `${P}/live`, { headers: { Authorization: 'Bearer a.b.c' } })).status).toBe(401);
    expect((await one.guarded('GET', `${P}/live`, { headers: one.bearer })).status).toBe(200);
  });

  it('the cookie of another stream is 403', async () => {
    const visitor = await visitorIn(call, 'u1');
    const other = '3b241101-e2bb-4255-8caf-4136c566a963';
    const path = `/space/s1/stream/${other}`;
    await objects.SPACE.getByName('s1').put({
      stream: { uuid: other as typeof STREAM, title: 'Other', owner: 'u1', guests: [] },
      onlyNew: true,
    });
    const response = await visitor.guarded('POST', `${path}/whep`);
    expect(response.status).toBe(403);
    expect((await problemOf(response)).code).toBe('wrong_stream');
  });

  it('a refusal behind the check brings the next token', async () => {
    const visitor = await visitorIn(call, 'u1');
    const before = visitor.token;
    const refused = await visitor.guarded('POST', `${P}/whep`, {
      headers: { 'Content-Type': 'text/plain' },
      body: 'x',
    });
    expect(refused.status).toBe(415);
    expect(visitor.token).not.toBe(before);
    expect((await visitor.listen()).status).toBe(201);
  });
});

describe('leaving', () => {
  it.each(['whip', 'res'])('DELETE P/%s ends everything of the member and expires the cookie', async (name) => {
    const visitor = await visitorIn(call, 'u1');
    await visitorIn(call, 'u2');
    await visitor.listen();
    const response = await visitor.guarded('DELETE', `${P}/${name}`);

    expect(response.status).toBe(200);
    expect(await textOf(response)).toBe('');
    expect(response.headers.get('Set-Cookie')).toMatch(/^session\.id=; Path=\/; Max-Age=0;/);
    expect(node.ingress.size).toBe(1);
    expect(node.egress.size).toBe(0);
    for (const path of ['whip', 'res']) {
      expect((await visitor.guarded('DELETE', `${P}/${path}`)).status).toBe(404);
      expect((await call(`${P}/${path}`, { method: 'DELETE' })).status).toBe(401);
    }
    expect((await visitor.listen()).status).toBe(404);
    expect((await visitor.guarded('GET', `${P}/live`)).status).toBe(404);
    expect((await visitor.enter([])).status).toBe(201);
  });

  it('DELETE of the Location: by its user, by nobody in particular, not by another user', async () => {
    const [one, two] = [await visitorIn(call, 'u1'), await visitorIn(call, 'u2')];
    const refused = await call(one.location, { method: 'DELETE', headers: two.bearer });
    expect(refused.status).toBe(403);
    expect(node.ingress.size).toBe(2);
    const deleted = await call(one.location, { method: 'DELETE', headers: { ...one.bearer, Cookie: one.cookie } });
    expect(deleted.status).toBe(200);
    expect(deleted.headers.get('Set-Cookie')).toMatch(/^session\.id=; /);
    // Another session's cookie stays.
    const other = await call(two.location, { method: 'DELETE', headers: { Cookie: one.cookie } });
    expect(other.status).toBe(200);
    expect(other.headers.get('Set-Cookie')).toBeNull();
    expect((await call(two.location, { method: 'DELETE' })).status).toBe(404);
  });

  it('the last one leaves: nothing is stored, the node carries nothing', async () => {
    const visitor = await visitorIn(call, 'u1');
    await visitor.listen();
    await visitor.guarded('DELETE', `${P}/whip`);
    expect(node.sessions.count).toBe(0);
    expect(await stored(lobby())).toMatchObject({ keys: [], alarm: null });
    const links = await eventually(
      () => stored(objects.NODE_LINK.getByName(node.node)),
      ({ keys }) => keys.length === 1,
    );
    expect(links.keys).toEqual(['link']);
  });

  it('a guest whom the stream does not name any more is out, and nobody else is', async () => {
    const admin = stage({ ADMIN_TOKEN: 'operators-only' });
    const [owner, kept, removed] = [
      await visitorIn(call, 'u1'),
      await visitorIn(call, 'u2'),
      await visitorIn(call, 'u3'),
    ];

    const response = await admin(P, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json', Authorization: 'Bearer operators-only' },
      body: JSON.stringify({ title: 'Show', owner: 'u1', guests: ['u2'] }),
    });

    expect(response.status).toBe(200);
    expect((await storedLobby())?.members.map(({ user }) => user)).toEqual(['u1', 'u2']);
    expect((await removed.listen()).status).toBe(404);
    expect((await removed.enter()).status).toBe(403);
    for (const visitor of [owner, kept]) expect((await visitor.guarded('GET', `${P}/live`)).status).toBe(200);
    expect((await call(removed.location)).status).toBe(404);
  });

  it('who is sent out while an offer is on its way does not come back by it', async () => {
    const admin = stage({ ADMIN_TOKEN: 'operators-only' });
    await visitorIn(call, 'u1');
    const removed = await visitorIn(call, 'u3');
    const removal = {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json', Authorization: 'Bearer operators-only' },
      body: JSON.stringify({ title: 'Show', owner: 'u1', guests: ['u2'] }),
    };
    // Its first byte is asked for when the member has been let in.
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          expect((await admin(P, removal)).status).toBe(200);
          controller.enqueue(new TextEncoder().encode(memberOffer(['1 2 Cam'])));
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );

    const response = await call(`${P}/whip`, { method: 'POST', headers: { ...SDP, ...removed.bearer }, body });

    expect(response.status).toBe(403);
    expect((await storedLobby())?.members.map(({ user }) => user)).toEqual(['u1']);
  });

  it('deleting the stream ends its lobby', async () => {
    const admin = stage({ ADMIN_TOKEN: 'admin' });
    const visitor = await visitorIn(call, 'u1');
    expect((await admin(P, { method: 'DELETE', headers: { Authorization: 'Bearer admin' } })).status).toBe(200);
    expect(node.sessions.count).toBe(0);
    expect((await visitor.listen()).status).toBe(404);
  });
});

describe('session resources', () => {
  it('trickle, restart, GET and OPTIONS work on what is sent and what is received', async () => {
    const visitor = await visitorIn(call, 'u1');
    const listening = (await visitor.listen()).headers.get('Location') ?? '';
    for (const location of [visitor.location, listening]) {
      const patch = (body: string, headers: Record<string, string> = {}) =>
        call(location, { method: 'PATCH', headers: { ...SDPFRAG, ...headers }, body });
      expect((await patch('a=mid:0\r\n')).status).toBe(204);
      const restarted = await patch('a=ice-ufrag:restart\r\na=ice-pwd:x\r\n', { 'If-Match': '*' });
      expect(restarted.status).toBe(200);
      expect(restarted.headers.get('ETag')).toMatch(/^"[^"]+"$/);
      expect((await patch('a=mid:0\r\n', { 'If-Match': '"stale"' })).status).toBe(412);
      expect((await call(location)).status).toBe(200);
      expect((await call(location, { method: 'OPTIONS' })).headers.get('Allow')).toContain('PATCH');
    }
    expect((await call(visitor.location, { method: 'PATCH', headers: SDP, body: PLAYER_ANSWER })).status).toBe(415);
  });
});
