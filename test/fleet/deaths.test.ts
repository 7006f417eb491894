/**
 * Nodes die by SIGKILL, or go dark by SIGSTOP, under a tree of relays that is three deep: New York (publisher) → Paris →
 * Mumbai → Sydney.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { playsOn } from '../e2e/support/media-stats.ts';
import { publish as publishPage, watch } from '../e2e/support/project-pages.ts';
import { freshRoom, until } from '../e2e/support/until.ts';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import type { Viewer } from '../support/client/viewer.ts';
import { contextAt, FleetBed } from './fleet-bed.ts';
import { flowsOn, GapWatch } from './measure.ts';
import { pictureStalls, watchPicture } from './page-stalls.ts';
import { MUMBAI, NEW_YORK, PARIS, SYDNEY } from './places.ts';

/**
 * 10 s are promised until a dead node is known, 5 s from then on until survivors' viewers have media, 3 s for pages, on a
 * machine that has time for it.
 */
const DETECTED_MS = 20_000;
const HEALED_MS = 15_000;
/** Nothing is waited for longer. */
const DEADLINE_MS = 30_000;
/** More than that is not in flight or in a buffer: the media goes on. */
const PACKETS_ON = 200;

let bed: FleetBed;
let chromium: Chromium;
let publisher: Page;
/** Pages near New York and Paris. */
let players: Page[];
/** Headless viewers near Mumbai and Sydney, who never come back by themselves. */
const viewers: Viewer[] = [];

beforeAll(async () => {
  [bed, chromium] = await Promise.all([
    FleetBed.open({ nodes: { 'new-york': NEW_YORK, paris: PARIS, mumbai: MUMBAI, sydney: SYDNEY } }),
    launchChromium(),
  ]);
  const room = freshRoom();
  publisher = await publishPage(await contextAt(chromium, NEW_YORK), bed.url, room, { codec: 'VP8' });
  players = [];
  for (const place of [NEW_YORK, PARIS]) players.push(await watch(await contextAt(chromium, place), bed.url, room));
  await Promise.all(players.map((player) => playsOn(player)));
  for (const place of [MUMBAI, SYDNEY]) {
    const viewer = await bed.play(place, room);
    viewers.push(viewer);
    await flowsOn(viewer);
  }
});
afterAll(async () => {
  await chromium?.close();
  await bed?.close();
});

interface Aftermath {
  /** Until no session goes there any more. */
  unlinkedMs: number;
  /** Until its sessions counted as lost. */
  detectedMs: number;
  viewersMs: number[];
  pagesMs: number[];
  /** For how long their pictures stood still. */
  stallsMs: number[];
}

/** Kills a node and says how long everybody had to do without, in ms since then. */
async function killUnder(id: string, signal: 'SIGKILL' | 'SIGSTOP' = 'SIGKILL'): Promise<Aftermath> {
  // Those on the node itself are lost with it.
  const left = viewers.filter((viewer) => bed.nodeOf(viewer) !== id);
  using gaps = new GapWatch(left);
  await Promise.all(players.map(watchPicture));
  const killedMs = performance.now();
  bed.node(id).process.signal(signal);
  await until(`${id} gets nothing new`, async () => !(await isLinked(id)), DETECTED_MS);
  const unlinkedMs = performance.now() - killedMs;
  await until(`${id} is lost`, async () => (await bed.adminNodes()).every(({ node }) => node !== id), DETECTED_MS);
  const detectedMs = performance.now() - killedMs;
  await until(
    'all pages are served elsewhere',
    async () => {
      const on = await Promise.all([publisher, ...players].map((page) => bed.nodeOfPage(page)));
      return on.every((node) => node !== id && node !== '');
    },
    DEADLINE_MS,
  );
  await Promise.all([
    ...left.map((viewer) => flowsOn(viewer, PACKETS_ON, DEADLINE_MS)),
    ...players.map((player) => playsOn(player, 60, DEADLINE_MS)),
  ]);
  const stalls = await Promise.all(players.map(pictureStalls));
  return {
    unlinkedMs,
    detectedMs,
    viewersMs: gaps.longestMs(),
    pagesMs: stalls.map(({ againMs }) => againMs),
    stallsMs: stalls.map(({ longestMs }) => longestMs),
  };
}

async function isLinked(id: string): Promise<boolean> {
  return (await bed.adminNodes()).some(({ node, linked }) => node === id && linked);
}

function inWords(ms: readonly number[]): string {
  return `${ms.map((one) => one.toFixed(0)).join(' and ')} ms`;
}

test('the inner relay of Paris dies: those below it have media in time, its page plays elsewhere, nobody else notices', async () => {
  const upstreams = ['paris', 'mumbai', 'sydney'].map(
    (id) => bed.tap.requests(id, 'relay-pull').at(-1)?.relay.upstream,
  );
  expect(upstreams).toEqual(['new-york', 'paris', 'mumbai']);

  const { unlinkedMs, detectedMs, viewersMs, pagesMs, stallsMs } = await killUnder('paris');

  console.info(
    `Paris killed: known after ${inWords([unlinkedMs])}, lost after ${inWords([detectedMs])}; media again in Mumbai and Sydney after ${inWords(viewersMs)}; ` +
      `picture again on the pages of New York and Paris after ${inWords(pagesMs)}`,
  );
  const [, parisMs = Number.NaN] = pagesMs;
  const [newYorkStallMs = Number.NaN] = stallsMs;
  expect(Math.max(...viewersMs)).toBeLessThan(detectedMs + HEALED_MS);
  expect(parisMs).toBeLessThan(detectedMs + HEALED_MS);
  // Who had Paris in its path did without until then.
  expect(newYorkStallMs).toBeLessThan(detectedMs);
});

test('the publisher’s node dies: its page publishes elsewhere by itself, and all viewers go on with it', async () => {
  const { unlinkedMs, detectedMs, viewersMs, pagesMs } = await killUnder('new-york');

  console.info(
    `New York killed: known after ${inWords([unlinkedMs])}, lost after ${inWords([detectedMs])}; the publisher is on ${await bed.nodeOfPage(publisher)}; media again ` +
      `in Mumbai and Sydney after ${inWords(viewersMs)}; picture again on both pages after ${inWords(pagesMs)}`,
  );
  // The publisher's page is back in time, and everybody with it.
  expect(Math.max(...viewersMs, ...pagesMs)).toBeLessThan(detectedMs + HEALED_MS);
  // Not by a new request of theirs.
  expect(viewers.map(({ session }) => session.transport.endReason)).toEqual([null, null]);
});

test('the machine of the publisher’s node goes dark: nobody is told by a closed socket, and all find out in time', async () => {
  const id = await bed.nodeOfPage(publisher);

  const { unlinkedMs, detectedMs, viewersMs, pagesMs } = await killUnder(id, 'SIGSTOP');

  console.info(
    `${id} stopped: known after ${inWords([unlinkedMs])}, lost after ${inWords([detectedMs])}; the publisher is on ` +
      `${await bed.nodeOfPage(publisher)}; media again after ${inWords(viewersMs)}, pictures after ${inWords(pagesMs)}`,
  );
  expect(Math.max(...viewersMs, ...pagesMs)).toBeLessThan(detectedMs + HEALED_MS);
});
