/** A node is drained under a room's publisher and a member of a lobby who are recorded: what both nodes wrote is whole. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshRoom, until } from '../e2e/support/until.ts';
import { clockTimes } from '../records/support/clock-times.ts';
import { readRecorded } from '../records/support/recorded.ts';
import type { ListedRecord } from '../records/support/system.ts';
import { browserScript } from '../support/browser-script.ts';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { LOBBY_SETTINGS, LobbyServer } from '../support/lobby/lobby-server.ts';
import { ADMIN_TOKEN, contextAt, FleetBed } from './fleet-bed.ts';
import { NEW_YORK, PARIS } from './places.ts';

const DRAIN_MS = 30_000;
const DEADLINE_MS = 40_000;
/** Of media, on either node. */
const ENOUGH_MS = 2_500;
/** Of what is shown, and between two files: next to nothing on a machine that has time. */
const LONGEST_STALL_MS = 4_000;
const MS_PER_S = 1_000;
const AUTH_TOKEN = 'the-publishing-token-of-these-tests';
const ADMIN = { Authorization: `Bearer ${ADMIN_TOKEN}` };

type Listed = ListedRecord & { node: string };

let bed: FleetBed;
let chromium: Chromium;
let server: LobbyServer;
let folder: string;

beforeAll(async () => {
  [bed, chromium, folder] = await Promise.all([
    FleetBed.open({
      nodes: { paris: PARIS, 'new-york': NEW_YORK },
      edge: { ...LOBBY_SETTINGS, AUTH_TOKEN, RECORD_ENABLED: '1' },
    }),
    launchChromium(),
    mkdtemp(join(tmpdir(), 'vestibule-recorded-move-')),
  ]);
  server = LobbyServer.on(bed.edge, ADMIN_TOKEN);
}, 120_000);
afterAll(async () => {
  await chromium?.close();
  await bed?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

async function clockPage(): Promise<Page> {
  const page = await (await contextAt(chromium, PARIS)).newPage();
  // An address without a policy against scripts of others.
  await page.goto(`${bed.url}/healthz`);
  await page.addScriptTag({ content: await browserScript('test/fleet/clock-page.ts') });
  return page;
}

/** Oldest first. */
async function list(): Promise<Listed[]> {
  const answer = await fetch(`${bed.url}/api/records`, { headers: ADMIN });
  return ((await answer.json()) as Listed[]).toReversed();
}

/** Resolves with so many recordings when all of them are as they should be. */
async function listed(what: string, count: number, isRight: (record: Listed) => boolean): Promise<Listed[]> {
  let last: Listed[] = [];
  const found = async () => {
    last = await list();
    return last.length === count && last.every(isRight) ? last : null;
  };
  return until(what, found, DEADLINE_MS).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last)}`);
  });
}

async function areOn(pages: readonly Page[], node: string): Promise<void> {
  const addressesOf = (page: Page) => page.evaluate(() => globalThis.clockPage.addresses());
  const found = async () => {
    const addresses = (await Promise.all(pages.map(addressesOf))).flat();
    return addresses.length === pages.length && addresses.every((address) => bed.nodeAt(address) === node);
  };
  await until(`they are on ${node}`, found, DEADLINE_MS);
}

async function readBack({ name }: Listed) {
  const answer = await fetch(`${bed.url}/records/${name}`, { headers: ADMIN });
  expect(answer.status).toBe(200);
  const path = join(folder, name);
  await writeFile(path, Buffer.from(await answer.arrayBuffer()));
  const { tracks, durationS } = await readRecorded(path);
  expect(tracks.map(({ kind }) => kind).toSorted()).toEqual(['audio', 'video']);
  for (const { packets, decoded, largestGapS, firstS, endS } of tracks) {
    expect(decoded).toBe(packets);
    expect(Math.max(largestGapS, firstS, durationS - endS) * MS_PER_S).toBeLessThan(LONGEST_STALL_MS);
  }
  const pictures = await clockTimes(path);
  return { firstMs: pictures.at(0)?.clockMs ?? Number.NaN, lastMs: pictures.at(-1)?.clockMs ?? Number.NaN };
}

test('a file on each node, in the store before the node has left, and nothing is missing between them', async () => {
  const room = freshRoom();
  const stream = await server.stream();
  const pages = [await clockPage(), await clockPage()] as const;
  const whip = [`${bed.url}/api/whip/publish/${room}`, AUTH_TOKEN] as const;
  const entry = [stream.space, stream.id, await server.login('u1')] as const;
  await Promise.all([
    pages[0].evaluate((given) => globalThis.clockPage.publish(...given), whip),
    pages[1].evaluate((given) => globalThis.clockPage.enter(...given), entry),
  ]);
  await areOn(pages, 'paris');
  await listed('both are recorded', 2, ({ durationMs }) => durationMs > ENOUGH_MS);

  expect((await bed.drain('paris', DRAIN_MS)).status).toBe(202);
  await areOn(pages, 'new-york');
  const paris = bed.node('paris').process;
  await paris.whenEnded();
  expect(paris.outcome).toBe('exit code 0');
  // What is not in the store now may never be: nobody promises that the node comes back.
  const left = (await list()).filter(({ node }) => node === 'paris');
  expect(left.map(({ state }) => state)).toEqual(['ready', 'ready']);
  await listed('both go on elsewhere', 4, ({ durationMs }) => durationMs > ENOUGH_MS);
  await Promise.all(pages.map((page) => page.evaluate(() => globalThis.clockPage.stop())));
  const all = await listed('all are ready', 4, ({ state }) => state === 'ready');

  for (const whose of [room, stream.id]) {
    const files = all.filter(({ name }) => name.includes(whose));
    expect(files.map(({ node }) => node)).toEqual(['paris', 'new-york']);
    const [before, after] = await Promise.all(files.map(readBack));
    const missingMs = (after?.firstMs ?? Number.NaN) - (before?.lastMs ?? Number.NaN);
    console.info(`${whose}: ${missingMs} ms from the last picture of one file to the first of the other`);
    expect(missingMs).toBeLessThan(LONGEST_STALL_MS);
  }
}, 150_000);
