/** Acceptance 12: plain clients beside the lobby, in rooms and with its main tracks. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { LobbyMember } from '../support/lobby/lobby-member.ts';
import { JWT_SECRET, LobbyServer, mintJwt } from '../support/lobby/lobby-server.ts';
import { sectionsOf } from '../support/lobby/sections.ts';
import { readOffer } from '../support/recorded-offers.ts';
import { playWithWrtc, publishWithWrtc } from '../support/wrtc-peer.ts';

const SDP = { 'Content-Type': 'application/sdp' };
const SDPFRAG = { 'Content-Type': 'application/trickle-ice-sdpfrag' };
const AUTH_TOKEN = 'auth-token-of-the-tests';
const BEARER = { Authorization: `Bearer ${AUTH_TOKEN}` };
const OBS = readOffer('obs32-publish-simulcast').replace(/^a=(candidate|end-of-candidates).*\r\n/gm, '');

let server: LobbyServer;

beforeAll(async () => {
  server = await LobbyServer.start({ env: { AUTH_TOKEN, MAX_SUBS_PER_ROOM: '1', PUBLISHER_GRACE_MS: '0' } });
});

afterAll(() => server?.stop());

test('as OBS: no candidates, simulcast, bearer; the end closes its viewers', async () => {
  const whip = { method: 'POST', headers: { ...SDP, ...BEARER } };
  const published = await server.call('/api/whip/publish/r1', { ...whip, body: OBS });

  expect(published.status, published.body).toBe(201);
  const location = published.header('Location') ?? '';
  expect(location).toMatch(/^\/[^?]+$/);
  const rids = [...OBS.matchAll(/^a=rid:(\S+) send/gm)].map(([, rid]) => rid);
  expect(rids.length).toBeGreaterThan(1);
  for (const rid of rids) expect(published.body).toContain(`a=rid:${rid} recv`);
  expect((await server.call('/api/whip/publish/r1', { ...whip, body: OBS })).status).toBe(409);
  const played = await server.call('/api/whep/play/r1', { ...whip, body: readOffer('chromium-view') });
  expect(played.status, played.body).toBe(201);
  const viewer = played.header('Location') ?? '';
  expect((await server.call('/api/whep/play/r1', { ...whip, body: readOffer('chromium-view') })).status).toBe(403);

  expect((await server.call(location, { method: 'DELETE', headers: BEARER })).status).toBe(200);
  const rooms = await server.call('/api/rooms', { headers: BEARER });
  expect((rooms.json as { name: string }[]).map(({ name }) => name)).not.toContain('r1');
  expect((await server.call(viewer, { method: 'DELETE' })).status).toBe(404);
  expect((await server.call('/api/whep/play/r1', { ...whip, body: readOffer('chromium-view') })).status).toBe(404);
  expect((await server.call('/api/whep/play/a%20b', { ...whip, body: readOffer('chromium-view') })).status).toBe(400);
});

test('as vue-wish: no bearer but a token in the URL, unquoted entity-tags, a restart', async () => {
  await using publisher = await publishWithWrtc({
    url: `${server.vestibule.url}/api/whip/publish/r2`,
    token: AUTH_TOKEN,
  });
  const url = `/api/whep/play/r2?token=${AUTH_TOKEN}`;
  const options = await server.call(url, { method: 'OPTIONS', headers: { Origin: 'http://localhost:5173' } });
  expect(options.status).toBeLessThan(300);
  const offer = readOffer('chromium-view');
  const played = await server.call(url, {
    method: 'POST',
    headers: { ...SDP, Origin: 'http://a.example' },
    body: offer,
  });
  expect(played.status, played.body).toBe(201);
  expect(played.list('Access-Control-Expose-Headers')).toEqual(expect.arrayContaining(['location', 'etag', 'link']));
  const resource = played.header('Location') ?? '';
  const etag = JSON.parse(played.header('ETag') ?? '') as string;
  const fragment = (ufrag: string, pwd: string): string =>
    `a=ice-ufrag:${ufrag}\r\na=ice-pwd:${pwd}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n` +
    'a=candidate:1 1 udp 2113937151 127.0.0.1 9 typ host\r\n';
  const own = fragment(/^a=ice-ufrag:(\S+)/m.exec(offer)?.[1] ?? '', /^a=ice-pwd:(\S+)/m.exec(offer)?.[1] ?? '');
  const patch = (body: string, headers: Record<string, string>) =>
    server.call(resource, { method: 'PATCH', headers: { ...SDPFRAG, ...headers }, body });

  expect((await patch(own, { 'If-Match': etag })).status).toBe(204);
  expect((await patch(own, { 'If-Match': '"another"' })).status).toBe(412);
  const restarted = await patch(fragment('another1', 'a'.repeat(24)), { 'If-Match': '*' });
  expect(restarted.status, restarted.body).toBe(200);
  expect(restarted.header('ETag')).not.toBe(`"${etag}"`);
  expect((await server.call(resource, { method: 'DELETE' })).status).toBe(200);
  expect(publisher.connection.connectionState).toBe('connected');
});

test('static WHEP plays the main tracks and no others, to anybody with a bearer, while the lobby runs', async () => {
  const stream = await server.stream();
  const url = `${server.vestibule.url}${stream.path}/static/whep`;
  const exp = Math.floor(Date.now() / 1000) + 600;
  const token = mintJwt({ sub: 'x', exp }, JWT_SECRET);
  const refused = (): Promise<unknown> =>
    playWithWrtc({ url, token }).catch((error: Error) => error.message.slice(0, 3));
  expect(await refused()).toBe('404');
  expect((await server.call(`${stream.path}/static/whep`, { method: 'POST', headers: SDP, body: 'v=0' })).status).toBe(
    401,
  );

  const owner = await LobbyMember.join(server, stream, 'u1', { info: '2 2 Main' });
  onTestFinished(() => owner.vanish());
  const guest = await LobbyMember.join(server, stream, 'u2', { info: '1 2 Guest' });
  onTestFinished(() => guest.vanish());
  await using viewer = await playWithWrtc({ url, token });
  await viewer.grown('framesDecoded', 10);
  expect(
    sectionsOf(viewer.answer)
      .map(({ kind }) => kind)
      .toSorted(),
  ).toEqual(['audio', 'video']);
  // The main picture goes, and no other takes its place.
  expect((await owner.leave()).status).toBe(200);
  await guest.hears([]);
  const before = await viewer.counters();
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect((await viewer.counters()).packetsReceived - before.packetsReceived).toBeLessThan(3);
});

test('static WHIP: main tracks by a bearer alone, which do not hold the lobby', async () => {
  const stream = await server.stream();
  const url = `${server.vestibule.url}${stream.path}/static/whip`;
  const token = await server.login('u1');
  const whip = publishWithWrtc({ url, token }).catch((error: Error) => error.message.slice(0, 3));
  expect(await whip).toBe('404');

  const guest = await LobbyMember.join(server, stream, 'u2', { sends: 'nothing' });
  onTestFinished(() => guest.vanish());
  const publisher = await publishWithWrtc({ url, token, codec: 'VP8' });
  onTestFinished(() => publisher.kill());
  await expect.poll(() => guest.tracks.map(({ info }) => info?.slice(0, 1))).toEqual(['2', '2']);
  await guest.plays();
  expect((await guest.leave()).status).toBe(200);

  const next = await LobbyMember.join(server, stream, 'u2', { sends: 'nothing' });
  onTestFinished(() => next.vanish());
  expect((await next.ask('/live')).json).toMatchObject({ isLobbyRunning: true, isLive: false });
  expect(next.tracks).toEqual([]);
});
