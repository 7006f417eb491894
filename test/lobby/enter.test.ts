/** Acceptance 1 and 2: who may enter a lobby, and what a refusal leaves behind. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Reply, Sent } from '../conformance/support/wire.ts';
import { bareOffer, LobbyMember, postOffer } from '../support/lobby/lobby-member.ts';
import { JWT_SECRET, LobbyServer, mintJwt, REGISTER_TOKEN } from '../support/lobby/lobby-server.ts';

const MIB = 1024 * 1024;
const HOUR_S = 3600;

let server: LobbyServer;

beforeAll(async () => {
  server = await LobbyServer.start();
});

afterAll(() => server?.stop());

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

test('a login gives a token with an end', async () => {
  const reply = await server.call('/authenticate', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user: 'u1', token: REGISTER_TOKEN, client: 't' }),
  });

  expect(reply.status).toBe(200);
  const { jwt } = reply.json as { jwt: string };
  const claims = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());
  expect(claims).toMatchObject({ sub: 'u1', uuid: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  expect(claims.exp).toBeGreaterThan(nowSeconds());
});

test('the owner and a guest enter; the answer has all that a member needs', async () => {
  const stream = await server.stream();
  const owner = await LobbyMember.enter(server, stream, 'u1', { info: '2 2 Main' });
  onTestFinished(() => owner.vanish());
  const { created } = owner;

  expect(created.header('Content-Type')).toBe('application/sdp');
  expect(created.body).toMatch(/^a=candidate:.* 127\.0\.0\.1 \d+ typ host/m);
  expect(created.body).toMatch(/^a=setup:(active|passive)\r$/m);
  expect(created.body).toMatch(/^a=fingerprint:sha-256 /m);
  expect(created.header('Location')).toMatch(/^\/[^?]+$/);
  expect(created.header('ETag')).toMatch(/^"[^"]+"$/);
  expect(created.header('Set-Cookie')).toMatch(/^session\.id=[^;]+;.*Path=\/(;|$)/);
  expect(created.header('Set-Cookie')).toMatch(/; HttpOnly(;|$)/);
  expect(created.header('X-Req-Token')?.length).toBeGreaterThanOrEqual(34);
  const live = await owner.ask('/live');
  expect([live.status, live.json]).toMatchObject([200, { isLobbyRunning: true }]);

  const guest = await LobbyMember.enter(server, stream, 'u2', { sends: 'nothing' });
  onTestFinished(() => guest.vanish());
  expect(guest.created.status).toBe(201);
});

test('who may not enter gets neither cookie nor token, and the session of the one who is in does not notice', async () => {
  const stream = await server.stream();
  const owner = await LobbyMember.join(server, stream, 'u1', { info: '2 2 Main' });
  onTestFinished(() => owner.vanish());
  const guest = await LobbyMember.join(server, stream, 'u2');
  onTestFinished(() => guest.vanish());
  await guest.hears(['2 2 Main', '2 2 Main']);
  const [jwt, stranger, offer] = await Promise.all([server.login('u3'), server.login('x'), bareOffer()]);
  const exp = nowSeconds() + HOUR_S;
  const whip = (sent: Sent & { bearer?: string | null; path?: string }): Promise<Reply> => {
    const { bearer = jwt, path = stream.path, headers, ...rest } = sent;
    const authorization: Record<string, string> = bearer === null ? {} : { Authorization: `Bearer ${bearer}` };
    const all = { 'Content-Type': 'application/sdp', ...authorization, ...headers };
    return server.call(`${path}/whip`, { method: 'POST', body: offer, ...rest, headers: all });
  };
  const refusals: [number, Promise<Reply>][] = [
    [401, whip({ bearer: null })],
    [401, whip({ bearer: mintJwt({ sub: 'u3', exp }, 'another-secret-of-some-length') })],
    [401, whip({ bearer: mintJwt({ sub: 'u3', exp: nowSeconds() - HOUR_S }, JWT_SECRET) })],
    [401, whip({ bearer: mintJwt({ sub: 'u3' }, JWT_SECRET) })],
    [403, whip({ bearer: stranger })],
    [404, whip({ path: `/space/s1/stream/${crypto.randomUUID()}` })],
    [404, whip({ path: `/space/s2/stream/${stream.id}` })],
    [404, whip({ path: '/space/s1/stream/not-a-uuid' })],
    [415, whip({ headers: { 'Content-Type': 'text/plain' } })],
    [400, whip({ body: '' })],
    [400, whip({ body: 'v=0' })],
    [413, whip({ body: Buffer.alloc(MIB + 1, 97) })],
    [405, whip({ method: 'PUT' })],
    [409, whip({ bearer: owner.entry.bearer })],
  ];

  for (const [status, pending] of refusals) {
    const reply = await pending;
    expect(reply.status, reply.body).toBe(status);
    expect([reply.header('Set-Cookie'), reply.header('X-Req-Token')]).toEqual([null, null]);
  }
  expect((await owner.ask('/live')).status).toBe(200);
  await guest.plays();
  const entered = await postOffer(await server.entry(stream, 'u3'), offer);
  expect(entered.status, entered.body).toBe(201);
});

test('tokens of others are as good: by uuid, and by userId with home', async () => {
  const exp = nowSeconds() + HOUR_S;
  const uuid = crypto.randomUUID();
  const stream = await server.stream([uuid, '7@home.example']);
  const offer = await bareOffer();

  for (const claims of [{ uuid }, { userId: 7, home: 'home.example' }]) {
    const entry = { ...(await server.entry(stream, 'u1')), bearer: mintJwt({ ...claims, exp }, JWT_SECRET) };
    const entered = await postOffer(entry, offer);
    expect(entered.status, entered.body).toBe(201);
  }
});
