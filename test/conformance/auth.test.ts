/** Group H of protocol.md and seeds row 17: who may publish, play and look. */
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { expectEmpty, expectProblem } from './support/checks.ts';
import { freshRoom, PLAY_OFFER, PUBLISH_OFFER, patch, post, sessionOf } from './support/sessions.ts';
import { type Call, callTo, type Reply } from './support/wire.ts';

const JWT_SECRET = 'a secret for tokens, long enough for HS512 of 64 bytes and a bit more.';
const AUDIENCE = 'vestibule-test';

let guarded: Vestibule;
let onlyJwt: Vestibule;
let onlyRooms: Vestibule;
let call: Call;
let callJwt: Call;
let callRooms: Call;

beforeAll(async () => {
  [guarded, onlyJwt, onlyRooms] = await Promise.all([
    startVestibule({
      env: {
        AUTH_TOKEN: 'global',
        ROOM_TOKENS: 'vip:vip-token;other:other-token',
        ADMIN_TOKEN: 'admin',
        JWT_SECRET,
        JWT_AUDIENCE: AUDIENCE,
      },
    }),
    startVestibule({ env: { JWT_SECRET } }),
    startVestibule({ env: { ROOM_TOKENS: 'vip:vip-token' } }),
  ]);
  call = callTo(guarded.url);
  callJwt = callTo(onlyJwt.url);
  callRooms = callTo(onlyRooms.url);
});
afterAll(() => Promise.all([guarded.stop(), onlyJwt.stop(), onlyRooms.stop()]));

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = (): number => Math.floor(Date.now() / 1000);

function jwt(claims: Record<string, unknown> = {}, algorithm = 'HS256', secret = JWT_SECRET): string {
  const body = `${part({ alg: algorithm, typ: 'JWT' })}.${part({ exp: now() + 600, aud: AUDIENCE, ...claims })}`;
  return `${body}.${createHmac(`sha${algorithm.slice(2)}`, secret)
    .update(body)
    .digest('base64url')}`;
}

const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

async function publish(ask: Call, room: string, headers: Record<string, string> = {}, query = ''): Promise<Reply> {
  const reply = await ask(`/api/whip/publish/${room}${query}`, post(PUBLISH_OFFER, headers));
  if (reply.status === 201) {
    // The room is free for the next one; the URL is all that it takes (#59).
    expectEmpty(await ask(reply.header('Location') ?? '', { method: 'DELETE' }), 200);
  }
  return reply;
}

function expectUnauthorized(reply: Reply, withToken: boolean): void {
  expectProblem(reply, 401);
  const challenge = reply.header('WWW-Authenticate') ?? '';
  expect(challenge.includes('error="invalid_token"')).toBe(withToken);
}

describe('how a token is presented (#20 #91 #93 #94)', () => {
  it.each([
    ['Bearer', { Authorization: 'Bearer global' }, ''],
    ['bearer', { Authorization: 'bearer global' }, ''],
    ['BEARER and blanks', { Authorization: 'BEARER   global ' }, ''],
    ['a raw token (Eyevinn player)', { Authorization: 'global' }, ''],
    ['Basic (MediaMTX pages)', { Authorization: `Basic ${btoa('anybody:global')}` }, ''],
    ['X-Auth-Token', { 'X-Auth-Token': 'global' }, ''],
    ['?token= (vue-wish)', {}, '?token=global'],
    ['?token= beside Bearer undefined (Eyevinn)', { Authorization: 'Bearer undefined' }, '?token=global'],
    ['?token= among others', {}, '?a=b&token=global&c'],
  ])('%s', async (_name, headers, query) => {
    expect((await publish(call, freshRoom(), headers as Record<string, string>, query)).status).toBe(201);
  });

  it.each([
    ['nothing', {}, '', false],
    ['Bearer alone', { Authorization: 'Bearer' }, '', false],
    ['Bearer undefined', { Authorization: 'Bearer undefined' }, '', false],
    ['a wrong token', { Authorization: 'Bearer globa' }, '', true],
    ['another case', { Authorization: 'Bearer GLOBAL' }, '', true],
    ['the admin token', { Authorization: 'Bearer admin' }, '', true],
    ['another room’s token', { Authorization: 'Bearer vip-token' }, '', true],
    ['a wrong X-Auth-Token', { 'X-Auth-Token': 'no' }, '', true],
    ['a wrong ?token=', {}, '?token=no', true],
    ['a wrong Basic password', { Authorization: `Basic ${btoa('global:no')}` }, '', true],
    ['broken Basic', { Authorization: 'Basic %%%' }, '', false],
    ['Digest', { Authorization: 'Digest username="global"' }, '', true],
    ['a very long token', { Authorization: `Bearer ${'x'.repeat(8000)}` }, '', null],
  ])('%s is 401', async (_name, headers, query, withToken) => {
    const room = freshRoom();
    for (const reply of [
      await publish(call, room, headers as Record<string, string>, query),
      await call(`/api/whep/play/${room}${query}`, post(PLAY_OFFER, headers as Record<string, string>)),
      await call(`/rooms/${room}/join${query}`, { method: 'POST', headers: headers as Record<string, string> }),
    ]) {
      if (withToken === null) expectProblem(reply, 401);
      else expectUnauthorized(reply, withToken);
    }
  });

  it('also on the forms with a query', async () => {
    const path = `/webrtc/whip?streamid=${freshRoom()}`;
    expectUnauthorized(await call(path, post(PUBLISH_OFFER)), false);
    expect((await call(`${path}&token=global`, post(PUBLISH_OFFER))).status).toBe(201);
  });

  it('refuses before it looks at the body', async () => {
    expectUnauthorized(
      await call(`/api/whip/publish/${freshRoom()}`, post('junk', { 'Content-Type': 'text/plain' })),
      false,
    );
    expectUnauthorized(await call(`/api/whep/play/${freshRoom()}`, post(PLAY_OFFER)), false);
  });

  it('#94 without settings any token is as good as none', async () => {
    for (const headers of [{}, bearer('undefined'), bearer('whatever'), { Authorization: 'Basic x' }]) {
      expect((await publish(callRooms, freshRoom(), headers as Record<string, string>)).status).toBe(201);
    }
  });
});

describe('room token before global token before JWT (row 17)', () => {
  it.each([
    ['vip', 'vip-token', 201],
    ['vip', 'global', 401],
    ['vip', 'other-token', 401],
    ['other', 'other-token', 201],
    ['free', 'global', 201],
    ['free', 'vip-token', 401],
  ])('room %s with %s: %d', async (room, token, status) => {
    expect((await publish(call, room, bearer(token))).status).toBe(status);
    const played = await call(`/api/whep/play/${room}`, post(PLAY_OFFER, bearer(token)));
    expect(played.status).toBe(status === 201 ? 404 : status);
  });

  it('a JWT opens any room that it names', async () => {
    for (const room of ['vip', 'free']) expect((await publish(call, room, bearer(jwt({ room })))).status).toBe(201);
  });

  it('room tokens alone leave the other rooms open', async () => {
    expectUnauthorized(await publish(callRooms, 'vip'), false);
    expect((await publish(callRooms, 'vip', bearer('vip-token'))).status).toBe(201);
    expect((await publish(callRooms, 'free')).status).toBe(201);
  });
});

describe('JWT (row 17, #20)', () => {
  it.each(['HS256', 'HS384', 'HS512'])('%s', async (algorithm) => {
    expect((await publish(call, freshRoom(), bearer(jwt({}, algorithm)))).status).toBe(201);
    expect((await publish(callJwt, freshRoom(), { 'X-Auth-Token': jwt({}, algorithm) })).status).toBe(201);
    expect((await publish(callJwt, freshRoom(), {}, `?token=${jwt({}, algorithm)}`)).status).toBe(201);
  });

  it.each([
    ['expired', () => jwt({ exp: now() - 60 })],
    ['without exp', () => jwt({ exp: undefined })],
    ['exp as text', () => jwt({ exp: 'tomorrow' })],
    ['not yet valid', () => jwt({ nbf: now() + 600 })],
    ['for another audience', () => jwt({ aud: 'elsewhere' })],
    ['for no audience', () => jwt({ aud: undefined })],
    ['signed by another', () => jwt({}, 'HS256', 'another secret')],
    ['unsigned', () => `${part({ alg: 'none' })}.${part({ exp: now() + 600, aud: AUDIENCE })}.`],
    ['alg none with a signature', () => jwt({}).replace(/^[^.]+/, part({ alg: 'none' }))],
    ['RS256', () => jwt({}).replace(/^[^.]+/, part({ alg: 'RS256' }))],
    [
      'with altered claims',
      () => jwt({}).replace(/\.[^.]+\./, `.${part({ exp: now() + 9999, aud: AUDIENCE, role: 'admin' })}.`),
    ],
    ['room of another type', () => jwt({ room: { name: 'x' } })],
    ['garbage', () => 'a.b.c'],
  ])('%s is 401', async (_name, token) => {
    expectUnauthorized(await publish(call, freshRoom(), bearer(token())), true);
  });

  it.each([
    ['another room', { room: 'elsewhere' }, 403, 403],
    ['no room', { room: [] }, 403, 403],
    ['this room among others', { room: ['elsewhere', 'here'] }, 201, 404],
    ['play only', { permissions: ['play'] }, 403, 404],
    ['publish only', { permissions: ['publish'] }, 201, 403],
    ['nothing', { permissions: [] }, 403, 403],
    ['publish denied', { publish: false }, 403, 404],
    ['play denied', { play: false }, 201, 403],
    ['both', { permissions: ['publish', 'play'], room: 'here' }, 201, 404],
  ])('%s', async (_name, claims, publishStatus, playStatus) => {
    const published = await publish(call, 'here', bearer(jwt(claims)));
    const played = await call('/api/whep/play/here', post(PLAY_OFFER, bearer(jwt(claims))));

    expect([published.status, played.status]).toEqual([publishStatus, playStatus]);
    for (const reply of [published, played].filter(({ status }) => status === 403)) {
      expectProblem(reply, 403);
      expect(reply.header('WWW-Authenticate')).toContain('error="insufficient_scope"');
    }
  });

  it('leeway of a clock that is a bit off', async () => {
    expect((await publish(call, freshRoom(), bearer(jwt({ exp: now() - 10 })))).status).toBe(201);
  });
});

describe('the session resource is the capability (#59 #92)', () => {
  it('needs no token, whoever opened it', async () => {
    const room = freshRoom();
    const session = sessionOf(
      await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER, bearer('global'))),
      room,
      PUBLISH_OFFER,
    );
    const trickle = 'a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n';

    for (const headers of [{}, bearer('global'), bearer('undefined')] as Record<string, string>[]) {
      expectEmpty(await call(session.location, patch(trickle, headers)), 204);
      expectEmpty(await call(session.location, { headers }), 200);
    }
    expectEmpty(await call(session.location, { method: 'DELETE' }), 200);
  });

  it('GET, HEAD and OPTIONS of an endpoint tell nothing and need nothing', async () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      expectEmpty(await call(`/api/whip/publish/${freshRoom()}`, { method }), 200);
    }
  });
});

describe('administration (row 31)', () => {
  const close = (room: string, headers: Record<string, string>, ask = call): Promise<Reply> =>
    ask(`/api/admin/rooms/${room}/close`, { method: 'POST', headers });

  it('closes a room for administrators', async () => {
    for (const token of ['admin', jwt({ role: 'admin' }), jwt({ admin: true }), jwt({ admin: 1 })]) {
      const room = freshRoom();
      const session = sessionOf(
        await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER, bearer('global'))),
        room,
        PUBLISH_OFFER,
      );
      const viewer = await call(`/api/whep/play/${room}`, post(PLAY_OFFER, bearer('global')));

      expectEmpty(await close(room, bearer(token)), 200);
      expectProblem(await call(session.location), 404);
      expectProblem(await call(viewer.header('Location') ?? ''), 404);
      expectProblem(await close(room, bearer(token)), 404);
    }
  });

  it('is for nobody else', async () => {
    expectUnauthorized(await close('a', {}), false);
    expectUnauthorized(await close('a', bearer('global')), true);
    expectUnauthorized(await call('/api/admin/rooms/a/close?token=admin', { method: 'POST' }), false);
    expectProblem(await close('a', bearer(jwt({ role: 'user' }))), 403);
    expectUnauthorized(await close('a', bearer('anything'), callRooms), true);
    expectProblem(await close('a%20b', bearer('admin')), 400);
    expectProblem(await call('/api/admin/rooms/a/close', { headers: bearer('admin') }), 405);
  });
});

describe('who sees what', () => {
  it('row 30: rooms', async () => {
    const room = freshRoom();
    await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER, bearer('global')));
    const names = async (headers: Record<string, string>): Promise<string[]> =>
      ((await call('/api/rooms', { headers })).json as { name: string }[]).map(({ name }) => name);

    expectUnauthorized(await call('/api/rooms'), false);
    expect(await names(bearer('global'))).toContain(room);
    expect(await names(bearer('admin'))).toContain(room);
    expect(await names(bearer(jwt({ room })))).toContain(room);
    expect(await names(bearer(jwt({ room: 'elsewhere' })))).toEqual([]);
  });

  it('row 32: bootstrap says that tokens are needed', async () => {
    expect((await call('/api/bootstrap')).json).toMatchObject({ authEnabled: true });
    expect((await callRooms('/api/bootstrap')).json).toMatchObject({ authEnabled: true });
  });
});
