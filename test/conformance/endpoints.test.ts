/** Group A of protocol.md (creating a session) and the endpoint half of groups E and F, by requirement number. */
import { METHODS } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { expectCors, expectEmpty, expectProblem } from './support/checks.ts';
import {
  freshRoom,
  PLAY_OFFER,
  PLAY_URLS,
  PUBLISH_OFFER,
  PUBLISH_URLS,
  playIn,
  post,
  publishIn,
  SDP,
  sessionOf,
} from './support/sessions.ts';
import { type Call, callTo } from './support/wire.ts';

const ANSWER_DEADLINE_MS = 5_000;
const BODY_LIMIT = 64 * 1024;

let server: Vestibule;
let call: Call;

beforeAll(async () => {
  server = await startVestibule();
  call = callTo(server.url);
});
afterAll(() => server.stop());

/** Each endpoint with an offer that suits it, in a room where it works. */
const ENDPOINTS = [
  ...PUBLISH_URLS.map(([name, url]) => [name, url, PUBLISH_OFFER, async () => freshRoom()] as const),
  ...PLAY_URLS.map(([name, url]) => [name, url, PLAY_OFFER, async () => (await publishIn(call)).room] as const),
  [
    '/whip/{session_id}',
    (path: string) => path,
    PUBLISH_OFFER,
    async () => {
      const reply = await call(`/rooms/${freshRoom()}/join`, { method: 'POST' });
      return `/whip/${(reply.json as { session_id: string }).session_id}`;
    },
  ] as const,
];

describe.each(ENDPOINTS)('POST %s', (_name, url, offer, prepare) => {
  it('#1 #5 #6 #7 #8 #12 #28 #29 #120 creates a session', async () => {
    const path = url(await prepare());
    const startedAt = performance.now();

    const reply = await call(path, post(offer));

    expect(performance.now() - startedAt).toBeLessThan(ANSWER_DEADLINE_MS);
    expect(reply.status, reply.body).toBe(201);
    expect(reply.header('Content-Type')).toBe('application/sdp');
    expect(reply.header('Content-Length')).toBe(String(reply.bytes.byteLength));
    expect(reply.header('Location')).toMatch(/^\/[A-Za-z0-9._~/-]+$/);
    expect(reply.header('Location')).toMatch(/[a-z2-7]{26}|[A-Za-z0-9_-]{22}/);
    expect(reply.header('ETag')).toMatch(/^"[\x21\x23-\x7e]+"$/);
    expect(reply.header('ETag')).not.toBe('"*"');
    expect(JSON.parse(reply.header('ETag') ?? '')).toBeTypeOf('string');
    expect(reply.list('Accept-Patch')).toContain('application/trickle-ice-sdpfrag');
    expect(reply.header('Cache-Control')).toBe('no-store');
    expectCors(reply);
    // The URL works.
    expectEmpty(await call(reply.header('Location') ?? '', { method: 'DELETE' }), 200);
  });

  it.each([
    'application/sdp; charset=utf-8',
    'application/sdp;charset=UTF-8',
    'APPLICATION/SDP',
    'Application/Sdp',
    'application/sdp ; a="b;c"',
    'application/sdp;',
  ])('#2 takes %j', async (type) => {
    sessionOf(await call(url(await prepare()), post(offer, { 'Content-Type': type })), '', offer);
  });

  it.each([
    'text/plain',
    'application/json',
    'application/x-www-form-urlencoded',
    'application/sdpx',
    'application/trickle-ice-sdpfrag',
    'application',
    '*/*',
    'text/plain; application/sdp',
  ])('#3 refuses %j with 415', async (type) => {
    const reply = await call(url(await prepare()), post(offer, { 'Content-Type': type }));

    expectProblem(reply, 415);
    expect(reply.header('Accept-Post')).toBe('application/sdp');
  });

  it('#3 refuses a body without media type', async () => {
    const reply = await call(url(await prepare()), { method: 'POST', body: offer });

    expectProblem(reply, 415);
    expect(reply.header('Accept-Post')).toBe('application/sdp');
  });

  it.each([
    ['text', 'hello'],
    ['a blank', ' '],
    ['line ends', '\r\n\r\n'],
    ['v=0 alone', 'v=0\r\n'],
    ['JSON', JSON.stringify({ type: 'offer', sdp: 'v=0' })],
    ['HTML', '<!doctype html><title>x</title>'],
    ['a fragment', 'a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n'],
    ['NUL bytes', 'v=0\r\n\0\0\0'],
    ['half an offer', PUBLISH_OFFER.slice(0, 700)],
    ['bytes that are not UTF-8', new Uint8Array([0x76, 0x3d, 0x30, 0x0d, 0x0a, 0xff, 0xfe, 0xfd])],
  ])('#4 %s is 400, and leaves nothing behind', async (_body, body) => {
    const path = url(await prepare());

    expectProblem(await call(path, post(body)), 400);
    sessionOf(await call(path, post(offer)), '', offer);
  });

  it('#21 takes 50 KiB and refuses more than 64 KiB, however it is sent', async () => {
    const path = url(await prepare());
    const grown = (bytes: number): string => `${offer}${`a=x-${'y'.repeat(994)}\r\n`.repeat(bytes / 1000)}`;
    const huge = `v=0\r\n${'a=x\r\n'.repeat(300_000)}`;
    expect(grown(50_000).length).toBeLessThan(BODY_LIMIT);

    expectProblem(await call(path, post(grown(BODY_LIMIT))), 413);
    expectProblem(await call(path, { ...post(grown(BODY_LIMIT)), chunked: true }), 413);
    expectProblem(await call(path, post(huge)), 413);
    expectProblem(await call(path, { ...post(huge), chunked: true }), 413);
    sessionOf(await call(path, { ...post(grown(50_000)), chunked: true }), '', offer);
  });

  it('takes a small body without Content-Length', async () => {
    sessionOf(await call(url(await prepare()), { ...post(offer), chunked: true }), '', offer);
  });

  it('does not decode encoded bodies', async () => {
    expectProblem(await call(url(await prepare()), post(offer, { 'Content-Encoding': 'gzip' })), 415);
  });

  it('#83 #84 answers GET and HEAD without content', async () => {
    const path = url(await prepare());
    const [get, head] = [await call(path), await call(path, { method: 'HEAD' })];

    for (const reply of [get, head]) {
      expectEmpty(reply, 200);
      expect(reply.header('Content-Type')).toBe('application/sdp');
    }
    const names = (raw: readonly string[]): string[] =>
      raw.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
    expect(names(head.rawHeaders).sort()).toEqual(names(get.rawHeaders).sort());
  });

  it('#30 begins with v=0 and ends with a line end', async () => {
    const reply = await call(url(await prepare()), post(offer));

    expect(reply.bytes.subarray(0, 5).toString('latin1')).toBe('v=0\r\n');
    expect(reply.body.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(reply.body.endsWith('\r\n')).toBe(true);
    expect(reply.bytes.byteLength).toBeLessThan(8192);
  });
});

describe.each(ENDPOINTS.slice(0, 4))('other methods on %s', (_name, url) => {
  it.each(['PUT', 'PATCH', 'DELETE', 'TRACE'])('#82 #85 %s is 405 with Allow', async (method) => {
    const reply = await call(url(freshRoom()), {
      method,
      headers: SDP,
      body: method === 'TRACE' ? null : PUBLISH_OFFER,
    });

    expectProblem(reply, 405);
    expect(reply.list('Allow').sort()).toEqual(['get', 'head', 'options', 'post']);
  });

  it('#85 methods that HTTP servers need not know are 501', async () => {
    const known = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'];
    for (const method of METHODS.filter((name) => !known.includes(name))) {
      const reply = await call(url(freshRoom()), { method });
      expect(reply.status, method).toBe(501);
    }
  });
});

describe('rooms', () => {
  it('#18 a second publisher gets 409 and the first notices nothing', async () => {
    for (const [, url] of PUBLISH_URLS) {
      const first = await publishIn(call);

      expectProblem(await call(url(first.room), post(PUBLISH_OFFER)), 409, 'publisher already exists in this room');

      expectEmpty(await call(first.location), 200);
      const trickle = 'a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n';
      const headers = { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': first.etag };
      expectEmpty(await call(first.location, { method: 'PATCH', headers, body: trickle }), 204);
      await playIn(call, first.room);
    }
  });

  it('#18 one of twenty publishers at once gets the room', async () => {
    const room = freshRoom();
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER))),
    );

    expect(replies.filter((reply) => reply.status === 201)).toHaveLength(1);
    for (const reply of replies) if (reply.status !== 201) expectProblem(reply, 409);
    expect(new Set(replies.map((reply) => reply.header('ETag'))).size).toBe(2);
  });

  it('#19 #128 a room without publisher is 404', async () => {
    for (const [, url] of PLAY_URLS) {
      expectProblem(await call(url(freshRoom()), post(PLAY_OFFER)), 404, 'no active publisher in room');
    }
    expectProblem(await call(`/api/whep/play/${freshRoom()}`, post('')), 404, 'no active publisher in room');
  });

  it.each([
    'a%20b',
    'a/b',
    'a%2Fb',
    '%C3%A9',
    'x'.repeat(65),
    '',
    '%zz',
    '..%2f..',
    'a.b',
    'a%00',
    '%E0%A4%A',
    'a+b',
    '~',
  ])('row 2: %j is no room', async (name) => {
    for (const method of ['POST', 'GET', 'PUT']) {
      for (const prefix of [
        '/api/whip/publish/',
        '/api/whep/play/',
        '/webrtc/whip?streamid=',
        '/webrtc/whep?streamid=',
      ]) {
        const body = method === 'GET' ? null : PUBLISH_OFFER;
        expectProblem(await call(prefix + name, { method, headers: SDP, body }), 400);
      }
    }
  });

  it('row 2: 64 characters of each kind are one', async () => {
    const name = `AZaz09_-${'x'.repeat(56)}`;
    await publishIn(call, name);
    await playIn(call, name);
    expectProblem(await call(`/api/whip/publish/${name}/`, post(PUBLISH_OFFER)), 400);
  });

  it('row 4: streamid is needed, and so is an offer', async () => {
    const { room } = await publishIn(call);
    for (const path of [
      '/webrtc/whip',
      '/webrtc/whep',
      '/webrtc/whip?',
      '/webrtc/whep?streamid',
      '/webrtc/whip?room=x',
    ]) {
      expectProblem(await call(path, post(PUBLISH_OFFER)), 400);
    }
    for (const protocol of ['whip', 'whep']) {
      expectProblem(await call(`/webrtc/${protocol}?streamid=${room}`, post('')), 400);
      expectProblem(await call(`/webrtc/${protocol}?streamid=${room}`, { method: 'POST' }), 400);
    }
    expectProblem(await call(`/webrtc/whep?streamid=${freshRoom()}`, post(PLAY_OFFER)), 404);
  });

  it('#130 an empty body is 400 for a publisher', async () => {
    expectProblem(await call(`/api/whip/publish/${freshRoom()}`, post('')), 400);
    expectProblem(await call(`/api/whip/publish/${freshRoom()}`, { method: 'POST' }), 400);
  });

  it('#24 nothing is redirected', async () => {
    for (const path of [
      '/api/whip/publish/a/',
      '/api//whip/publish/a',
      '/API/WHIP/PUBLISH/a',
      '/webrtc/whip/',
      '/whip',
      '/whip/',
    ]) {
      const reply = await call(path, post(PUBLISH_OFFER));
      expectProblem(reply, [400, 404]);
    }
  });
});
