/** Group B of protocol.md: OPTIONS, and CORS on whatever is answered; seeds row 35. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { EXPOSED, expectCors, expectEmpty, expectProblem } from './support/checks.ts';
import {
  freshRoom,
  PLAY_OFFER,
  PLAY_URLS,
  PUBLISH_OFFER,
  PUBLISH_URLS,
  patch,
  playIn,
  post,
  publishIn,
  SDP,
} from './support/sessions.ts';
import { type Call, callTo, type Reply } from './support/wire.ts';

const TURN = { TURN_URLS: 'turn:turn.example:3478?transport=udp', TURN_USERNAME: 'u', TURN_PASSWORD: 'p' };

let closed: Vestibule;
let open: Vestibule;
let call: Call;
let callClosed: Call;

beforeAll(async () => {
  [open, closed] = await Promise.all([
    startVestibule({ env: { STUN_URLS: 'stun:stun.example:3478' } }),
    startVestibule({
      env: {
        AUTH_TOKEN: 'secret',
        STUN_URLS: 'stun:stun.example:3478',
        ALLOWED_ORIGIN: 'https://a.example,https://b.example',
        ...TURN,
      },
    }),
  ]);
  call = callTo(open.url);
  callClosed = callTo(closed.url);
});
afterAll(() => Promise.all([open.stop(), closed.stop()]));

function preflight(method: string, origin = 'https://page.example') {
  const headers = {
    Origin: origin,
    'Access-Control-Request-Method': method,
    'Access-Control-Request-Headers': 'authorization,content-type,if-match',
  };
  return { method: 'OPTIONS', headers };
}

function expectPreflight(reply: Reply): void {
  expect([200, 204]).toContain(reply.status);
  expect(reply.bytes.byteLength).toBe(0);
  const methods = ['options', 'get', 'head', 'post', 'patch', 'delete'];
  expect(reply.list('Access-Control-Allow-Methods')).toEqual(expect.arrayContaining(methods));
  const fields = ['authorization', 'content-type', 'if-match', 'etag', 'accept', 'last-event-id'];
  const tokens = ['x-auth-token', 'x-req-token', 'x-csrf-token'];
  expect(reply.list('Access-Control-Allow-Headers')).toEqual(expect.arrayContaining([...fields, ...tokens]));
  expect(reply.header('Access-Control-Max-Age')).toMatch(/^\d+$/);
  expect(reply.header('Link')).toBeNull();
}

const ENDPOINTS = [...PUBLISH_URLS, ...PLAY_URLS];

describe('preflight (#31 #33 #34 #35 #36 #38 #40 #41)', () => {
  it.each(ENDPOINTS)('%s', async (_name, url) => {
    for (const method of ['POST', 'OPTIONS', 'PATCH', 'GET']) {
      const reply = await call(url(freshRoom()), preflight(method));
      expectPreflight(reply);
      expectCors(reply);
      expect(reply.list('Accept-Post')).toContain('application/sdp');
      expect(reply.status).toBe(200);
    }
  });

  it.each(ENDPOINTS)('%s needs no token', async (_name, url) => {
    const reply = await callClosed(url(freshRoom()), preflight('POST', 'https://a.example'));

    expectPreflight(reply);
    expect(reply.header('Access-Control-Allow-Origin')).toBe('https://a.example');
  });

  it.each([
    '/resource/x',
    '/whip/x',
    '/rooms/a/join',
    '/api/rooms',
    '/api/bootstrap',
    '/api/admin/rooms/a/close',
    '/no/such',
    '/web/x',
  ])('#42 %s', async (path) => expectPreflight(await call(path, preflight('DELETE'))));

  it('#42 session URLs, which live or are gone', async () => {
    const publisher = await publishIn(call);
    const viewer = await playIn(call, publisher.room);
    for (const { location } of [viewer, publisher]) {
      expectPreflight(await call(location, preflight('PATCH')));
      await call(location, { method: 'DELETE' });
      expectPreflight(await call(location, preflight('PATCH')));
    }
  });
});

describe('real OPTIONS (#32 #34 #35 #37 #40)', () => {
  it.each(ENDPOINTS)('%s says what it takes', async (_name, url) => {
    for (const headers of [{}, { Origin: 'https://page.example' }, { 'Access-Control-Request-Method': 'POST' }]) {
      const reply = await call(url(freshRoom()), { method: 'OPTIONS', headers });

      expectEmpty(reply, 200);
      expect(reply.header('Accept-Post')).toBe('application/sdp');
      expect(reply.list('Allow').sort()).toEqual(['get', 'head', 'options', 'post']);
      expect(reply.list('Access-Control-Allow-Methods')).toContain('patch');
      expect(reply.list('Access-Control-Expose-Headers')).toEqual(expect.arrayContaining(EXPOSED));
      expect(reply.header('Link')).toBe('<stun:stun.example:3478>; rel="ice-server"');
    }
  });

  it('#40 gives TURN credentials to those who may come in, and to nobody else', async () => {
    for (const [, url] of ENDPOINTS) {
      const ask = (headers: Record<string, string>) => callClosed(url('r'), { method: 'OPTIONS', headers });
      const stun = '<stun:stun.example:3478>; rel="ice-server"';
      const turn = `<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="u"; credential="p"; credential-type="password"`;

      expect((await ask({})).header('Link')).toBe(stun);
      expect((await ask({ Authorization: 'Bearer wrong' })).header('Link')).toBe(stun);
      expect((await ask({ Authorization: 'Bearer secret' })).header('Link')).toBe(`${turn}, ${stun}`);
      expect((await ask({ Authorization: `Basic ${btoa('user:secret')}` })).header('Link')).toBe(`${turn}, ${stun}`);
    }
  });

  it('#42 session URLs say what PATCH takes', async () => {
    const publisher = await publishIn(call);
    const viewer = await playIn(call, publisher.room);
    for (const { location } of [publisher, viewer]) {
      const reply = await call(location, { method: 'OPTIONS' });
      expectEmpty(reply, 200);
      expect(reply.list('Accept-Patch')).toContain('application/trickle-ice-sdpfrag');
      expect(reply.list('Allow').sort()).toEqual(['delete', 'get', 'head', 'options', 'patch']);
    }
  });
});

describe('CORS on every response (#13 #14 #37 #39)', () => {
  it('of every status', async () => {
    const publisher = await publishIn(call);
    const { room } = publisher;
    const answers: [number, Promise<Reply>][] = [
      [201, call(`/api/whep/play/${room}`, post(PLAY_OFFER))],
      [204, call(publisher.location, patch('a=mid:0\r\na=end-of-candidates\r\n'))],
      [200, call(publisher.location)],
      [302, call('/')],
      [200, call('/web/index.html')],
      [404, call('/web/none.js')],
      [302, call('/web/')],
      [200, call('/healthz')],
      [200, call('/readyz')],
      [200, call('/api/rooms')],
      [200, call('/api/bootstrap')],
      [400, call('/api/whip/publish/a%20b', post(PUBLISH_OFFER))],
      [401, call('/api/admin/rooms/a/close', { method: 'POST' })],
      [404, call('/resource/x', { method: 'DELETE' })],
      [404, call('/nothing')],
      [405, call('/api/rooms', { method: 'PUT' })],
      [409, call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER))],
      [412, call(publisher.location, patch('a=mid:0\r\na=end-of-candidates\r\n', { 'If-Match': '"no"' }))],
      [413, call(`/api/whip/publish/${room}`, post('v=0\r\n'.repeat(20_000)))],
      [415, call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER, { 'Content-Type': 'text/plain' }))],
      [422, call(`/api/whip/publish/${freshRoom()}`, post(PLAY_OFFER))],
      [501, call('/api/rooms', { method: 'PROPFIND' })],
    ];
    for (const [status, answer] of answers) {
      const reply = await answer;
      expect(reply.status, reply.body).toBe(status);
      expectCors(reply);
      if (status >= 400) expectProblem(reply, status);
    }
  });

  it('row 35: listed origins are named one at a time, others are not', async () => {
    const from = (origin: string, path = '/api/bootstrap') => callClosed(path, { headers: { Origin: origin } });

    for (const origin of ['https://a.example', 'https://b.example']) {
      const reply = await from(origin, '/nothing');
      expect(reply.header('Access-Control-Allow-Origin')).toBe(origin);
      expect(reply.header('Access-Control-Allow-Credentials')).toBe('true');
      expect(reply.list('Vary')).toContain('origin');
    }
    for (const origin of ['https://evil.example', 'https://a.example.evil', 'http://a.example', 'null']) {
      const reply = await from(origin);
      expect(reply.header('Access-Control-Allow-Origin')).toBeNull();
      expect(reply.header('Access-Control-Allow-Credentials')).toBeNull();
      expect(reply.list('Vary')).toContain('origin');
    }
    const anyone = await call('/api/bootstrap', { headers: { Origin: 'https://a.example' } });
    expect(anyone.header('Access-Control-Allow-Credentials')).toBeNull();
  });

  it('row 35: 401 and its challenge can be read', async () => {
    const headers = { ...SDP, Origin: 'https://a.example' };
    const reply = await callClosed('/api/whip/publish/a', { method: 'POST', headers, body: PUBLISH_OFFER });

    expect(reply.status).toBe(401);
    expect(reply.header('Access-Control-Allow-Origin')).toBe('https://a.example');
    expect(reply.list('Access-Control-Expose-Headers')).toContain('www-authenticate');
  });
});
