/** Streams, their people and login, over HTTP with the real objects. */
import { reset } from 'cloudflare:test';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { objects, stored } from '../lobby/objects-under-test.ts';
import { type Call, deployed, problemOf, type TestSettings } from '../test-support/app.ts';

const ADMIN = 'admin-token';
const REGISTER = 'register-token';
const JWT_SECRET = 'the key of the tokens, long enough for every HMAC';
const UUID = '3b241101-e2bb-4255-8caf-4136c566a962';
const UNKNOWN = '3b241101-e2bb-4255-8caf-4136c566a963';
const P = `/space/s1/stream/${UUID}`;
const STREAM = { title: 'Show', owner: 'ada', guests: ['ben', 'cleo@video.example'] };

const call = deployed({ ADMIN_TOKEN: ADMIN, REGISTER_TOKEN: REGISTER });
afterEach(() => reset());

const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

function json(method: string, body: unknown, headers: Record<string, string> = {}): RequestInit {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { method, headers: { 'Content-Type': 'application/json', ...headers }, body: text };
}

const put = (path = P, body: unknown = STREAM, headers: Record<string, string> = {}) =>
  call(path, json('PUT', body, { ...bearer(ADMIN), ...headers }));

const logIn = (user: string, via: Call = call) =>
  via('/authenticate', json('POST', { user, token: REGISTER, client: 'test' }));

async function tokenOf(user: string, via: Call = call): Promise<string> {
  const response = await logIn(user, via);
  expect(response.status).toBe(200);
  return ((await response.json()) as { jwt: string }).jwt;
}

async function as(user: string, path: string, init: RequestInit = {}): Promise<Response> {
  return call(path, { ...init, headers: bearer(await tokenOf(user)) });
}

function claimsOf(jwt: string): Record<string, unknown> {
  const payload = (jwt.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
  return JSON.parse(atob(payload)) as Record<string, unknown>;
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
    const token = await tokenOf('ada');

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
    expect((await call(`${P}?token=${await tokenOf('ada')}`)).status).toBe(401);
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
    const token = await tokenOf('ben');

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
    const uuid = String(claimsOf(await tokenOf('dora', issuer)).uuid);
    await put(P, {
      title: 'Show',
      owner: uuid,
      guests: ['cleo@video.example', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    });
    const status = async (token: string) => (await issuer(P, { headers: bearer(token) })).status;

    expect(await status(await tokenOf('dora', issuer))).toBe(200);
    expect(await status(await minted({ userId: 'cleo', home: 'video.example' }))).toBe(200);
    expect(await status(await minted({ uuid: 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' }))).toBe(200);
    expect(await status(await minted({ userId: 'cleo', home: 'elsewhere.example' }))).toBe(403);
    expect(await status(await minted({}))).toBe(403);
    expect(await status(await minted({ sub: uuid, exp: 1 }))).toBe(401);
  });

  it('a member’s token under JWT_SECRET opens no room; an administrator’s opens everything', async () => {
    await put();
    const member = await tokenOf('ada', issuer);
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
    expect((await call('/api/rooms', { headers: bearer(await tokenOf('ada')) })).status).toBe(200);
  });
});

describe('POST /authenticate', () => {
  it('gives a token that says who it is, always by the same UUID', async () => {
    const before = Math.floor(Date.now() / 1000);
    const response = await logIn('ada');
    const body = (await response.json()) as { jwt: string };
    const claims = claimsOf(body.jwt);

    expect(Object.keys(body)).toEqual(['jwt']);
    expect(response.headers.get('Cache-Control')).toBe('no-store');
    expect(claims).toMatchObject({ sub: 'ada', uuid: '85e86c82-0653-8e6d-939d-5950fde9b811' });
    expect(Number(claims.iat)).toBeGreaterThanOrEqual(before);
    expect(Number(claims.exp) - Number(claims.iat)).toBe(12 * 3600);
    expect(claimsOf(await tokenOf('ada')).uuid).toBe(claims.uuid);
    expect(claimsOf(await tokenOf('ben')).uuid).not.toBe(claims.uuid);
  });

  it('names the audience when one is configured', async () => {
    const strict = deployed({ REGISTER_TOKEN: REGISTER, JWT_SECRET, JWT_AUDIENCE: 'vestibule' });
    expect(claimsOf(await tokenOf('ada', strict)).aud).toBe('vestibule');
  });

  const LOGIN = { user: 'ada', token: REGISTER, client: 'test' };
  it.each<[string, RequestInit, number, TestSettings?]>([
    ['a wrong token', json('POST', { ...LOGIN, token: 'wrong' }), 401],
    ['the admin token', json('POST', { ...LOGIN, token: ADMIN }), 401],
    ['no REGISTER_TOKEN configured', json('POST', LOGIN), 401, { ADMIN_TOKEN: ADMIN }],
    ['no JSON', json('POST', '{"user":'), 400],
    ['nothing', json('POST', ''), 400],
    ['no UTF-8', { ...json('POST', ''), body: Uint8Array.of(0xff) }, 400],
    ['an unknown member', json('POST', { ...LOGIN, role: 'admin' }), 400],
    ['a missing member', json('POST', { user: 'ada', token: REGISTER }), 400],
    ['an empty name', json('POST', { ...LOGIN, user: ' ' }), 400],
    ['text', json('POST', LOGIN, { 'Content-Type': 'text/plain' }), 415],
    ['a form', json('POST', 'user=ada', { 'Content-Type': 'application/x-www-form-urlencoded' }), 415],
    ['too much', json('POST', { ...LOGIN, client: 'x'.repeat(1024 * 1024) }), 413],
    ['GET', { method: 'GET' }, 405],
    ['PUT', json('PUT', LOGIN), 405],
  ])('%s is refused', async (_name, init, status, settings) => {
    const response = await (settings === undefined ? call : deployed(settings))('/authenticate', init);
    const problem = await problemOf(response);

    expect(response.status).toBe(status);
    expect(JSON.stringify(problem)).not.toContain(REGISTER);
    if (status === 401) expect(response.headers.get('WWW-Authenticate')).toMatch(/^Bearer /);
    if (status === 415) expect(response.headers.get('Accept-Post')).toBe('application/json');
    if (status === 405) expect(response.headers.get('Allow')).toBe('OPTIONS, POST');
  });

  it('is limited like other requests', async () => {
    const slow = deployed({ REGISTER_TOKEN: REGISTER, RATE_LIMIT_RPS: '0.001', RATE_LIMIT_BURST: '2' });
    const guess = () =>
      slow('/authenticate', json('POST', { ...LOGIN, token: 'wrong' }, { 'CF-Connecting-IP': '192.0.2.77' }));

    const statuses = [(await guess()).status, (await guess()).status, (await guess()).status];
    expect(statuses).toEqual([401, 401, 429]);
  });
});

describe('GET /space/setting', () => {
  const TURN = {
    TURN_URLS: 'turn:turn.example',
    TURN_USERNAME: 'u',
    TURN_PASSWORD: 'p',
    STUN_URLS: 'stun:stun.example',
  };
  let turned: Call;
  beforeEach(() => {
    turned = deployed({ REGISTER_TOKEN: REGISTER, PUBLIC_URL: 'https://live.example', ...TURN });
  });

  it('gives the ICE servers, and a token in header and cookie that stays while the cookie does', async () => {
    const token = await tokenOf('ada', turned);
    const first = await turned('/space/setting', { headers: bearer(token) });
    const csrf = first.headers.get('X-Csrf-Token') ?? '';

    expect(first.status).toBe(200);
    expect(await first.json()).toEqual([
      { urls: ['turn:turn.example'], username: 'u', credential: 'p' },
      { urls: ['stun:stun.example'] },
    ]);
    expect(first.headers.get('Set-Cookie')).toBe(`csrf=${csrf}; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax`);
    const again = await turned('/space/setting', { headers: { ...bearer(token), Cookie: `csrf=${csrf}` } });
    expect(again.headers.get('X-Csrf-Token')).toBe(csrf);
    const other = await turned('/space/setting', {
      headers: { ...bearer(await tokenOf('ben', turned)), Cookie: `csrf=${csrf}` },
    });
    expect(other.headers.get('X-Csrf-Token')).not.toBe(csrf);
  });

  it('is for users only', async () => {
    const response = await turned('/space/setting');

    expect(response.status).toBe(401);
    expect(response.headers.get('Set-Cookie')).toBeNull();
  });
});
