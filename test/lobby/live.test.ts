/** Acceptance 10: going live to a real RTMP server, and what of it anybody can read. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Reply } from '../conformance/support/wire.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { freeTcpPort } from '../support/free-port.ts';
import { LobbyMember, type MemberOptions } from '../support/lobby/lobby-member.ts';
import { LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';
import { AAC, AVC, RtmpSink } from '../support/rtmp-sink.ts';

const FFMPEG_PATH = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const ON_AIR_MS = 20_000;
/** A push that failed is tried again, later each time. */
const BACK_ON_AIR_MS = 20_000;
const JSON_TYPE = { 'Content-Type': 'application/json' };

let server: LobbyServer;
let sink: RtmpSink;

beforeAll(async () => {
  [server, sink] = await Promise.all([LobbyServer.start({ env: { FFMPEG_PATH } }), RtmpSink.open()]);
});

afterAll(async () => {
  await Promise.all([server?.stop(), sink?.close()]);
});

async function join(stream: StreamPath, user: string, options: MemberOptions = {}): Promise<LobbyMember> {
  const member = await LobbyMember.enter(server, stream, user, options);
  onTestFinished(() => member.vanish());
  return member;
}

function start(member: LobbyMember, body: object | string, path = '/live'): Promise<Reply> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return member.ask(path, { method: 'POST', headers: JSON_TYPE, body: text });
}

async function status(member: LobbyMember): Promise<Record<string, unknown>> {
  const reply = await member.ask('/live');
  expect(reply.status, reply.body).toBe(200);
  return reply.json as Record<string, unknown>;
}

async function state(member: LobbyMember, wanted: string, deadlineMs = ON_AIR_MS): Promise<void> {
  await expect.poll(async () => (await status(member)).state, { timeout: deadlineMs }).toBe(wanted);
}

interface Running {
  pid: number;
  args: string;
  environment: string;
}

function running(): (Running & { parent: number; name: string })[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const end = stat.lastIndexOf(')');
      const name = stat.slice(stat.indexOf('(') + 1, end);
      const parent = Number(stat.slice(end + 2).split(' ')[1]);
      const args = readFileSync(`/proc/${entry}/cmdline`, 'latin1');
      return [{ pid: Number(entry), parent, name, args, environment: environmentOf(entry) }];
    } catch {
      return [];
    }
  });
}

/** Of others' processes it cannot be read. */
function environmentOf(entry: string): string {
  try {
    return readFileSync(`/proc/${entry}/environ`, 'latin1');
  } catch {
    return '';
  }
}

/** Those of this system's media node. */
function ffmpegs(): Running[] {
  const { pid } = server.vestibule.node;
  return running().filter(({ parent, name }) => parent === pid && name === 'ffmpeg');
}

/** Sound and picture of whoever leads through the show: VP8 from the lobby, H264 by FFmpeg over plain WHIP. */
async function show(kind: 'vp8' | 'h264', stream: StreamPath): Promise<LobbyMember> {
  if (kind === 'vp8') return join(stream, 'u1', { info: '2 2 Main' });
  const owner = await join(stream, 'u1', { sends: 'nothing' });
  const publisher = await publishWithFfmpeg({
    url: `${server.vestibule.url}${stream.path}/static/whip`,
    token: owner.entry.bearer,
    gopFrames: 30,
  });
  onTestFinished(() => publisher.kill());
  return owner;
}

function forms(key: string, kind: 'vp8' | 'h264'): { body: object; path: string } {
  return kind === 'vp8'
    ? { body: { streamKey: key, rtmpUrl: sink.url }, path: '/live' }
    : { body: { rtmpKey: key, rtmpEndpoint: sink.url }, path: '/live/start' };
}

test.each([
  // What is encoded anew is as big as what servers expect.
  ['vp8', { videoWidth: 1280, videoHeight: 720 }],
  ['h264', { videoWidth: 640, videoHeight: 360 }],
] as const)('%s goes on the air as H.264 and AAC, and off again; the key is nowhere to be read', async (kind, size) => {
  const key = `s3cret-${crypto.randomUUID()}`;
  const stream = await server.stream();
  const owner = await show(kind, stream);
  const { body, path } = forms(key, kind);
  const tokens = [owner.session.token];

  const started = await start(owner, body, path);
  tokens.push(owner.session.token);
  expect(started.status, started.body).toBe(201);
  const { resource } = started.json as { resource: string };
  expect(started.header('Location')).toBe(`${stream.path}/live/${resource}`);
  const media = await sink.event('media', key, ON_AIR_MS);
  expect(media).toMatchObject({ videoCodec: AVC, audioCodec: AAC, audioSamplerate: 48_000, ...size });
  await state(owner, 'online');
  for (const path of ['/live', `/live/${resource}`]) {
    const reply = await owner.ask(path);
    expect([reply.status, reply.json]).toMatchObject([
      200,
      { status: 'online', isLive: true, isLobbyRunning: true, streamId: stream.id },
    ]);
    expect(reply.body).not.toContain(key);
  }
  expect((await start(owner, body)).status).toBe(409);
  tokens.push(owner.session.token);
  expect(ffmpegs()).toHaveLength(1);
  for (const { args, environment } of running()) expect(args + environment).not.toContain(key);

  const stopped = await owner.ask(`/live/${resource}`, { method: 'DELETE' });
  tokens.push(owner.session.token);
  expect(stopped.status, stopped.body).toBe(204);
  expect(await status(owner)).toMatchObject({ status: 'offline', isLive: false });
  await sink.event('gone', key, ON_AIR_MS);
  await expect.poll(ffmpegs, { timeout: ON_AIR_MS }).toEqual([]);
  expect((await owner.ask(`/live/${resource}`, { method: 'DELETE' })).status).toBe(404);
  expect((await owner.ask('/live', { method: 'DELETE' })).status).toBe(404);
  expect(new Set(tokens).size).toBe(tokens.length);
  expect(server.vestibule.log).not.toContain(key);
});

test('only the owner, only with a main track, only to where it is allowed', async () => {
  const stream = await server.stream();
  const owner = await join(stream, 'u1', { sends: 'audio', info: '1 2 Owner' });
  const guest = await join(stream, 'u2', { sends: 'nothing' });
  const good = { streamKey: 'key', rtmpUrl: sink.url };
  const statusOf = async (reply: Promise<Reply>): Promise<number> => (await reply).status;

  expect(await statusOf(start(owner, good))).toBe(409);
  expect(await statusOf(start(guest, good))).toBe(403);
  expect(await statusOf(guest.ask('/live', { method: 'DELETE' }))).toBe(403);
  expect((await status(guest)).status).toBe('offline');
  const live = `${stream.path}/live`;
  const post = { method: 'POST', body: JSON.stringify(good) };
  expect(await statusOf(server.call(live, { ...post, headers: JSON_TYPE }))).toBe(401);
  const wrongToken = { ...JSON_TYPE, Cookie: owner.session.cookie, 'X-Req-Token': 'wrong' };
  expect(await statusOf(server.call(live, { ...post, headers: wrongToken }))).toBe(403);
  for (const rtmpUrl of ['/tmp', 'file:///tmp/out.flv', 'http://127.0.0.1/live', 'rtmp://10.0.0.1/live', '']) {
    const before = owner.session.token;
    expect([rtmpUrl, await statusOf(start(owner, { ...good, rtmpUrl }))]).toEqual([rtmpUrl, 400]);
    expect(owner.session.token).not.toBe(before);
  }
  const bodies = [{ ...good, also: 1 }, { streamKey: 'key', rtmpEndpoint: sink.url }, 'not json', []];
  for (const body of bodies) expect(await statusOf(start(owner, body))).toBe(400);
  expect(ffmpegs()).toEqual([]);
});

test('ffmpeg is killed: it comes back', { timeout: 90_000 }, async () => {
  const key = crypto.randomUUID();
  const owner = await show('vp8', await server.stream());
  expect((await start(owner, { streamKey: key, rtmpUrl: sink.url })).status).toBe(201);
  await sink.event('media', key, ON_AIR_MS);
  await state(owner, 'online');
  const [victim] = ffmpegs();
  const before = sink.events.length;

  process.kill(victim?.pid ?? 0, 'SIGKILL');
  await sink.event('media', key, BACK_ON_AIR_MS, before);
  await state(owner, 'online');

  expect(ffmpegs().map(({ pid }) => pid)).not.toContain(victim?.pid);
  expect(ffmpegs()).toHaveLength(1);
  const back = sink.events.length;
  expect((await owner.leave()).status).toBe(200);
  // With the last of the lobby the show is over.
  await sink.event('gone', key, ON_AIR_MS, back);
  await expect.poll(ffmpegs, { timeout: ON_AIR_MS }).toEqual([]);
});

test('a server that is not there, or refuses the key: the status says so, without the key', async () => {
  const key = `s3cret-${crypto.randomUUID()}`;
  const refusing = await RtmpSink.open({ refuses: true });
  onTestFinished(() => refusing.close());
  const owner = await show('vp8', await server.stream());

  for (const rtmpUrl of [`rtmp://127.0.0.1:${await freeTcpPort()}/live`, refusing.url]) {
    const started = await start(owner, { streamKey: key, rtmpUrl });
    expect(started.status, started.body).toBe(201);
    await state(owner, 'retrying');
    const told = await status(owner);
    expect(told).toMatchObject({ status: 'offline', isLive: true, error: expect.stringMatching(/\w/) });
    expect(JSON.stringify(told)).not.toContain(key);
    expect((await owner.ask('/live', { method: 'DELETE' })).status).toBe(204);
  }
  expect(server.vestibule.log).not.toContain(key);
});

test('two lobbies at once, each with its own show', async () => {
  const keys = [crypto.randomUUID(), crypto.randomUUID()];
  const owners = await Promise.all(keys.map(async () => show('vp8', await server.stream())));

  for (const [at, owner] of owners.entries()) {
    expect((await start(owner, { streamKey: keys[at], rtmpUrl: sink.url })).status).toBe(201);
  }
  await Promise.all(keys.map((key) => sink.event('media', key, ON_AIR_MS)));
  await Promise.all(owners.map((owner) => state(owner, 'online')));
  expect(ffmpegs()).toHaveLength(2);
  const [first, second] = owners;
  expect((await first?.ask('/live', { method: 'DELETE' }))?.status).toBe(204);
  await sink.event('gone', keys[0] ?? '', ON_AIR_MS);

  if (second !== undefined) expect(await status(second)).toMatchObject({ status: 'online', state: 'online' });
  // The server's connection is closed before the process has ended.
  await expect.poll(ffmpegs, { timeout: ON_AIR_MS }).toHaveLength(1);
});
