/** Acceptance 9, and of 11 what needs no accident: leaving, coming back, and the end of a lobby. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { LobbyMember, type MemberOptions } from '../support/lobby/lobby-member.ts';
import { LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';
import { until } from '../support/until.ts';

const SDP = { 'Content-Type': 'application/sdp' };
const CLOSED_WITHIN_MS = 10_000;
const RACES = 5;

let server: LobbyServer;

beforeAll(async () => {
  server = await LobbyServer.start();
});

afterAll(() => server?.stop());

async function join(stream: StreamPath, user: string, options: MemberOptions = {}): Promise<LobbyMember> {
  const member = await LobbyMember.join(server, stream, user, options);
  onTestFinished(() => member.vanish());
  return member;
}

test('DELETE ends both connections and expires the cookie; the way back is free at once', async () => {
  const stream = await server.stream();
  const [u1, u2] = await Promise.all([join(stream, 'u1', { info: '2 2 Main' }), join(stream, 'u2')]);
  await u2.hears(['2 2 Main', '2 2 Main']);

  const left = await u1.ask('/whip', { method: 'DELETE', headers: SDP });

  expect([left.status, left.body]).toEqual([200, '']);
  expect(left.header('Set-Cookie')).toMatch(/^session\.id=;.*(Max-Age=0|Expires=Thu, 01 Jan 1970)/);
  await until(() => u1.dismissed, 'both connections are closed', CLOSED_WITHIN_MS);
  await u2.hears([]);
  for (const [path, method] of [
    ['/whip', 'DELETE'],
    ['/whep', 'POST'],
    ['/live', 'GET'],
  ] as const) {
    expect([path, (await u1.ask(path, { method, headers: SDP })).status]).toEqual([path, 404]);
  }
  expect((await server.call(`${stream.path}/whip`, { method: 'DELETE' })).status).toBe(401);

  const again = await join(stream, 'u1', { sends: 'audio', info: '2 2 Again' });
  await u2.hears(['2 2 Again']);
  await u2.plays();
  expect(again.created.status).toBe(201);
});

test('the resource takes the bearer of its owner and no other; P/res is P/whip', async () => {
  const stream = await server.stream();
  const [u1, u2] = await Promise.all([join(stream, 'u1'), join(stream, 'u2')]);
  const location = u1.created.header('Location') ?? '';

  const wrong = await server.call(location, {
    method: 'DELETE',
    headers: { Authorization: `Bearer ${u2.entry.bearer}` },
  });
  const right = await server.call(location, {
    method: 'DELETE',
    headers: { Authorization: `Bearer ${u1.entry.bearer}` },
  });
  const alias = await u2.ask('/res', { method: 'DELETE' });

  expect([wrong.status, right.status, alias.status]).toEqual([403, 200, 200]);
});

test('with the last of them the lobby ends, and a new one begins from nothing', async () => {
  const stream = await server.stream();
  const u1 = await join(stream, 'u1', { info: '2 2 Main' });
  const u2 = await join(stream, 'u2');
  await u2.hears(['2 2 Main', '2 2 Main']);
  expect([(await u1.leave()).status, (await u2.leave()).status]).toEqual([200, 200]);

  const next = await join(stream, 'u2', { sends: 'nothing' });
  const live = await next.ask('/live');
  const other = await join(stream, 'u3', { info: '1 2 Cam' });
  await next.hears(['1 2 Cam', '1 2 Cam']);

  expect(live.json).toMatchObject({ status: 'offline', isLive: false, isLobbyRunning: true });
  expect(next.offers[0]?.number).toBe(1);
  expect(other.channel.readyState).toBe('open');
});

test('a join that races the last leave finds a lobby that works', async () => {
  const stream = await server.stream();
  let last = await join(stream, 'u1', { sends: 'nothing' });
  for (let race = 0; race < RACES; race += 1) {
    const [left, next] = await Promise.all([
      last.leave(),
      join(stream, race % 2 === 0 ? 'u2' : 'u1', { sends: 'nothing' }),
    ]);
    expect(left.status).toBe(200);
    const guest = await join(stream, 'u3', { sends: 'quiet', info: `1 2 Race${race}` });
    await next.hears([`1 2 Race${race}`]);
    expect((await guest.leave()).status).toBe(200);
    last = next;
  }
});
