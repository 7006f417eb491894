/** Login, and what a member's page asks for first. */
import { beforeEach, describe, expect, it } from 'vitest';
import { type Call, deployed, problemOf, type TestSettings } from '../test-support/app.ts';
import { ADMIN, bearer, claimsIn, JWT_SECRET, json, logIn, REGISTER, tokenOf } from '../test-support/people.ts';

const call = deployed({ ADMIN_TOKEN: ADMIN, REGISTER_TOKEN: REGISTER });

describe('POST /authenticate', () => {
  it('gives a token that says who it is, always by the same UUID', async () => {
    const before = Math.floor(Date.now() / 1000);
    const response = await logIn(call, 'ada');
    const body = (await response.json()) as { jwt: string };
    const claims = claimsIn(body.jwt);

    expect(Object.keys(body)).toEqual(['jwt']);
    expect(response.headers.get('Cache-Control')).toBe('no-store');
    expect(claims).toMatchObject({ sub: 'ada', uuid: '85e86c82-0653-8e6d-939d-5950fde9b811' });
    expect(Number(claims.iat)).toBeGreaterThanOrEqual(before);
    expect(Number(claims.exp) - Number(claims.iat)).toBe(12 * 3600);
    expect(claimsIn(await tokenOf(call, 'ada')).uuid).toBe(claims.uuid);
    expect(claimsIn(await tokenOf(call, 'ben')).uuid).not.toBe(claims.uuid);
  });

  it('names the audience when one is configured', async () => {
    const strict = deployed({ REGISTER_TOKEN: REGISTER, JWT_SECRET, JWT_AUDIENCE: 'vestibule' });
    expect(claimsIn(await tokenOf(strict, 'ada')).aud).toBe('vestibule');
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
    const token = await tokenOf(turned, 'ada');
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
      headers: { ...bearer(await tokenOf(turned, 'ben')), Cookie: `csrf=${csrf}` },
    });
    expect(other.headers.get('X-Csrf-Token')).not.toBe(csrf);
  });

  it('is for users only', async () => {
    const response = await turned('/space/setting');

    expect(response.status).toBe(401);
    expect(response.headers.get('Set-Cookie')).toBeNull();
  });
});
