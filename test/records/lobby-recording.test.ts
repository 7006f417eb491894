/** A lobby is recorded when its owner says so: a file of each member, from the way in to the store, and seen by all of them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { LobbyMember, type MemberOptions } from '../support/lobby/lobby-member.ts';
import { ADMIN_TOKEN, LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';
import { readRecorded } from './support/recorded.ts';
import { type ListedRecord, START_MS } from './support/system.ts';

const ADMIN = { Authorization: `Bearer ${ADMIN_TOKEN}` };
const DEADLINE_MS = 30_000;
/** Of media in the files that are read back. */
const ENOUGH_MS = 2_500;

interface Status {
  enabled: boolean;
  format: string | null;
  recordings: Pick<ListedRecord, 'name' | 'state' | 'size' | 'uploadedBytes' | 'durationMs' | 'startedAt'>[];
}

let server: LobbyServer;
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vestibule-lobby-recording-'));
  server = await LobbyServer.start({ env: { RECORD_DIR: folder } });
}, START_MS);
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function enter(stream: StreamPath, user: string, options: MemberOptions): Promise<LobbyMember> {
  const member = await LobbyMember.enter(server, stream, user, options);
  onTestFinished(() => member.vanish());
  return member;
}

async function statusFor(member: LobbyMember): Promise<Status> {
  const reply = await member.ask('/recording');
  expect(reply.status, reply.body).toBe(200);
  return reply.json as Status;
}

/** Resolves when a member sees so many recordings, in these states, newest first or not. */
async function seen(member: LobbyMember, states: readonly string[], leastMs = 0): Promise<Status> {
  let last: Status | null = null;
  const found = async () => {
    last = await statusFor(member);
    const { recordings } = last;
    const isLong = recordings.every(({ state, durationMs }) => state !== 'recording' || durationMs >= leastMs);
    return isLong ? recordings.map(({ state }) => state).toSorted() : ['too short yet'];
  };
  await expect.poll(found, { timeout: DEADLINE_MS, interval: 300 }).toEqual(states.toSorted());
  return last ?? statusFor(member);
}

/** Tracks of a finished file, all of whose packets decode. */
async function tracksOf(name: string): Promise<string[]> {
  const answer = await fetch(`${server.vestibule.url}/records/${name}`, { headers: ADMIN });
  expect(answer.status).toBe(200);
  const path = join(folder, `copy-${name}`);
  await writeFile(path, Buffer.from(await answer.arrayBuffer()));
  const { tracks, durationS } = await readRecorded(path);
  expect(durationS * 1000).toBeGreaterThan(ENOUGH_MS);
  for (const { packets, decoded } of tracks) expect(decoded).toBe(packets);
  return tracks.map(({ kind }) => kind).toSorted();
}

test('on by the owner, refused to guests, a file of each member in the store; on again, and over with the lobby', {
  timeout: 150_000,
}, async () => {
  const stream = await server.stream();
  const owner = await enter(stream, 'u1', { info: '2 2 Main' });
  const guest = await enter(stream, 'u2', { sends: 'audio', info: '2 2 Guest' });
  for (const method of ['PUT', 'DELETE']) {
    const refused = await guest.ask('/recording', { method });
    expect([method, refused.status, (refused.json as { code: string }).code]).toEqual([method, 403, 'not_the_owner']);
  }
  expect(await statusFor(guest)).toEqual({ enabled: false, format: null, recordings: [] });

  const on = await owner.ask('/recording', { method: 'PUT' });
  expect([on.status, on.json]).toEqual([200, { enabled: true, format: 'mp4' }]);
  const growing = await seen(guest, ['recording', 'recording'], ENOUGH_MS);
  expect(growing).toMatchObject({ enabled: true, format: 'mp4' });
  for (const { size, name } of growing.recordings) {
    expect(size).toBeGreaterThan(1_000);
    expect(name).toContain(stream.id);
  }
  const off = await owner.ask('/recording', { method: 'DELETE' });
  expect([off.status, off.json]).toEqual([200, { enabled: false, format: null }]);
  const done = await seen(guest, ['ready', 'ready']);
  expect(done.enabled).toBe(false);
  const tracks = await Promise.all(done.recordings.map(({ name }) => tracksOf(name)));
  expect(tracks.toSorted((a, b) => a.length - b.length)).toEqual([['audio'], ['audio', 'video']]);

  // Operators see whose they are; nobody else gets at the files.
  const list = await fetch(`${server.vestibule.url}/api/records`, { headers: ADMIN });
  const { space, id } = stream;
  const whose = { room: null, stream: { space, stream: id }, state: 'ready' };
  expect(await list.json()).toMatchObject([whose, whose]);
  const { bearer } = owner.entry;
  const [first] = done.recordings;
  const asMember = await fetch(`${server.vestibule.url}/records/${first?.name}`, {
    headers: { Authorization: `Bearer ${bearer}` },
  });
  expect([401, 403]).toContain(asMember.status);

  // Each member's file ends with the member, the last ones with the lobby.
  expect((await owner.ask('/recording', { method: 'PUT', headers: {} })).status).toBe(200);
  await seen(owner, ['ready', 'ready', 'recording', 'recording']);
  expect((await guest.leave()).status).toBe(200);
  await seen(owner, ['ready', 'ready', 'ready', 'recording']);
  expect((await owner.leave()).status).toBe(200);
  const states = async () => {
    const answer = await fetch(`${server.vestibule.url}/api/records`, { headers: ADMIN });
    return ((await answer.json()) as ListedRecord[]).map(({ state }) => state);
  };
  await expect.poll(states, { timeout: DEADLINE_MS }).toEqual(['ready', 'ready', 'ready', 'ready']);
});
