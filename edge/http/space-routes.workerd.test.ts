/** Streams and their people, over HTTP with the real objects. */
import { reset } from 'cloudflare:test';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSessionCookie } from '../auth/session-cookie.ts';
import { eventually, objects, stored } from '../lobby/objects-under-test.ts';
import { type Call, deployed, problemOf } from '../test-support/app.ts';
import { TEST_SESSION_SECRET } from '../test-support/bindings.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { ADMIN, bearer, claimsIn, JWT_SECRET, json, REGISTER, tokenOf } from '../test-support/people.ts';
import { memberOffer } from '../test-support/sample-sdp.ts';

const UUID = '3b241101-e2bb-4255-8caf-4136c566a962';
const UNKNOWN = '3b241101-e2bb-4255-8caf-4136c566a963';
const P = `/space/s1/stream/${UUID}`;
const STREAM = { title: 'Show', owner: 'ada', guests: ['ben', 'cleo@video.example'] };

const call = deployed({ ADMIN_TOKEN: ADMIN, REGISTER_TOKEN: REGISTER });
afterEach(() => reset());

const put = (path = P, body: unknown = STREAM, headers: Record<string, string> = {}) =>
  call(path, json('PUT', body, { ...bearer(ADMIN), ...headers }));

async function as(user: string, path: string, init: RequestInit = {}): Promise<Response> {
  return call(path, { ...init, headers: bearer(await tokenOf(call, user)) });
}

describe('a stream', () => {
  it('is created, shown, changed and deleted', async () => {
    const created = await put();
    expect(created.status).toBe(201);
    expect(created.headers.get('Location')).toBe(P);
    expect(await created.json()).toEqual({ uuid: UUID, user: 'ada', ...STREAM });

    expect(await (await as('ada', P)).json()).toEqual({ uuid: UUID, user: 'ada', ...STREAM });
    expect(await (await as('ben', P)).json()).toEqual({ uuid: UUID, title: 'Show', user: 'ada' });

    const updated = await put(P, { title: 'Late show', owner: 'ben', guests: [] });
    expect(updated.status).toBe(200);
    expect(await (await as('ben', P)).json()).toMatchObject({ title: 'Late show', owner: 'ben' });
    expect((await as('ada', P)).status).toBe(403);

    expect((await call(P, { method: 'DELETE', headers: bearer(ADMIN) })).status).toBe(200);
    expect((await call(P, { method: 'DELETE', headers: bearer(ADMIN) })).status).toBe(404);
    expect((await as('ben', P)).status).toBe(404);
    expect(await stored(objects.SPACE.getByName('s1'))).toEqual({ keys: [], alarm: null, tables: [] });
  });

  it('is one, however its UUID is written', async () => {
    await put(P.toUpperCase().replace('/SPACE/S1/STREAM/', '/space/s1/stream/'));

    expect((await put()).status).toBe(200);
    expect(await (await as('ada', P)).json()).toMatchObject({ uuid: UUID });
  });

  it('that is there stays as it is with If-None-Match: *', async () => {
    expect((await put(P, STREAM, { 'If-None-Match': '*' })).status).toBe(201);
    expect((await put(P, { ...STREAM, owner: 'eve' }, { 'If-None-Match': '*' })).status).toBe(412);
    expect(await (await as('ada', P)).json()).toMatchObject({ owner: 'ada' });
  });

  it('is not there in another space, under another UUID, or under what is no UUID', async () => {
    await put();
    const space = 'root_channel@video.example';
    expect((await put(`/space/${space}/stream/${UUID}`)).status).toBe(201);
    expect((await as('ada', `/space/${encodeURIComponent(space)}/stream/${UUID}`)).status).toBe(200);

    for (const path of [
      `/space/s2/stream/${UUID}`,
      `/space/s1/stream/${UNKNOWN}`,
      '/space/s1/stream/1',
      '/space/a%20b/streams',
    ]) {
      const refused = await as('ada', path);
      expect(refused.status, path).toBe(404);
      expect(await problemOf(refused)).toMatchObject({ code: 'no_stream' });
    }
    expect(await stored(objects.SPACE.getByName('s2'))).toEqual({ keys: [], alarm: null, tables: [] });
  });

  it.each([
    ['PUT', undefined, 401],
    ['PUT', 'wrong', 401],
    ['DELETE', undefined, 401],
    ['DELETE', 'wrong', 401],
    ['GET', undefined, 401],
    ['GET', 'wrong', 401],
    ['POST', ADMIN, 405],
    ['PATCH', ADMIN, 405],
  ])('%s with bearer %s is refused', async (method, token, status) => {
    await put();
    const headers = { 'Content-Type': 'application/json', ...(token === undefined ? {} : bearer(token)) };
    const body = method === 'PUT' ? JSON.stringify(STREAM) : null;
    const response = await call(P, { method, headers, body });

    expect(response.status).toBe(status);
    if (status === 401) expect(response.headers.get('WWW-Authenticate')).toMatch(/^Bearer /);
    if (status === 405) expect(response.headers.get('Allow')).toBe('OPTIONS, GET, HEAD, PUT, DELETE');
    expect(await (await as('ada', P)).json()).toMatchObject(STREAM);
  });

  it('is not for its owner to change', async () => {
    await put();
    const token = await tokenOf(call, 'ada');

    // The token of a member is signed with a key that no administrator has.
    expect((await call(P, json('PUT', STREAM, bearer(token)))).status).toBe(401);
    expect((await call(P, { method: 'DELETE', headers: bearer(token) })).status).toBe(401);
  });

  it('is shown to an administrator, and not to strangers', async () => {
    await put();

    expect(await (await call(P, { headers: bearer(ADMIN) })).json()).toMatchObject(STREAM);
    expect(await problemOf(await as('eve', P))).toMatchObject({ status: 403, code: 'not_a_member' });
  });

  it('a token in the URL counts for nothing', async () => {
    await put();
    expect((await call(`${P}?token=${ADMIN}`)).status).toBe(401);
    expect((await call(`${P}?token=${await tokenOf(call, 'ada')}`)).status).toBe(401);
  });

  it.each([
    ['text', 'text/plain', JSON.stringify(STREAM), 415],
    ['no JSON', 'application/json', '{', 400],
    ['an unknown member', 'application/json', JSON.stringify({ ...STREAM, live: true }), 400],
    ['too much', 'application/json', JSON.stringify({ ...STREAM, x: 'x'.repeat(1024 * 1024) }), 413],
  ])('PUT of %s is refused and writes nothing', async (_name, type, body, status) => {
    expect((await put(P, body, { 'Content-Type': type })).status).toBe(status);
    expect(await stored(objects.SPACE.getByName('s1'))).toEqual({ keys: [], alarm: null, tables: [] });
  });

  it('a page of another origin may PUT it', async () => {
    const preflight = await call(P, {
      method: 'OPTIONS',
      headers: { Origin: 'https://page.example', 'Access-Control-Request-Method': 'PUT' },
    });

    expect(preflight.headers.get('Access-Control-Allow-Methods')).toBe('OPTIONS, GET, HEAD, POST, PATCH, DELETE, PUT');
    expect(preflight.headers.get('Access-Control-Expose-Headers')).toContain('X-Req-Token');
  });
});

describe('a stream in which people are', () => {
  let node: FakeNode;
  beforeEach(async () => {
    node = await dialFakeNode();
  });
  afterEach(() => node.close());

  const enter = async (user: string) =>
    call(`${P}/whip`, {
      method: 'POST',
      headers: { ...bearer(await tokenOf(call, user)), 'Content-Type': 'application/sdp' },
      body: memberOffer(),
    });

  it('lets in its owner and its guests, each under a signed name, and nobody else', async () => {
    await put();
    const entered = await enter('ada');
    const cookie = entered.headers.get('Set-Cookie') ?? '';

    expect(entered.status).toBe(201);
    expect(cookie).toMatch(/^session\.id=[\w-]+\.[\w-]+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/);
    expect(await readSessionCookie(cookie, TEST_SESSION_SECRET)).toMatchObject({
      lobby: `stream:s1/${UUID}`,
      user: 'ada',
    });
    expect((await enter('ben')).status).toBe(201);
    const refused = await enter('eve');
    expect(refused.status).toBe(403);
    expect(refused.headers.get('Set-Cookie')).toBeNull();
    expect((await call('/api/rooms')).status, 'rooms do not mind').toBe(200);
  });

  it('ends with everything in it when it is deleted', async () => {
    await put();
    const location = (await enter('ada')).headers.get('Location') ?? '';
    expect((await call(location)).status).toBe(200);

    expect((await call(P, { method: 'DELETE', headers: bearer(ADMIN) })).status).toBe(200);
    expect((await call(location)).status).toBe(404);
    await eventually(
      async () => node.sessions.count,
      (count) => count === 0,
    );
    expect((await enter('ada')).status).toBe(404);
  });
});

describe('lists of streams', () => {
  const uuidOf = (n: number) => `3b241101-e2bb-4255-8caf-${String(n).padStart(12, '0')}`;
  const list = '/space/s1/streams';

  /** Every page, from the first on. */
  async function pages(first: string, token: string): Promise<string[][]> {
    const found: string[][] = [];
    for (let next: string | undefined = first; next !== undefined; ) {
      const response = await call(next, { headers: bearer(token) });
      expect(response.status).toBe(200);
      found.push(((await response.json()) as { uuid: string }[]).map(({ uuid }) => uuid));
      next = /^<([^>]+)>; rel="next"$/.exec(response.headers.get('Link') ?? '')?.[1];
    }
    return found;
  }

  it('hold what the member belongs to; an administrator sees all', async () => {
    await put(`/space/s1/stream/${uuidOf(3)}`, { title: 'Three', owner: 'ben', guests: ['ada'] });
    await put(`/space/s1/stream/${uuidOf(1)}`, { title: 'One', owner: 'ada', guests: [] });
    await put(`/space/s1/stream/${uuidOf(2)}`, { title: 'Two', owner: 'ben', guests: [] });
    await put(`/space/s2/stream/${uuidOf(4)}`, { title: 'Four', owner: 'ada', guests: [] });

    const one = { uuid: uuidOf(1), title: 'One', user: 'ada' };
    const three = { uuid: uuidOf(3), title: 'Three', user: 'ben' };
    const response = await as('ada', list);
    expect(await response.json()).toEqual([one, three]);
    expect(response.headers.get('Link')).toBeNull();
    expect(await (await as('eve', list)).json()).toEqual([]);
    expect(await pages(list, ADMIN)).toEqual([[uuidOf(1), uuidOf(2), uuidOf(3)]]);
    expect((await call(list)).status).toBe(401);
  });

  it('come in pages of at most 100, each stream once', async () => {
    const space = objects.SPACE.getByName('s1');
    const all = Array.from({ length: 105 }, (_, n) => uuidOf(n));
    for (const uuid of all) {
      await space.put({ stream: { uuid: uuid as never, title: 't', owner: 'ada', guests: ['ben'] }, onlyNew: false });
    }
    const token = await tokenOf(call, 'ben');

    expect((await pages(list, token)).map((page) => page.length)).toEqual([100, 5]);
    expect((await pages(`${list}?limit=35`, token)).flat()).toEqual(all);
    expect((await pages(`${list}?limit=35`, token)).map((page) => page.length)).toEqual([35, 35, 35]);
  });

  it.each(['limit=0', 'limit=101', 'limit=x', 'limit=-1', 'limit=', 'after=x', 'after='])(
    '%s is refused',
    async (query) => {
      expect((await as('ada', `${list}?${query}`)).status).toBe(400);
    },
  );

  it('of spaces that nobody knows are empty, and write nothing', async () => {
    expect(await (await as('ada', '/space/nowhere/streams')).json()).toEqual([]);
    expect(await stored(objects.SPACE.getByName('nowhere'))).toEqual({ keys: [], alarm: null, tables: [] });
  });
});

describe('names', () => {
  const issuer: Call = deployed({ ADMIN_TOKEN: ADMIN, REGISTER_TOKEN: REGISTER, JWT_SECRET });
  const minted = (claims: Record<string, unknown>) =>
    new SignJWT({ exp: Math.floor(Date.now() / 1000) + 60, ...claims })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(JWT_SECRET));

  it('a person is a member by any of them', async () => {
    const uuid = String(claimsIn(await tokenOf(issuer, 'dora')).uuid);
    await put(P, {
      title: 'Show',
      owner: uuid,
      guests: ['cleo@video.example', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    });
    const status = async (token: string) => (await issuer(P, { headers: bearer(token) })).status;

    expect(await status(await tokenOf(issuer, 'dora'))).toBe(200);
    expect(await status(await minted({ userId: 'cleo', home: 'video.example' }))).toBe(200);
    expect(await status(await minted({ uuid: 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' }))).toBe(200);
    expect(await status(await minted({ userId: 'cleo', home: 'elsewhere.example' }))).toBe(403);
    expect(await status(await minted({}))).toBe(403);
    expect(await status(await minted({ sub: uuid, exp: 1 }))).toBe(401);
  });

  it('a member’s token under JWT_SECRET opens no room; an administrator’s opens everything', async () => {
    await put();
    const member = await tokenOf(issuer, 'ada');
    const admin = await minted({ role: 'admin' });
    const publish = (token: string) =>
      issuer('/api/whip/publish/r1', {
        method: 'POST',
        headers: { ...bearer(token), 'Content-Type': 'application/sdp' },
        body: 'x',
      });

    expect((await publish(member)).status).toBe(403);
    expect((await publish(admin)).status, 'allowed, but no SDP').toBe(400);
    expect((await issuer(P, json('PUT', STREAM, bearer(member)))).status).toBe(403);
    expect((await issuer(P, json('PUT', STREAM, bearer(admin)))).status).toBe(200);
  });

  it('without JWT_SECRET members have tokens all the same, and rooms stay open', async () => {
    expect((await call('/api/bootstrap')).status).toBe(200);
    expect(await (await call('/api/bootstrap')).json()).toMatchObject({ authEnabled: false });
    expect((await call('/api/rooms', { headers: bearer(await tokenOf(call, 'ada')) })).status).toBe(200);
  });
});
