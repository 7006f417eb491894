/** Acceptance 11: members, edge and media node that die, and a network that is cut. */
import { createRequire } from 'node:module';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { observe, until } from '../e2e/support/until.ts';
import { LineProcess } from '../support/line-process.ts';
import { LobbyMember, type MemberOptions } from '../support/lobby/lobby-member.ts';
import { LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';
import { RtmpSink } from '../support/rtmp-sink.ts';
import { UdpProxy } from '../support/udp-proxy.ts';

const GRACE_MS = 3_000;
/** The silence has to be noticed first. */
const REMOVED_WITHIN_MS = GRACE_MS + 20_000;
const SDP = { 'Content-Type': 'application/sdp' };
const JOINED_MS = 20_000;
const ON_AIR_MS = 20_000;
/** The node is known lost, and another one is linked. */
const NODE_BACK_MS = 30_000;
const FFMPEG_PATH = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;

let server: LobbyServer;
let stream: StreamPath;

beforeEach(async ({ task }) => {
  const graceMs = task.name.includes('usual grace') ? 15_000 : GRACE_MS;
  server = await LobbyServer.start({ env: { FFMPEG_PATH, MEMBER_GRACE_MS: String(graceMs) } });
  stream = await server.stream();
});

afterEach(() => server?.stop());

async function join(user: string, options: MemberOptions = {}): Promise<LobbyMember> {
  const member = await LobbyMember.join(server, stream, user, options);
  onTestFinished(() => member.vanish());
  return member;
}

async function proxy(): Promise<UdpProxy> {
  const opened = await UdpProxy.open(server.vestibule.node.addresses[0] ?? '');
  onTestFinished(() => opened.close());
  return opened;
}

test('a member whose process is killed is gone after the grace, and may come back', { timeout: 90_000 }, async () => {
  const u1 = await join('u1', { sends: 'nothing' });
  const { url, path, bearer } = await server.entry(stream, 'u2');
  const other = new LineProcess({ script: ['test/support/lobby/member-process.ts', url, path, bearer] });
  onTestFinished(() => other.end('SIGKILL'));
  await other.event('joined', JOINED_MS);
  await u1.hears(['1 2 Apart', '1 2 Apart']);
  await u1.plays();

  await other.end('SIGKILL');
  await u1.hears([], REMOVED_WITHIN_MS);

  const back = await join('u2', { info: '1 2 Back' });
  await u1.hears(['1 2 Back', '1 2 Back']);
  expect(back.created.status).toBe(201);
});

test('a cut of 5 s is survived, with the usual grace: nothing is removed, pictures go on', {
  timeout: 90_000,
}, async () => {
  const line = await proxy();
  const u1 = await join('u1', { info: '2 2 Main' });
  const u2 = await join('u2', { info: '1 2 Cam', proxy: line });
  await u1.hears(['1 2 Cam', '1 2 Cam']);
  const before = { number: u1.number, offers: u1.offers.length };

  line.impair({ cut: true });
  await observe(5_000);
  line.impair({ cut: false });
  await Promise.all([u1.plays(10, 15_000), u2.plays(10, 15_000)]);

  expect({ number: u1.number, offers: u1.offers.length }).toEqual(before);
  u2.mute('audio', true);
  await until('the mute is told', () => u1.mutes.length > 0);
});

test('a cut of 30 s ends the session, and the way back is free', { timeout: 120_000 }, async () => {
  const line = await proxy();
  const u1 = await join('u1', { info: '2 2 Main' });
  const u2 = await join('u2', { info: '1 2 Cam', proxy: line });
  await u1.hears(['1 2 Cam', '1 2 Cam']);

  line.impair({ cut: true });
  const cutAt = performance.now();
  await u1.hears([], 30_000);
  expect((await u2.ask('/live')).status).toBe(404);
  await observe(Math.max(0, 30_000 - (performance.now() - cutAt)));
  line.impair({ cut: false });

  // The old one stays gone; the new one is in at once.
  const back = await join('u2', { info: '1 2 Back', proxy: line });
  await u1.hears(['1 2 Back', '1 2 Back']);
  await Promise.all([u1.plays(), back.plays()]);
});

test('the edge is killed between offer and answer: media goes on, cookie and token are valid', {
  timeout: 90_000,
}, async () => {
  const u1 = await join('u1', { info: '2 2 Main' });
  const u2 = await join('u2', { info: '1 2 Cam' });
  await u1.hears(['1 2 Cam', '1 2 Cam']);
  // One offer in flight on the signal channel, another one over HTTP.
  u1.answering = false;
  const u3 = await LobbyMember.enter(server, stream, 'u3', { info: '1 2 Third' });
  onTestFinished(() => u3.vanish());
  const inFlight = await u1.offer(u1.number + 1);
  const offered = await u3.ask('/whep', { method: 'POST', headers: SDP });
  expect(offered.status, offered.body).toBe(201);
  const answer = await u3.takeFirstOffer(offered);

  const back = server.vestibule.killWorkerd();
  await u2.plays(30);
  await back;
  await until('the node is linked again', async () => (await server.call('/readyz')).status === 200);

  u1.answering = true;
  u1.say(await u1.answerTo(inFlight));
  await u1.hears(['1 2 Cam', '1 2 Cam', '1 2 Third', '1 2 Third']);
  const patched = await u3.ask('/whep', { method: 'PATCH', headers: SDP, body: answer });
  expect(patched.status, patched.body).toBe(201);
  await u3.hears(['2 2 Main', '2 2 Main', '1 2 Cam', '1 2 Cam']);
  await Promise.all([u1.plays(), u2.plays(), u3.plays()]);
  expect((await u2.ask('/live')).status).toBe(200);
  expect((await u2.leave()).status).toBe(200);
  await u1.hears(['1 2 Third', '1 2 Third']);
});

test('the media node is killed while live: sessions end as lost, and the next ones work', {
  timeout: 90_000,
}, async () => {
  const sink = await RtmpSink.open();
  onTestFinished(() => sink.close());
  const u1 = await join('u1', { info: '2 2 Main' });
  const u2 = await join('u2', { sends: 'nothing' });
  const live = await u1.ask('/live', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ streamKey: 'first', rtmpUrl: sink.url }),
  });
  expect(live.status, live.body).toBe(201);
  await sink.event('media', 'first', ON_AIR_MS);

  await server.vestibule.killNode();
  await sink.event('gone', 'first', ON_AIR_MS);
  const next = await until(
    'somebody can enter again',
    () => LobbyMember.join(server, stream, 'u1', { info: '2 2 Again' }).catch(() => null),
    NODE_BACK_MS,
  );
  onTestFinished(() => next.vanish());

  expect((await u1.ask('/live')).status).toBe(404);
  expect((await u2.ask('/live')).status).toBe(404);
  const status = await next.ask('/live');
  expect(status.json).toMatchObject({ status: 'offline', isLive: false, isLobbyRunning: true });
  const other = await join('u2', { sends: 'nothing' });
  await other.hears(['2 2 Again', '2 2 Again']);
  await other.plays();
});
