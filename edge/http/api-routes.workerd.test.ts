/** Rooms, bootstrap, admin, health, pages, tokens and limits. */

import { reset } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type LobbyId, mintBootId, mintSessionId, type NodeId } from '../../shared/ids.ts';
import type { RecordId } from '../../shared/protocol/records.ts';
import { type Env, RECORDS_NAME } from '../env.ts';
import { type Call, deployed, playIn, post, problemOf, publishIn, SDPFRAG } from '../test-support/app.ts';
import { TEST_NODE_TOKEN } from '../test-support/bindings.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { PLAY_OFFER, PUBLISH_OFFER } from '../test-support/sample-sdp.ts';
import { buildApp } from './app.ts';

const JWT_SECRET = 'the key of the tokens, long enough for every HMAC';
const open: Call = deployed();
let node: FakeNode | null = null;

afterEach(async () => {
  node?.close();
  node = null;
  await reset();
});

function bearer(token: string): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

function jwt(claims: Record<string, unknown>): Promise<string> {
  const token = new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('1h');
  return token.sign(new TextEncoder().encode(JWT_SECRET));
}

describe('GET /api/rooms', () => {
  it('lists the rooms, with what is in them', async () => {
    expect(await (await open('/api/rooms')).json()).toEqual([]);
    node = await dialFakeNode();
    await publishIn(open, 'r1');
    await playIn(open, 'r1');
    node.report();

    // A node speaks to the fleet every two seconds.
    const rooms = async () => (await open('/api/rooms')).json();
    await expect.poll(rooms).toEqual([{ name: 'r1', hasPublisher: true, tracks: 2, subscribers: 1 }]);
  });

  it('shows a snapshot to whoever may watch', async () => {
    const closed = deployed({ ROOM_TOKENS: 'r1:secret' });
    node = await dialFakeNode();
    node.on('snapshot', () => ({ jpeg: btoa('a picture') }));
    expect((await problemOf(await open('/api/rooms/r1/snapshot.jpg'))).code).toBe('no_publisher');
    await publishIn(open, 'r1');

    const picture = await open('/api/rooms/r1/snapshot.jpg');
    expect([picture.status, picture.headers.get('Content-Type')]).toEqual([200, 'image/jpeg']);
    expect(new TextDecoder().decode(await picture.arrayBuffer())).toBe('a picture');
    expect((await closed('/api/rooms/r1/snapshot.jpg')).status).toBe(401);
    expect((await closed('/api/rooms/r1/snapshot.jpg', { headers: bearer('secret') })).status).toBe(200);
    expect((await open('/api/rooms/a%2Fb/snapshot.jpg')).status).toBe(400);
  });

  it('says how a room’s recording fares', async () => {
    node = await dialFakeNode();
    await publishIn(open, 'r1');
    const record = { id: 'a'.repeat(22) as RecordId, name: 'r1_s_1.mp4', lobby: 'room:r1' as LobbyId };
    const records = (env as unknown as Env).RECORDS.getByName(RECORDS_NAME);
    const begin = { ...record, boot: mintBootId(), session: mintSessionId(), contentType: 'video/mp4', codecs: [] };
    await records.begin({ node: 'n1' as NodeId, begin: { ...begin, startedAt: Date.now() } });

    expect(await (await open('/api/rooms')).json()).toMatchObject([{ recording: { state: 'recording' } }]);
    const update = { state: 'failed' as const, bytes: 0, durationMs: 0, error: '/srv/recordings: the disk is full' };
    await records.update({ node: 'n1' as NodeId, id: record.id, update });
    const call = deployed({ ADMIN_TOKEN: 'root' });
    const told = async (headers: HeadersInit = {}) => (await call('/api/rooms', { headers })).json();
    expect(await told({ Authorization: 'Bearer root' })).toMatchObject([
      { recording: { state: 'failed', error: '/srv/recordings: the disk is full' } },
    ]);
    // Why is nobody else's business: it may name paths and accounts.
    expect(await told()).toMatchObject([{ recording: { state: 'failed', error: null } }]);
  });

  it('asks for a token when there is one', async () => {
    const closed = deployed({ AUTH_TOKEN: 'secret' });

    expect((await closed('/api/rooms')).status).toBe(401);
    expect((await closed('/api/rooms?token=secret')).status).toBe(401);
    expect((await closed('/api/rooms', { headers: bearer('secret') })).status).toBe(200);
    expect((await closed('/api/rooms', { headers: { 'X-Auth-Token': 'secret' } })).status).toBe(200);
  });

  it('hides rooms with a token of their own from strangers', async () => {
    node = await dialFakeNode();
    await publishIn(open, 'hidden');
    await publishIn(open, 'shown');
    const call = deployed({ ROOM_TOKENS: 'hidden:t' });

    const rooms = (await (await call('/api/rooms')).json()) as { name: string }[];

    expect(rooms.map(({ name }) => name)).toEqual(['shown']);
  });

  it('refuses other methods', async () => {
    expect((await open('/api/rooms', { method: 'POST' })).status).toBe(405);
  });
});

describe('GET /api/bootstrap', () => {
  const turn = { TURN_URLS: 'turn:t.example', TURN_USERNAME: 'u', TURN_PASSWORD: 'p', STUN_URLS: 'stun:s.example' };

  it('says what a page needs', async () => {
    expect(await (await deployed(turn)('/api/bootstrap')).json()).toEqual({
      authEnabled: false,
      recordEnabled: false,
      iceServers: [{ urls: ['turn:t.example'], username: 'u', credential: 'p' }, { urls: ['stun:s.example'] }],
      features: { rooms: true, records: true },
    });
  });

  it('keeps the TURN credentials when tokens are asked for', async () => {
    expect(await (await deployed({ ...turn, AUTH_TOKEN: 'secret' })('/api/bootstrap')).json()).toMatchObject({
      authEnabled: true,
      iceServers: [{ urls: ['stun:s.example'] }],
    });
  });
});

describe('admin', () => {
  const admin = deployed({ ADMIN_TOKEN: 'boss', JWT_SECRET });

  it('closes a room, whatever runs in it', async () => {
    node = await dialFakeNode();
    const publisher = await publishIn(open, 'r1');

    const closed = await admin('/api/admin/rooms/r1/close', { method: 'POST', headers: bearer('boss') });

    expect(closed.status).toBe(200);
    expect((await closed.arrayBuffer()).byteLength).toBe(0);
    expect((await open(publisher)).status).toBe(404);
    expect((await admin('/api/admin/rooms/r1/close', { method: 'POST', headers: bearer('boss') })).status).toBe(404);
  });

  it.each(['/api/admin/rooms/r1/close', '/api/admin/nodes'])('guards %s', async (path) => {
    const method = path.endsWith('nodes') ? 'GET' : 'POST';
    const status = async (call: Call, headers: Record<string, string>) =>
      (await call(path, { method, headers })).status;

    expect(await status(open, {})).toBe(401);
    expect(await status(open, bearer('boss'))).toBe(401);
    expect(await status(admin, {})).toBe(401);
    expect(await status(admin, bearer('wrong'))).toBe(401);
    expect(await status(admin, bearer(await jwt({ room: 'r1' })))).toBe(403);
    expect([200, 404]).toContain(await status(admin, bearer(await jwt({ role: 'admin' }))));
    expect((await admin(`${path}?token=boss`, { method })).status).toBe(401);
  });

  it('checks the room first, then the method', async () => {
    expect((await admin('/api/admin/rooms/a%20b/close', { method: 'POST' })).status).toBe(400);
    expect((await admin('/api/admin/rooms/r1/close')).status).toBe(405);
  });

  it('lists the nodes', async () => {
    node = await dialFakeNode({ node: 'n-7', region: 'eu' });

    const nodes = await (await admin('/api/admin/nodes', { headers: bearer('boss') })).json();

    expect(nodes).toMatchObject([{ node: 'n-7', linked: true, region: 'eu' }]);
  });
});

describe('tokens on the endpoints (row 17)', () => {
  const publish = '/api/whip/publish/r1';
  const play = '/api/whep/play/r1';

  it.each([
    ['bearer', {}, { Authorization: 'Bearer secret' }],
    ['bearer in lower case', {}, { Authorization: 'bearer secret' }],
    ['raw', {}, { Authorization: 'secret' }],
    ['X-Auth-Token', {}, { 'X-Auth-Token': 'secret' }],
    ['?token=', { query: '?token=secret' }, {}],
    ['?token= beside `Bearer undefined`', { query: '?token=secret' }, { Authorization: 'Bearer undefined' }],
  ] as const)('#91 #92 #94 lets in by %s', async (_name, { query = '' }: { query?: string }, headers) => {
    node = await dialFakeNode();
    const closed = deployed({ AUTH_TOKEN: 'secret' });

    expect((await closed(publish + query, post(PUBLISH_OFFER, headers))).status).toBe(201);
    const streamId = query === '' ? '?streamid=r1' : `${query}&streamid=r1`;
    expect((await closed(`/webrtc/whep${streamId}`, post(PLAY_OFFER, headers))).status).toBe(201);
  });

  it('#20 #93 challenges the others', async () => {
    const closed = deployed({ AUTH_TOKEN: 'secret', JWT_SECRET });

    const none = await closed(publish, post(PUBLISH_OFFER));
    const wrong = await closed(publish, post(PUBLISH_OFFER, bearer('wrong')));
    const other = await closed(publish, post(PUBLISH_OFFER, bearer(await jwt({ room: 'r2' }))));
    const viewer = await closed(publish, post(PUBLISH_OFFER, bearer(await jwt({ permissions: ['play'] }))));

    expect(none.status).toBe(401);
    expect(none.headers.get('WWW-Authenticate')).toBe('Bearer realm="vestibule"');
    expect(wrong.status).toBe(401);
    expect(wrong.headers.get('WWW-Authenticate')).toContain('error="invalid_token"');
    for (const response of [other, viewer]) {
      expect(response.status).toBe(403);
      expect(response.headers.get('WWW-Authenticate')).toContain('error="insufficient_scope"');
    }
    expect(Object.keys(await problemOf(none)).sort()).toEqual(['code', 'detail', 'error', 'status', 'title', 'type']);
  });

  it('tolerates `Bearer undefined` where nothing is asked for', async () => {
    node = await dialFakeNode();

    expect((await open(publish, post(PUBLISH_OFFER, bearer('undefined')))).status).toBe(201);
  });

  it('checks room, method, token, media type, body in this order', async () => {
    const closed = deployed({ AUTH_TOKEN: 'secret' });
    const junk = { 'Content-Type': 'text/plain' };

    expect((await closed('/api/whip/publish/a%20b', { method: 'PUT' })).status).toBe(400);
    expect((await closed(play, { method: 'PUT' })).status).toBe(405);
    expect((await closed(play, post('junk', junk))).status).toBe(401);
    expect((await closed(play, post('junk', { ...junk, ...bearer('secret') }))).status).toBe(415);
    expect((await closed(play, post('junk', bearer('secret')))).status).toBe(400);
    expect((await closed(play, post(PLAY_OFFER, bearer('secret')))).status).toBe(404);
  });
});

describe('limits', () => {
  it('row 33: answers 429 with Retry-After, per client address', async () => {
    const limited = deployed({ RATE_LIMIT_RPS: '0.01', RATE_LIMIT_BURST: '2', CLIENT_IP_HEADER: 'CF-Connecting-IP' });
    const from = async (address: string, path: string, init: RequestInit = {}) =>
      limited(path, { ...init, headers: { ...(init.headers as Record<string, string>), 'CF-Connecting-IP': address } });
    const limitedPaths: [string, RequestInit][] = [
      ['/api/rooms', {}],
      ['/api/bootstrap', {}],
      ['/rooms/r1/join', { method: 'POST' }],
      ['/api/whip/publish/r1', post('junk')],
      ['/api/whep/play/r1', post('junk')],
      ['/resource/forged', { method: 'PATCH', headers: SDPFRAG, body: 'x' }],
      ['/resource/forged', { method: 'DELETE' }],
    ];
    for (const [index, [path, init]] of limitedPaths.entries()) {
      const address = `198.51.100.${index}`;
      for (let turn = 0; turn < 2; turn++) expect((await from(address, path, init)).status, path).not.toBe(429);
      const refused = await from(address, path, init);

      expect(refused.status, path).toBe(429);
      expect(refused.headers.get('Retry-After')).toMatch(/^[1-9]\d*$/);
      expect(refused.headers.get('Access-Control-Allow-Origin')).toBe('*');
      expect((await problemOf(refused)).error).toBe('too many requests');
      // Other clients, health and admin go on.
      expect((await from('198.51.100.200', '/healthz')).status).toBe(200);
      expect((await from(address, '/api/admin/rooms/r1/close', { method: 'POST' })).status).toBe(401);
    }
  });

  it('guessing the tokens of operators and nodes is limited, having them is not', async () => {
    const limits = { RATE_LIMIT_RPS: '0.01', RATE_LIMIT_BURST: '2', CLIENT_IP_HEADER: 'X-Real-IP' };
    const limited = deployed({ ...limits, ADMIN_TOKEN: 'operators-only' });
    const statuses = async (path: string, token: string, address: string): Promise<number[]> => {
      const seen: number[] = [];
      const headers = { Authorization: `Bearer ${token}`, 'X-Real-IP': address };
      for (let turn = 0; turn < 4; turn++) seen.push((await limited(path, { headers })).status);
      return seen;
    };
    for (const [index, path] of ['/api/admin/nodes', '/node/link'].entries()) {
      const address = `203.0.113.${index}`;
      expect(await statuses(path, 'guess', address), path).toEqual([401, 401, 429, 429]);
      const token = path === '/node/link' ? TEST_NODE_TOKEN : 'operators-only';
      expect(await statuses(path, token, address), path).not.toContain(429);
    }
  });

  it('row 42: caps the viewers of a room', async () => {
    node = await dialFakeNode();
    node.refuse('play', { status: 403, code: 'subscriber_limit', detail: 'subscriber limit reached' });
    await publishIn(open, 'r1');

    const response = await open('/api/whep/play/r1', post(PLAY_OFFER));

    expect(response.status).toBe(403);
    expect((await problemOf(response)).error).toBe('subscriber limit reached');
  });
});

describe('health and pages', () => {
  it('GET /healthz', async () => {
    const response = await open('/healthz');

    expect(response.status).toBe(200);
    expect(await response.text()).toBe('ok');
  });

  it('GET /readyz waits for a media node', async () => {
    expect((await open('/readyz')).status).toBe(503);
    node = await dialFakeNode();

    expect((await open('/readyz')).status).toBe(200);
  });

  it.each(['/', '/web', '/web/'])('%s leads to the start page', async (path) => {
    const response = await open(path);

    expect(response.status).toBe(302);
    expect(response.headers.get('Location')).toBe('/web/index.html');
  });

  it('an asset that is not there is a JSON problem', async () => {
    const response = await open('/web/nothing.js');

    expect(response.status).toBe(404);
    expect((await problemOf(response)).code).toBe('not_found');
  });
});

describe('when things go wrong', () => {
  it('a misconfigured deployment says so in the log only', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const broken = deployed({ SESSION_SECRET: 'short', RATE_LIMIT_RPS: 'fast' });

    for (const path of ['/healthz', '/api/rooms', '/api/whip/publish/r1']) {
      const response = await broken(path, path.includes('whip') ? post(PUBLISH_OFFER) : {});

      expect(response.status).toBe(500);
      expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*');
      const body = await problemOf(response);
      expect(body.code).toBe('misconfigured');
      expect(JSON.stringify(body)).not.toMatch(/SESSION_SECRET|RATE_LIMIT/);
    }
    expect(String(log.mock.calls[0]?.[0])).toMatch(/SESSION_SECRET.*RATE_LIMIT_RPS/);
    log.mockRestore();
  });

  it.each([
    ['an unexpected error', new Error('secret detail'), 500, 'internal'],
    ['an object that is being moved', Object.assign(new Error('secret detail'), { retryable: true }), 503, 'busy'],
  ])('%s tells nothing', async (_name, error, status, code) => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const failing = {
      ...(env as object),
      FLEET: {
        getByName: () => {
          throw error;
        },
      },
    };

    const response = await buildApp().fetch(new Request('http://edge.test/api/rooms'), failing as never);

    expect(response.status).toBe(status);
    const body = await problemOf(response);
    expect(body.code).toBe(code);
    expect(JSON.stringify(body)).not.toContain('secret detail');
    expect(log).toHaveBeenCalledOnce();
    log.mockRestore();
  });
});
