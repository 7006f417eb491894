/**
 * The node that carries a lobby is drained under three people who see each other, who are watched, and on the air: they move,
 * and nobody's picture stops, goes or is there twice. Where there is no other node they stay until the end, and come back when
 * there is one.
 */
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../e2e/support/until.ts';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { httpSignalling } from '../support/client/signalling.ts';
import { play, type Viewer } from '../support/client/viewer.ts';
import { LOBBY_SETTINGS, LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';
import { RtmpSink } from '../support/rtmp-sink.ts';
import { ADMIN_TOKEN, contextAt, FleetBed } from './fleet-bed.ts';
import { flowsOn, GapWatch } from './measure.ts';
import { areOn, enterAgain, enterPage, type MemberPage, reportOf, seeEachOther, watchAll } from './member-pages.ts';
import { fromPlace, NEW_YORK, PARIS } from './places.ts';

const FFMPEG_PATH = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const USERS = ['u1', 'u2', 'u3'];
/** Nobody waits for its end. */
const DRAIN_MS = 120_000;
const DEADLINE_MS = 60_000;
/** 500 ms are promised on a machine that has time for it. */
const LONGEST_STALL_MS = 3_000;

let bed: FleetBed;
let chromium: Chromium;
let sink: RtmpSink;
let server: LobbyServer;
let stream: StreamPath;
const people: MemberPage[] = [];
let viewer: Viewer | null = null;

beforeAll(async () => {
  const { LIVE_ALLOWED_HOSTS } = LOBBY_SETTINGS;
  [bed, chromium, sink] = await Promise.all([
    FleetBed.open({
      nodes: { paris: PARIS, 'new-york': NEW_YORK },
      edge: LOBBY_SETTINGS,
      node: { FFMPEG_PATH, LIVE_ALLOWED_HOSTS },
    }),
    launchChromium(),
    RtmpSink.open(),
  ]);
  server = LobbyServer.on(bed.edge, ADMIN_TOKEN);
  stream = await server.stream();
  for (const user of USERS) {
    people.push(await enterPage(await contextAt(chromium, PARIS), server, { ...stream, user }));
  }
  await seeEachOther(people, DEADLINE_MS);
});
afterAll(async () => {
  await viewer?.close().catch(() => undefined);
  await chromium?.close();
  await bed?.close();
  await sink?.close();
});

async function cookiesOf({ page }: MemberPage): Promise<string[]> {
  return (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`);
}

/** Everybody who hears her knows that she is muted. */
async function isSilent(user: string): Promise<boolean> {
  const others = await Promise.all(people.filter((one) => one.user !== user).map(reportOf));
  return others.every(({ silent }) => silent.join() === user);
}

test('everybody moves: no picture stops, goes, or is there twice, and who they are goes along', async () => {
  await areOn(bed, people, 'paris', DEADLINE_MS);
  const [ada] = people as [MemberPage];
  const cookies = await cookiesOf(ada);
  await ada.page.evaluate(() => globalThis.member.mute(true));
  await until('her mute', () => isSilent(ada.user));
  await ada.page.evaluate((url) => globalThis.member.goLive(url, 'key'), sink.url);
  await sink.event('media', 'key', DEADLINE_MS);
  const watching = `${bed.url}${stream.path}/static/whep`;
  const signalling = httpSignalling(watching, await server.login('u5'), fromPlace(NEW_YORK));
  viewer = await play({ video: { VP8: 96 }, signalling });
  expect(bed.nodeOf(viewer)).toBe('new-york');
  await flowsOn(viewer);
  await watchAll(people);
  await seeEachOther(people, DEADLINE_MS);
  const before = await Promise.all(people.map(reportOf));
  const pushed = sink.events.length;
  await watchAll(people);
  using gaps = new GapWatch([viewer]);

  expect((await bed.drain('paris', DRAIN_MS)).status).toBe(202);
  await areOn(bed, people, 'new-york', DEADLINE_MS);
  await bed.node('paris').process.whenEnded();
  await seeEachOther(people, DEADLINE_MS);

  expect(bed.node('paris').process.outcome).toBe('exit code 0');
  const seen = await Promise.all(people.map(reportOf));
  const list = (all: typeof seen, of: 'longestMs' | 'pageStallMs') => all.map((one) => one[of].toFixed(0)).join(', ');
  console.info(
    `longest stop of a picture: ${list(seen, 'longestMs')} ms (pages stood still for ${list(seen, 'pageStallMs')} ms)`,
  );
  console.info(`longest time without a packet for who only watches: ${gaps.longestMs().map(Math.round)} ms`);
  console.info(`before anything happened: ${list(before, 'longestMs')} ms (${list(before, 'pageStallMs')} ms)`);
  for (const { longestMs, fewest, most, odd, events } of seen) {
    expect([fewest, most, odd]).toEqual([2, 2, []]);
    expect(longestMs).toBeLessThan(LONGEST_STALL_MS);
    // The own move brings each track of the others once more; theirs bring nothing.
    expect(events).toEqual([...Array(4).fill('member-track'), ...Array(4).fill('track-ended')]);
  }
  expect(await isSilent(ada.user)).toBe(true);
  // Who watches was not asked to come again, and the show goes on.
  expect(Math.max(...gaps.longestMs())).toBeLessThan(LONGEST_STALL_MS);
  await flowsOn(viewer);
  await sink.event('media', 'key', DEADLINE_MS, pushed);
  // Same cookie, and requests in her name go on.
  expect(await cookiesOf(ada)).toEqual(cookies);
  expect(await ada.page.evaluate(() => globalThis.member.isLive())).toBe(true);
  await viewer.close();
  const isRight = ({ load }: { load: { sessions: number } }): boolean => load.sessions === 6;
  await bed.untilNode('new-york', 'carries three members and nothing else', isRight, DEADLINE_MS);
});

test('without another node they stay until the end, and come back as soon as there is one', async () => {
  await watchAll(people);
  expect((await bed.drain('new-york', DRAIN_MS)).status).toBe(202);
  await seeEachOther(people, DEADLINE_MS);
  for (const { events, odd } of await Promise.all(people.map(reportOf))) expect([events, odd]).toEqual([[], []]);
  expect((await bed.drain('new-york', 0)).status).toBe(202);
  await bed.node('new-york').process.whenEnded();
  expect(bed.node('new-york').process.outcome).toBe('exit code 0');

  await bed.startNode('paris', PARIS);
  await bed.nodeLinked('paris');
  await seeEachOther(people, 60_000);
  await areOn(bed, people, 'paris', DEADLINE_MS);
});

test('a node that is killed while they leave it: all of them are elsewhere, once, and who leaves is gone', async () => {
  await bed.startNode('new-york', NEW_YORK);
  await bed.nodeLinked('new-york');
  await seeEachOther(people, DEADLINE_MS);
  expect((await bed.drain('paris', DRAIN_MS)).status).toBe(202);
  const joins = () => bed.tap.requests('new-york', 'join').length;
  const asked = joins();
  await until('the first of them is about to move', () => joins() > asked, DEADLINE_MS);
  await bed.node('paris').kill();

  await areOn(bed, people, 'new-york', 60_000);
  await seeEachOther(people, DEADLINE_MS);
  const has = (sessions: number) => (node: { load: { sessions: number } }) => node.load.sessions === sessions;
  await bed.untilNode('new-york', 'carries three members and nothing else', has(6), DEADLINE_MS);
  const [ada, ...others] = people as [MemberPage, MemberPage, MemberPage];
  await ada.page.evaluate(() => globalThis.member.leave());
  await seeEachOther(others, DEADLINE_MS);
  await bed.untilNode('new-york', 'carries the other two and nothing else', has(4), DEADLINE_MS);
});

test('who leaves in the middle of a move has left, and may come again at once', async () => {
  const two = people.slice(1);
  await bed.startNode('paris', PARIS);
  await bed.nodeLinked('paris');
  const joins = bed.tap.requests('paris', 'join').length;
  expect((await bed.drain('new-york', DRAIN_MS)).status).toBe(202);
  await until('one of them is about to move', () => bed.tap.requests('paris', 'join').length > joins, DEADLINE_MS);
  await Promise.all(two.map(({ page }) => page.evaluate(() => globalThis.member.leave())));
  await Promise.all(two.map((one) => enterAgain(server, stream, one)));
  await seeEachOther(two, DEADLINE_MS);
  await areOn(bed, two, 'paris', DEADLINE_MS);
  await bed.untilNode('paris', 'carries the two and nothing else', ({ load }) => load.sessions === 4, DEADLINE_MS);
});
