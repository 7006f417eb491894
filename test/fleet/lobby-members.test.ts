/**
 * Members of one lobby on three continents, each on the node nearby: they see each other as on one node, are watched from a
 * third one, go live with what comes from another one, and outlive the death of one.
 */
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { httpSignalling } from '../support/client/signalling.ts';
import { play, type Viewer } from '../support/client/viewer.ts';
import { LobbyMember, type MemberOptions } from '../support/lobby/lobby-member.ts';
import { LOBBY_SETTINGS, LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';
import { RtmpSink } from '../support/rtmp-sink.ts';
import { until } from '../support/until.ts';
import { ADMIN_TOKEN, FleetBed } from './fleet-bed.ts';
import { fromPlace, MUMBAI, NEW_YORK, PARIS, type Place } from './places.ts';

const FFMPEG_PATH = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const DEADLINE_MS = 30_000;
/** A dead node is known 10 s later at the latest, on a machine that has time for it. */
const LOST_MS = 30_000;
const NODES = ['new-york', 'paris', 'mumbai'] as const;

let bed: FleetBed;
let server: LobbyServer;
let sink: RtmpSink;
let stream: StreamPath;
let inNewYork: LobbyMember;
let inParis: LobbyMember;
let inMumbai: LobbyMember;
let viewer: Viewer | null = null;

beforeAll(async () => {
  [bed, sink] = await Promise.all([
    FleetBed.open({
      nodes: { 'new-york': NEW_YORK, paris: PARIS, mumbai: MUMBAI },
      edge: LOBBY_SETTINGS,
      node: { FFMPEG_PATH, LIVE_ALLOWED_HOSTS: LOBBY_SETTINGS.LIVE_ALLOWED_HOSTS },
    }),
    RtmpSink.open(),
  ]);
  server = LobbyServer.on(bed.edge, ADMIN_TOKEN);
  stream = await server.stream();
});
afterAll(async () => {
  for (const member of [inNewYork, inParis, inMumbai]) member?.vanish();
  await viewer?.close().catch(() => undefined);
  await bed?.close();
  await sink?.close();
});

async function join(user: string, place: Place, options: MemberOptions): Promise<LobbyMember> {
  const entry = { ...(await server.entry(stream, user)), headers: fromPlace(place) };
  const member = await LobbyMember.enterAs(entry, options);
  await member.listen();
  return member;
}

/** The node that serves a member. */
function nodeOf(member: LobbyMember): string {
  return bed.nodeAt(/^a=candidate:\S+ \d+ \S+ \d+ (\S+) /m.exec(member.created.body)?.[1] ?? '');
}

/** Relays that each node has, connected. */
function relays(): number[] {
  return NODES.map((node) => bed.tap.relays(node).filter(({ state }) => state === 'connected').length);
}

test('three members on three nodes see and hear each other, by two relays into each node', async () => {
  inParis = await join('u1', PARIS, { sends: 'audio', info: '2 2 Paris' });
  inNewYork = await join('u2', NEW_YORK, { info: '2 2 NewYork' });
  inMumbai = await join('u3', MUMBAI, { info: '1 2 Mumbai' });
  expect([inNewYork, inParis, inMumbai].map(nodeOf)).toEqual(NODES);

  await Promise.all([
    inParis.hears(['2 2 NewYork', '2 2 NewYork', '1 2 Mumbai', '1 2 Mumbai'], DEADLINE_MS),
    inNewYork.hears(['2 2 Paris', '1 2 Mumbai', '1 2 Mumbai'], DEADLINE_MS),
    inMumbai.hears(['2 2 Paris', '2 2 NewYork', '2 2 NewYork'], DEADLINE_MS),
  ]);
  await Promise.all([inParis, inNewYork, inMumbai].map((member) => member.plays(5, DEADLINE_MS)));
  // Told a moment after the media has begun.
  await expect.poll(relays, { timeout: DEADLINE_MS }).toEqual([2, 2, 2]);
  // One each, whatever happened while they came.
  for (const node of NODES) expect(bed.tap.requests(node, 'relay-pull')).toHaveLength(2);
});

test('a mute is told on all nodes', async () => {
  inNewYork.mute('audio', true);
  await until(() => inParis.mutes.length > 0 && inMumbai.mutes.length > 0, 'the mute', DEADLINE_MS);
  for (const { mutes, tracks } of [inParis, inMumbai]) {
    const mid = tracks.find(({ kind, info }) => kind === 'audio' && info?.endsWith('NewYork'))?.mid;
    expect(mutes).toEqual([{ mid, mute: true }]);
  }
  inNewYork.mute('audio', false);
  await until(() => inParis.mutes.length > 1 && inMumbai.mutes.length > 1, 'the end of the mute', DEADLINE_MS);
});

test('the audience is served nearby, with main tracks from elsewhere', async () => {
  const url = `${bed.url}${stream.path}/static/whep`;
  viewer = await play({
    video: { VP8: 96 },
    signalling: httpSignalling(url, await server.login('u5'), fromPlace(MUMBAI)),
  });
  expect(bed.nodeOf(viewer)).toBe('mumbai');
  const { video, audio } = viewer;
  await until(() => video.packets > 10 && audio.packets > 10, 'main tracks', DEADLINE_MS);
  // They are there already, for the member nearby.
  expect(relays()).toEqual([2, 2, 2]);
});

test('going live: the picture comes to the pushing node from another one', async () => {
  const started = await inParis.ask('/live', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ streamKey: 'key', rtmpUrl: sink.url }),
  });
  expect(started.status, started.body).toBe(201);
  await sink.event('media', 'key', DEADLINE_MS);
  const pushing = NODES.filter((node) => bed.tap.requests(node, 'apply-stream').some(({ desired }) => desired.live));
  expect(pushing).toEqual(['paris']);
});

test('the owner wants it recorded: every node with members is told', async () => {
  const told = await inParis.ask('/recording', { method: 'PUT' });
  expect([told.status, told.json]).toEqual([200, { enabled: true, format: 'mp4' }]);
  expect((await inNewYork.ask('/recording', { method: 'DELETE' })).status).toBe(403);
  const wished = () => NODES.map((node) => bed.tap.requests(node, 'apply-stream').at(-1)?.desired.recording?.format);
  await expect.poll(wished, { timeout: DEADLINE_MS }).toEqual(['mp4', 'mp4', 'mp4']);
});

test('the pushing node is killed: the others see each other, the show goes on elsewhere, who was there comes back', async () => {
  const before = sink.events.length;
  await bed.node('paris').kill();
  await Promise.all([
    inNewYork.hears(['1 2 Mumbai', '1 2 Mumbai'], LOST_MS),
    inMumbai.hears(['2 2 NewYork', '2 2 NewYork'], LOST_MS),
  ]);
  await Promise.all([inNewYork.plays(), inMumbai.plays()]);
  await sink.event('media', 'key', DEADLINE_MS, before);

  inParis.vanish();
  // From New York: seen from Paris, a moment with much to do there makes Mumbai the better one.
  inParis = await join('u1', NEW_YORK, { sends: 'audio', info: '2 2 Back' });
  expect(nodeOf(inParis)).toBe('new-york');
  await inParis.hears(['2 2 NewYork', '2 2 NewYork', '1 2 Mumbai', '1 2 Mumbai'], DEADLINE_MS);
  await inMumbai.hears(['2 2 Back', '2 2 NewYork', '2 2 NewYork'], DEADLINE_MS);
  await Promise.all([inParis.plays(5, DEADLINE_MS), inMumbai.plays(5, DEADLINE_MS)]);
});

test('who leaves takes the relays along; the last one takes everything', async () => {
  expect((await inMumbai.leave()).status).toBe(200);
  await inNewYork.hears(['2 2 Back'], DEADLINE_MS);
  // Nothing comes to New York any more; in Mumbai somebody still watches.
  expect(bed.tap.requests('new-york', 'apply-stream').at(-1)?.desired.remotes).toBeUndefined();
  await bed.untilNode('mumbai', 'serves a viewer by two relays', ({ load }) => load.sessions === 3, DEADLINE_MS);
  await viewer?.close();
  viewer = null;
  expect((await inNewYork.leave()).status).toBe(200);
  expect((await inParis.leave()).status).toBe(200);
  for (const node of ['new-york', 'mumbai']) {
    await bed.untilNode(node, 'is empty', ({ load }) => load.sessions === 0, DEADLINE_MS);
  }
});
