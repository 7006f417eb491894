/** Acceptance 3 and 4: the server's offer over HTTP, and the guard in front of it. */
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { cookieOf } from '../support/lobby/guarded-session.ts';
import { bareOffer, LobbyMember, type MemberOptions, postOffer } from '../support/lobby/lobby-member.ts';
import { LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';
import { wrtc } from '../support/wrtc.ts';

const SDP = { 'Content-Type': 'application/sdp' };
/** The server waits 10 s for a signal channel. */
const NO_CHANNEL_DEADLINE_MS = 20_000;

let server: LobbyServer;

beforeAll(async () => {
  server = await LobbyServer.start();
});

afterAll(() => server?.stop());

async function enter(stream: StreamPath, user: string, options: MemberOptions = {}): Promise<LobbyMember> {
  const member = await LobbyMember.enter(server, stream, user, { sends: 'nothing', ...options });
  onTestFinished(() => member.vanish());
  return member;
}

test('POST gives an offer, PATCH takes its answer, each with the next token', async () => {
  const member = await enter(await server.stream(), 'u1');
  const tokens = [member.session.token];

  const offer = await member.ask('/whep', { method: 'POST', headers: SDP });
  tokens.push(member.session.token);
  expect(offer.status, offer.body).toBe(201);
  expect(offer.header('Content-Type')).toBe('application/sdp');
  expect(offer.body).toMatch(/^m=application \d+ UDP\/DTLS\/SCTP webrtc-datachannel\r$/m);
  expect(offer.body).toMatch(/^a=setup:actpass\r$/m);
  expect(offer.body).toMatch(/^a=candidate:/m);
  expect(offer.header('Location')).toMatch(/^\/[^?]+$/);
  expect(offer.header('ETag')).toMatch(/^"[^"]+"$/);

  const answer = await member.takeFirstOffer(offer);
  const broken = await member.ask('/whep', { method: 'PATCH', headers: SDP, body: 'v=0' });
  tokens.push(member.session.token);
  expect(broken.status).toBe(400);
  const patched = await member.ask('/whep', { method: 'PATCH', headers: SDP, body: answer });
  tokens.push(member.session.token);
  expect([patched.status, patched.body, patched.header('Content-Length')]).toEqual([201, '', '0']);
  await member.listenerConnected();
  const again = await member.ask('/whep', { method: 'PATCH', headers: SDP, body: answer });
  tokens.push(member.session.token);
  expect(again.status).toBe(409);
  expect((await member.ask('/whep', { method: 'POST', headers: SDP })).status).toBe(409);
  expect(new Set(tokens).size).toBe(tokens.length);
});

test('the answer may also go to the resource, by the rules of the draft', async () => {
  const stream = await server.stream();
  const member = await enter(stream, 'u1');
  const other = await enter(stream, 'u2', { sends: 'both', info: '1 2 Cam' });

  const offer = await member.ask('/whep', { method: 'POST', headers: SDP });
  const answer = await member.takeFirstOffer(offer);
  const resource = offer.header('Location') ?? '';
  const patched = await server.call(resource, { method: 'PATCH', headers: SDP, body: answer });

  expect([patched.status, patched.body]).toEqual([204, '']);
  await member.listenerConnected();
  await member.hears(['1 2 Cam', '1 2 Cam']);
  await member.plays();
  // Only what is received ends with it.
  expect((await server.call(resource, { method: 'DELETE' })).status).toBe(200);
  expect((await member.ask('/live')).status).toBe(200);
  await member.listen();
  await member.hears(['1 2 Cam', '1 2 Cam']);
  expect(other.channel.readyState).toBe('open');
});

test('an offer of the client is answered at once', async () => {
  const stream = await server.stream();
  await enter(stream, 'u2', { sends: 'both' });
  const member = await enter(stream, 'u1');
  const connection = new wrtc.RTCPeerConnection();
  onTestFinished(() => connection.close());
  connection.addTransceiver('audio', { direction: 'recvonly' });
  connection.addTransceiver('video', { direction: 'recvonly' });
  await connection.setLocalDescription(await connection.createOffer());

  const reply = await member.ask('/whep', {
    method: 'POST',
    headers: SDP,
    body: connection.localDescription?.sdp ?? '',
  });

  expect(reply.status, reply.body).toBe(201);
  await connection.setRemoteDescription({ type: 'answer', sdp: reply.body });
  await expect
    .poll(
      async () => {
        const stats = [...(await connection.getStats()).values()];
        return stats.filter(({ type, packetsReceived }) => type === 'inbound-rtp' && Number(packetsReceived) > 5)
          .length;
      },
      { timeout: 10_000 },
    )
    .toBe(2);
});

test('the guard: cookie, stream, user and token, in that order, and a refusal does not use the token up', async () => {
  const stream = await server.stream();
  const elsewhere = await server.stream();
  const member = await enter(stream, 'u1');
  const first = member.session.token;
  expect((await member.ask('/live')).status).toBe(200);
  const { cookie, token } = member.session;
  const whep = (headers: Record<string, string>, path = stream.path) =>
    server.call(`${path}/whep`, { method: 'POST', headers: { ...SDP, ...headers } });
  const good = { Cookie: cookie, 'X-Req-Token': token };
  const payload = cookie.slice('session.id='.length).split('.')[0] ?? '';
  const forged = createHmac('sha256', '').update(payload).digest('base64url');

  const [noCookie, noToken, random, replayed, otherUser, otherStream, forgedCookie, changedCookie] = await Promise.all([
    whep({ 'X-Req-Token': token }),
    whep({ Cookie: cookie }),
    whep({ Cookie: cookie, 'X-Req-Token': 'r'.repeat(token.length) }),
    whep({ Cookie: cookie, 'X-Req-Token': first }),
    whep({ ...good, Authorization: `Bearer ${await server.login('u2')}` }),
    whep(good, elsewhere.path),
    whep({ ...good, Cookie: `session.id=${payload}.${forged}` }),
    whep({ ...good, Cookie: `${cookie.slice(0, -2)}${cookie.endsWith('AA') ? 'BB' : 'AA'}` }),
  ]);

  const refused = { noCookie, noToken, random, replayed, otherUser, otherStream, forgedCookie, changedCookie };
  expect(Object.fromEntries(Object.entries(refused).map(([name, { status }]) => [name, status]))).toEqual({
    noCookie: 401,
    noToken: 403,
    random: 403,
    replayed: 403,
    otherUser: 403,
    otherStream: 403,
    forgedCookie: 401,
    changedCookie: 401,
  });
  for (const reply of Object.values(refused)) expect(reply.header('X-Req-Token')).toBeNull();
  expect((await whep({ ...good, Authorization: `Bearer ${member.entry.bearer}` })).status).toBe(201);
});

test('the cookie of a session that has ended finds nothing', async () => {
  const stream = await server.stream();
  await enter(stream, 'u2');
  const member = await enter(stream, 'u1');
  expect((await member.leave()).status).toBe(200);

  const reply = await member.ask('/whep', { method: 'POST', headers: SDP });

  expect(reply.status).toBe(404);
});

test('who opens no signal channel cannot listen', async () => {
  const stream = await server.stream();
  const created = await postOffer(await server.entry(stream, 'u1'), await bareOffer());
  const startedAt = performance.now();

  const reply = await server.call(`${stream.path}/whep`, {
    method: 'POST',
    headers: { ...SDP, Cookie: cookieOf(created), 'X-Req-Token': created.header('X-Req-Token') ?? '' },
    deadlineMs: NO_CHANNEL_DEADLINE_MS,
  });

  expect(reply.status, reply.body).toBe(409);
  expect(reply.header('Retry-After')).toBe('1');
  expect(performance.now() - startedAt).toBeLessThan(NO_CHANNEL_DEADLINE_MS);
});
