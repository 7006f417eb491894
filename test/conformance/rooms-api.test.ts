/** Seeds rows 30 to 35: what pages and operators ask for; pages themselves; health. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { expectCors, expectEmpty, expectProblem } from './support/checks.ts';
import { playIn, publishIn } from './support/sessions.ts';
import { type Call, callTo, type Reply } from './support/wire.ts';

let server: Vestibule;
let call: Call;

beforeAll(async () => {
  server = await startVestibule({ env: { STUN_URLS: 'stun:a.example,stun:b.example:3478' } });
  call = callTo(server.url);
});
afterAll(() => server.stop());

function expectJson(reply: Reply): unknown {
  expect(reply.status, reply.body).toBe(200);
  expect(reply.header('Content-Type')).toBe('application/json');
  expect(reply.header('Cache-Control')).toBe('no-store');
  expectCors(reply);
  return reply.json;
}

describe('GET /api/rooms (row 30)', () => {
  it('is an empty list at first, and no null', async () => {
    expect(expectJson(await call('/api/rooms'))).toEqual([]);
  });

  it('lists what is there, and only while it is', async () => {
    const publisher = await publishIn(call);
    const { room } = publisher;
    const find = async (): Promise<unknown> =>
      (expectJson(await call('/api/rooms')) as { name: string }[]).find(({ name }) => name === room);
    const subscribers = async (count: number): Promise<void> => {
      await expect
        .poll(find, { interval: 50 })
        .toEqual({ name: room, hasPublisher: true, tracks: 2, subscribers: count });
    };
    await subscribers(0);

    const viewer = await playIn(call, room);
    await playIn(call, room);
    await subscribers(2);
    await call(viewer.location, { method: 'DELETE' });
    await subscribers(1);
    await call(publisher.location, { method: 'DELETE' });

    expect(await find()).toBeUndefined();
  });

  it('tells nothing of sessions', async () => {
    const publisher = await publishIn(call);
    const viewer = await playIn(call, publisher.room);
    const { body } = await call('/api/rooms');
    for (const { location, etag } of [publisher, viewer]) {
      for (const secret of [...location.split(/[/.]/).slice(3), etag.slice(1, -1)].filter((text) => text.length > 7)) {
        expect(body).not.toContain(secret);
      }
    }
  });
});

describe('GET /api/bootstrap (row 32)', () => {
  it('says how to begin', async () => {
    expect(expectJson(await call('/api/bootstrap'))).toEqual({
      authEnabled: false,
      recordEnabled: false,
      iceServers: [{ urls: ['stun:a.example'] }, { urls: ['stun:b.example:3478'] }],
      features: { rooms: true, records: true },
    });
  });
});

describe('methods (row 34)', () => {
  it.each([
    ['/api/rooms', ['GET']],
    ['/api/bootstrap', ['GET']],
    ['/api/admin/rooms/a/close', ['POST']],
    ['/rooms/a/join', ['POST']],
    ['/healthz', ['GET']],
    ['/readyz', ['GET']],
    ['/', ['GET']],
    ['/web/index.html', ['GET']],
  ])('%s', async (path, methods) => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE']) {
      if (methods.includes(method)) continue;
      const reply = await call(path, { method });
      expectProblem(reply, 405);
      for (const allowed of methods) expect(reply.list('Allow')).toContain(allowed.toLowerCase());
    }
    const options = await call(path, { method: 'OPTIONS' });
    expectEmpty(options, 200);
    expect(options.list('Allow').sort()).toEqual(
      [...methods.flatMap((one) => (one === 'GET' ? ['get', 'head'] : [one.toLowerCase()])), 'options'].sort(),
    );
    if (methods.includes('GET')) {
      const [get, head] = [await call(path), await call(path, { method: 'HEAD' })];
      expect(head.status).toBe(get.status);
      expect(head.bytes.byteLength).toBe(0);
      expect(head.header('Content-Type')).toBe(get.header('Content-Type'));
    }
  });
});

describe('administration is off without a token (row 31)', () => {
  it('401, whoever asks', async () => {
    for (const headers of [{}, { Authorization: 'Bearer x' }, { 'X-Auth-Token': '' }] as Record<string, string>[]) {
      expectProblem(await call('/api/admin/rooms/a/close', { method: 'POST', headers }), 401);
    }
  });
});

describe('pages and health', () => {
  it.each(['/', '/web', '/web/'])('%s leads to the index', async (path) => {
    const reply = await call(`${path}?room=a`);
    expect(reply.status).toBe(302);
    expect(reply.header('Location')).toBe('/web/index.html?room=a');
    expectCors(reply);
  });

  it('pages take nothing from elsewhere, tell no other site their address, and are what they say', async () => {
    const reply = await call('/web/lobby.html?token=b');
    expect(reply.header('Content-Security-Policy')).toMatch(/default-src 'self'/);
    expect(reply.header('Referrer-Policy')).toBe('same-origin');
    expect(reply.header('X-Content-Type-Options')).toBe('nosniff');
  });

  it.each(['index', 'publisher', 'player'])('/web/%s.html', async (page) => {
    const reply = await call(`/web/${page}.html?room=a&token=b`);
    expect(reply.status).toBe(200);
    expect(reply.header('Content-Type')).toMatch(/^text\/html/);
    expect(reply.body).toMatch(/^<!doctype html>/i);
    expectCors(reply);
  });

  it('pages that have not changed are not sent again', async () => {
    const etag = (await call('/web/index.html')).header('ETag') ?? '';
    expect(etag).not.toBe('');
    const reply = await call('/web/index.html', { headers: { 'If-None-Match': etag } });
    expect(reply.status).toBe(304);
    expect(reply.bytes.byteLength).toBe(0);
    expectCors(reply);
  });

  it.each([
    '/web/none.html',
    '/web/none.js',
    '/web/index.html/x',
    '/web/../package.json',
    '/web/%2e%2e/%2e%2e/etc/passwd',
    '/web/..%2f..%2fpackage.json',
    '/package.json',
    '/.env',
    '/.vestibule/secrets.json',
    '/edge/index.ts',
    '/nothing/at/all',
    '/rooms',
    '/api',
    '/api/',
    '/api/rooms/',
    '/webrtc',
    '/resource',
    '/whip',
    '/favicon.ico.map',
  ])('%s is not there', async (path) => {
    for (const method of ['GET', 'OPTIONS']) {
      if (method === 'OPTIONS' && path.startsWith('/web/')) continue;
      expectProblem(await call(path, { method }), 404);
    }
    expect((await call(path, { method: 'HEAD' })).status).toBe(404);
  });

  it('/healthz and /readyz', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const reply = await call(path);
      expect([reply.status, reply.body]).toEqual([200, 'ok']);
      expect(reply.header('Content-Type')).toMatch(/^text\/plain/);
      expectCors(reply);
    }
  });

  it('the nodes’ door opens for nodes only', async () => {
    const reply = await call('/node/link', { headers: { 'Vestibule-Node': 'local', Authorization: 'Bearer no' } });
    expect(reply.status).toBe(401);
    expect(reply.header('Access-Control-Allow-Origin')).toBeNull();
  });
});
