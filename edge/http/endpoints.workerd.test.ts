/** WHIP and WHEP endpoints against the requirements of `protocol.md`, groups A, B, F and the 201 of K, by number. */
import { reset } from 'cloudflare:test';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { type Call, deployed, post, problemOf, publishIn, SDP, textOf } from '../test-support/app.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { PLAY_OFFER, PUBLISH_OFFER, sampleSdp } from '../test-support/sample-sdp.ts';
import { turns } from '../test-support/turns.ts';

const call: Call = deployed();
let node: FakeNode;
let rooms = 0;
let room = '';

beforeAll(async () => {
  node = await dialFakeNode();
});
afterAll(() => node.close());
beforeEach(() => {
  rooms += 1;
  room = `room-${rooms}`;
});

const PREFLIGHT = { Origin: 'https://page.example', 'Access-Control-Request-Method': 'POST' };

/** Both endpoints of a room in both spellings. */
const WHIP_FORMS = [
  ['path', (name: string) => `/api/whip/publish/${name}`],
  ['query', (name: string) => `/webrtc/whip?streamid=${name}`],
] as const;
const WHEP_FORMS = [
  ['path', (name: string) => `/api/whep/play/${name}`],
  ['query', (name: string) => `/webrtc/whep?streamid=${name}`],
] as const;
const ALL_FORMS = [
  ...WHIP_FORMS.map(([form, url]) => [`whip ${form}`, url, PUBLISH_OFFER] as const),
  ...WHEP_FORMS.map(([form, url]) => [`whep ${form}`, url, PLAY_OFFER] as const),
];

describe('POST', () => {
  it.each(WHIP_FORMS)('#1 #5 #6 #7 #8 #12 #28 publishes (%s form)', async (_form, url) => {
    const response = await call(url(room), post(PUBLISH_OFFER));

    expect(response.status).toBe(201);
    expect(response.headers.get('Content-Type')).toBe('application/sdp');
    expect(response.headers.get('Location')).toMatch(/^\/resource\/[A-Za-z0-9._-]+$/);
    expect(response.headers.get('Location')).toMatch(/\.[a-z2-7]{26}\./);
    expect(response.headers.get('ETag')).toMatch(/^"[^"*]+"$/);
    expect(response.headers.get('Accept-Patch')).toBe('application/trickle-ice-sdpfrag');
    expect(response.headers.get('Cache-Control')).toBe('no-store');
    expect(await textOf(response)).toMatch(/^v=0\r\n[\s\S]*\r\n$/);
  });

  it.each(WHEP_FORMS)('#1 #120 plays (%s form)', async (_form, url) => {
    await publishIn(call, room);

    const response = await call(url(room), post(PLAY_OFFER));

    expect(response.status).toBe(201);
    expect(response.headers.get('Content-Type')).toBe('application/sdp');
    expect(response.headers.get('Location')).toMatch(/^\/resource\/e\.[A-Za-z0-9._-]+$/);
    expect(response.headers.get('ETag')).toMatch(/^"[^"*]+"$/);
    expect(response.headers.get('Accept-Patch')).toBe('application/trickle-ice-sdpfrag');
  });

  it.each(['application/sdp; charset=utf-8', 'APPLICATION/SDP', 'Application/Sdp;x=y', ' application/sdp '])(
    '#2 accepts the media type %j',
    async (type) => {
      const response = await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER, { 'Content-Type': type }));

      expect(response.status).toBe(201);
    },
  );

  it.each(ALL_FORMS)('#3 refuses other media types with 415 (%s)', async (_form, url, offer) => {
    for (const type of ['text/plain', 'application/json', 'application/sdpfoo', 'multipart/form-data; boundary=x']) {
      const response = await call(url(room), post(offer, { 'Content-Type': type }));

      expect(response.status, type).toBe(415);
      expect(response.headers.get('Accept-Post')).toBe('application/sdp');
    }
    const bytes = { method: 'POST', body: new TextEncoder().encode(offer) };
    expect((await call(url(room), bytes)).status, 'none').toBe(415);
  });

  it.each([
    ['#4 empty for WHIP', ''],
    ['#4 blank', ' \r\n'],
    ['#4 garbage', 'hello'],
    ['#4 only a version', 'v=0\r\n'],
    ['#4 JSON', '{"type":"offer","sdp":"v=0"}'],
    ['#4 NUL', 'v=0\r\n\0\0'],
  ])('%s is 400', async (_name, body) => {
    const response = await call(`/api/whip/publish/${room}`, post(body));

    expect(response.status).toBe(400);
    // The room is still free.
    expect((await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER))).status).toBe(201);
  });

  it('#4 refuses bytes that are no UTF-8', async () => {
    const body = new Uint8Array([0x76, 0x3d, 0x30, 0x0d, 0x0a, 0xff, 0xfe]);

    expect((await call(`/api/whip/publish/${room}`, { method: 'POST', headers: SDP, body })).status).toBe(400);
  });

  it.each([
    ['recvonly', `/api/whip/publish/`, 'recvonly'],
    ['inactive', `/api/whip/publish/`, 'inactive'],
    ['sendonly', `/api/whep/play/`, 'sendonly'],
    ['inactive', `/api/whep/play/`, 'inactive'],
  ] as const)('#15 #96 #113 refuses a %s offer to %s', async (_name, prefix, direction) => {
    const offer = sampleSdp({ direction, setup: 'actpass', candidates: false });
    const response = await call(prefix + room, post(offer));

    expect(response.status).toBe(422);
    expect((await problemOf(response)).code).toBe('bad_direction');
  });

  it('#18 refuses a second publisher and leaves the first alone', async () => {
    const first = await publishIn(call, room);

    const second = await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER));

    expect(second.status).toBe(409);
    expect((await problemOf(second)).error).toBe('publisher already exists in this room');
    expect(second.headers.has('Location')).toBe(false);
    expect((await call(first)).status).toBe(200);
  });

  it('#19 says 404 when nobody publishes', async () => {
    const response = await call(`/api/whep/play/${room}`, post(PLAY_OFFER));

    expect(response.status).toBe(404);
    expect((await problemOf(response)).error).toBe('no active publisher in room');
  });

  it('#21 stops reading at 64 KiB, whatever the length field says', async () => {
    const huge = PUBLISH_OFFER + 'a=x\r\n'.repeat(20_000);
    const chunked = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new TextEncoder().encode(`${'a'.repeat(1000)}\r\n`));
      },
    });

    expect((await call(`/api/whip/publish/${room}`, post(huge))).status).toBe(413);
    expect((await call(`/api/whip/publish/${room}`, { method: 'POST', headers: SDP, body: chunked })).status).toBe(413);
    expect((await call(`/api/whep/play/${room}`, post(huge))).status).toBe(413);
  });

  it('says 400 when the body breaks off', async () => {
    const broken = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('v=0\r\n'));
      },
      pull(controller) {
        controller.error(new Error('the client went away'));
      },
    });

    expect((await call(`/api/whip/publish/${room}`, { method: 'POST', headers: SDP, body: broken })).status).toBe(400);
  });

  it('takes an offer of 60 KiB', async () => {
    expect(
      (await call(`/api/whip/publish/${room}`, post(`${PUBLISH_OFFER}${`a=${'x'.repeat(997)}\r\n`.repeat(60)}`)))
        .status,
    ).toBe(201);
  });

  it('refuses an encoded body', async () => {
    const response = await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER, { 'Content-Encoding': 'gzip' }));

    expect(response.status).toBe(415);
  });

  it('#129 offers when the player posts an empty body', async () => {
    await publishIn(call, room);
    for (const headers of [SDP, undefined]) {
      const response = await call(`/api/whep/play/${room}`, { method: 'POST', ...(headers ? { headers } : {}) });

      expect(response.status).toBe(201);
      expect(response.headers.get('Accept-Patch')).toBe('application/sdp, application/trickle-ice-sdpfrag');
      expect(new Date(response.headers.get('Expires') ?? '').getTime()).toBeGreaterThan(Date.now());
      expect(await textOf(response)).toContain('a=setup:actpass');
    }
    const json = { method: 'POST', headers: { 'Content-Type': 'application/json' } };
    expect((await call(`/api/whep/play/${room}`, json)).status).toBe(415);
  });

  it('answers 503 with Retry-After when no media node is there', async () => {
    node.close();
    await reset();

    const response = await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER));

    expect(response.status).toBe(503);
    expect(response.headers.get('Retry-After')).toMatch(/^[1-9]\d*$/);
    node = await dialFakeNode();
  });

  it('hands on what the node refuses', async () => {
    node.refuse('publish', { status: 422, code: 'no_common_codec', detail: 'no codec in common' });

    const response = await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER));

    expect(response.status).toBe(422);
    expect(await problemOf(response)).toEqual({
      type: 'about:blank',
      title: 'Unprocessable Content',
      status: 422,
      code: 'no_common_codec',
      detail: 'no codec in common',
      error: 'no codec in common',
    });
    node.on('publish', null);
  });
});

describe('rooms', () => {
  it.each(['a%20b', 'a/b', 'a%2Fb', 'é', 'x'.repeat(65), '', '%zz', '..%2f', 'a.b', 'a%00'])(
    'refuses the name %j',
    async (name) => {
      for (const prefix of [
        '/api/whip/publish/',
        '/api/whep/play/',
        '/webrtc/whip?streamid=',
        '/webrtc/whep?streamid=',
      ]) {
        const response = await call(prefix + name, post(PUBLISH_OFFER));

        expect(response.status, prefix).toBe(400);
        const body = await problemOf(response);
        if (!prefix.includes('?')) expect(body.error).toMatch(/^invalid room: /);
      }
    },
  );

  it('takes 64 characters, and a name that is needlessly escaped', async () => {
    expect((await call(`/api/whip/publish/${'x'.repeat(64)}`, post(PUBLISH_OFFER))).status).toBe(201);
    await publishIn(call, `${room}A`);
    expect((await call(`/api/whep/play/${room}%41`, post(PLAY_OFFER))).status).toBe(201);
  });

  it.each(['/webrtc/whip', '/webrtc/whep', '/webrtc/whip?streamid=', '/webrtc/whep?stream=x'])(
    'row 4: %s without a streamid is 400',
    async (path) => {
      expect((await call(path, post(PUBLISH_OFFER))).status).toBe(400);
    },
  );

  it.each(['whip', 'whep'])('row 4: an empty body is 400 for %s, whoever publishes', async (protocol) => {
    await publishIn(call, room);
    for (const body of ['', null]) {
      expect((await call(`/webrtc/${protocol}?streamid=${room}`, post(body))).status).toBe(400);
    }
  });
});

describe('OPTIONS and CORS', () => {
  it.each(ALL_FORMS)('#31 #32 #33 #35 #36 answers a preflight (%s)', async (_form, url) => {
    const closed = deployed({ AUTH_TOKEN: 'secret', STUN_URLS: 'stun:s.example' });

    const response = await closed(url(room), { method: 'OPTIONS', headers: PREFLIGHT });

    expect(response.status).toBe(200);
    expect(response.headers.get('Accept-Post')).toBe('application/sdp');
    expect(response.headers.get('Access-Control-Allow-Methods')).toBe('OPTIONS, GET, HEAD, POST, PATCH, DELETE');
    const headers = response.headers.get('Access-Control-Allow-Headers')?.split(', ') ?? [];
    expect(headers).toEqual(expect.arrayContaining(['Authorization', 'Content-Type', 'If-Match', 'ETag', 'Accept']));
    // #40: not on a preflight.
    expect(response.headers.has('Link')).toBe(false);
  });

  it('#32 #35 #40 answers a real OPTIONS, with ICE servers', async () => {
    const withStun = deployed({ STUN_URLS: 'stun:s.example:3478' });

    const response = await withStun(`/api/whip/publish/${room}`, { method: 'OPTIONS' });

    expect(response.status).toBe(200);
    expect(response.headers.get('Accept-Post')).toBe('application/sdp');
    expect(response.headers.get('Access-Control-Allow-Methods')).toContain('PATCH');
    expect(response.headers.get('Allow')).toBe('OPTIONS, GET, HEAD, POST');
    expect(response.headers.get('Link')).toBe('<stun:s.example:3478>; rel="ice-server"');
  });

  it('#40 tells TURN credentials on OPTIONS to those who may come in', async () => {
    const turn = { TURN_URLS: 'turn:t.example', TURN_USERNAME: 'u', TURN_PASSWORD: 'p', STUN_URLS: 'stun:s.example' };
    const closed = deployed({ ...turn, AUTH_TOKEN: 'secret' });
    const url = `/api/whep/play/${room}`;

    const stranger = await closed(url, { method: 'OPTIONS' });
    const friend = await closed(url, { method: 'OPTIONS', headers: { Authorization: 'Bearer secret' } });

    expect(stranger.status).toBe(200);
    expect(stranger.headers.get('Link')).toBe('<stun:s.example>; rel="ice-server"');
    expect(friend.headers.get('Link')).toContain('credential="p"');
  });

  it('#9 #147 lists ICE servers on the 201, joined for OBS without a blank', async () => {
    const turn = { TURN_URLS: 'turn:t.example', TURN_USERNAME: 'u', TURN_PASSWORD: 'p', STUN_URLS: 'stun:s.example' };
    const withTurn = deployed(turn);
    const obs = { 'User-Agent': 'Mozilla/5.0 (OBS-Studio/32.0.1; Linux x86_64; en-US)' };

    const plain = await withTurn(`/api/whip/publish/${room}`, post(PUBLISH_OFFER));
    const toObs = await withTurn(`/api/whip/publish/${room}-obs`, post(PUBLISH_OFFER, obs));

    const turnLink = '<turn:t.example>; rel="ice-server"; username="u"; credential="p"; credential-type="password"';
    expect(plain.headers.get('Link')).toBe(`${turnLink}, <stun:s.example>; rel="ice-server"`);
    expect(toObs.headers.get('Link')).toBe(`${turnLink},<stun:s.example>; rel="ice-server"`);
  });

  it.each([
    ['201', 'POST', (r: string) => `/api/whip/publish/${r}`, PUBLISH_OFFER, 201],
    ['400', 'POST', (r: string) => `/api/whip/publish/${r}`, 'junk', 400],
    ['400 room', 'POST', () => '/api/whip/publish/a%20b', PUBLISH_OFFER, 400],
    ['404 room', 'POST', (r: string) => `/api/whep/play/${r}`, PLAY_OFFER, 404],
    ['404 session', 'DELETE', () => '/resource/i.r.aaaa.bbbb', null, 404],
    ['404 page', 'GET', () => '/no/such/page', null, 404],
    ['405', 'PUT', (r: string) => `/api/whip/publish/${r}`, null, 405],
    ['302', 'GET', () => '/', null, 302],
    ['200', 'GET', () => '/healthz', null, 200],
    ['401', 'POST', () => '/api/admin/rooms/x/close', null, 401],
  ] as const)('#14 #37 #39 has CORS headers on a %s', async (_name, method, url, body, status) => {
    const response = await call(url(room), { method, headers: { ...SDP, Origin: 'https://page.example' }, body });

    expect(response.status).toBe(status);
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*');
    const exposed = response.headers.get('Access-Control-Expose-Headers')?.split(', ') ?? [];
    const needed = ['Location', 'Link', 'ETag', 'Accept-Patch', 'Accept-Post', 'Retry-After', 'WWW-Authenticate'];
    expect(exposed).toEqual(expect.arrayContaining([...needed, 'Access-Control-Allow-Methods']));
  });

  it('names one origin, with credentials, when origins are listed', async () => {
    const listed = deployed({ ALLOWED_ORIGIN: 'https://a.example,https://b.example' });
    const from = async (origin: string) => (await listed('/no/such', { headers: { Origin: origin } })).headers;

    expect((await from('https://b.example')).get('Access-Control-Allow-Origin')).toBe('https://b.example');
    expect((await from('https://b.example')).get('Access-Control-Allow-Credentials')).toBe('true');
    expect((await from('https://evil.example')).get('Access-Control-Allow-Origin')).toBeNull();
    expect((await from('https://evil.example')).get('Vary')).toBe('Origin');
  });
});

describe('other methods', () => {
  it.each(ALL_FORMS)('#83 #84 answers GET and HEAD without content (%s)', async (_form, url) => {
    for (const method of ['GET', 'HEAD']) {
      const response = await call(url(room), { method });

      expect(response.status).toBe(200);
      expect(response.headers.get('Content-Type')).toBe('application/sdp');
      expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*');
      expect((await response.arrayBuffer()).byteLength).toBe(0);
    }
  });

  it.each(['PUT', 'PATCH', 'DELETE'])('#82 #85 refuses %s with 405 and Allow', async (method) => {
    for (const [, url] of ALL_FORMS) {
      const response = await call(url(room), { method });

      expect(response.status).toBe(405);
      expect(response.headers.get('Allow')).toBe('OPTIONS, GET, HEAD, POST');
    }
  });

  it.each(['PROPFIND', 'PURGE', 'MKCOL'])('#85 does not know %s', async (method) => {
    expect((await call(`/api/whip/publish/${room}`, { method })).status).toBe(501);
  });

  it('has a JSON problem for every unknown page', async () => {
    for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
      const response = await call('/rooms', { method });

      expect(response.status).toBe(404);
      expect(response.headers.get('Content-Type')).toBe('application/problem+json');
      expect((await problemOf(response)).code).toBe('not_found');
    }
  });

  const navigation = { headers: { 'Sec-Fetch-Mode': 'navigate' } };

  it.each([
    ['/rooms/<b>', 404, 'There is nothing here', ['/web/index.html']],
    ['/resource/abc', 404, 'That did not work', ['/web/index.html']],
    ['/web/nothing.html', 404, 'There is nothing here', ['/web/index.html']],
    ['/api/whip/publish/a%2Fb', 400, 'Invalid room: its name must be', ['/web/index.html']],
    [
      '/api/whip/publish/show?token=secret',
      200,
      'This address is for an encoder',
      ['/web/publisher.html?room=show', '/web/player.html?room=show'],
    ],
    ['/webrtc/whep?streamid=show', 200, 'This address is for a player', ['/web/player.html?room=show']],
  ])('shows people whose browser was led to %s a page of %s', async (path, status, words, links) => {
    const response = await call(path, navigation);

    expect(response.status).toBe(status);
    expect(response.headers.get('Content-Type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('Content-Security-Policy')).toContain("default-src 'self'");
    expect(response.headers.get('Cache-Control')).toContain('no-store');
    const page = await response.text();
    expect(page).toContain(words);
    for (const link of links) expect(page).toContain(`href="${link}"`);
    expect(page).not.toMatch(/<b>|secret/);
  });
});

describe('fuzz', () => {
  it('answers any room, type and body with a session or a typed refusal', async () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.constantFrom(...PUBLISH_OFFER.split('\r\n')),
      fc.tuple(fc.nat(PUBLISH_OFFER.length), fc.nat(400)).map(([at, many]) => PUBLISH_OFFER.slice(at, at + many)),
    );
    const type = fc.constantFrom(
      'application/sdp',
      'application/sdp;',
      'text/plain',
      ';',
      'application/trickle-ice-sdpfrag',
    );
    const turn = turns();
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 30 }), anything, type, async (name, body, contentType) => {
        await turn();
        const path = `/api/whip/publish/${encodeURIComponent(name)}`;
        const response = await call(path, post(body, { 'Content-Type': contentType }));

        if (response.status === 201) return;
        expect(response.status).toBeGreaterThanOrEqual(400);
        expect(response.status).toBeLessThan(500);
        expect((await problemOf(response)).status).toBe(response.status);
      }),
      { numRuns: 1500 },
    );
  });
});

afterEach(() => {
  expect(node.closed, 'the fake node lost its link').toBeNull();
});
