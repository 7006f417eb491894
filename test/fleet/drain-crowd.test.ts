/**
 * A node is drained under fifty viewers who use our client, each with a picture of its own. The picture is tiny, so that what
 * is measured is the moves, and not how much two cores can decode.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshRoom, until } from '../e2e/support/until.ts';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { openCrowdPage, reportOf } from './crowd.ts';
import type { CrowdReport } from './crowd-page.ts';
import { contextAt, FleetBed } from './fleet-bed.ts';
import { quantile } from './measure.ts';
import { NEW_YORK, PARIS, SYDNEY } from './places.ts';

const VIEWERS = 50;
const JOINING_AT_ONCE = 10;
/** Nobody waits for its end. */
const DRAIN_MS = 120_000;
const DEADLINE_MS = 60_000;
const FRAMES = 45;
/** What is promised. */
const LONGEST_STALL_MS = 500;

let bed: FleetBed;
let chromium: Chromium;
let viewers: Page;

beforeAll(async () => {
  [bed, chromium] = await Promise.all([
    FleetBed.open({ nodes: { 'new-york': NEW_YORK, paris: PARIS, sydney: SYDNEY } }),
    launchChromium(),
  ]);
  const room = freshRoom();
  const publisher = await openCrowdPage(await contextAt(chromium, NEW_YORK), bed.url);
  await publisher.evaluate((url) => globalThis.crowd.publish(url), `${bed.url}/api/whip/publish/${room}`);
  viewers = await openCrowdPage(await contextAt(chromium, PARIS), bed.url);
  for (let joined = 0; joined < VIEWERS; joined += JOINING_AT_ONCE) {
    const wish = { url: `${bed.url}/api/whep/play/${room}`, count: JOINING_AT_ONCE };
    await viewers.evaluate(({ url, count }) => globalThis.crowd.join(url, count), wish);
    await framesOn(5);
  }
});
afterAll(async () => {
  await chromium?.close();
  await bed?.close();
});

/** All of them show so many more frames. */
async function framesOn(count = FRAMES): Promise<void> {
  const before = (await reportOf(viewers)).frames;
  await until(
    `${count} more frames everywhere`,
    async () => (await reportOf(viewers)).frames.every((frames, index) => frames >= (before[index] ?? 0) + count),
    DEADLINE_MS,
  );
}

async function watched(what: string, happening: () => Promise<unknown>): Promise<CrowdReport> {
  await viewers.evaluate(() => globalThis.crowd.watch());
  await happening();
  const report = await reportOf(viewers);
  const { gapsMs, pageStallMs } = report;
  const [median, p90, longest] = [0.5, 0.9, 1].map((share) => quantile(gapsMs, share).toFixed(0));
  console.info(
    `${what}: longest stop of ${gapsMs.length} pictures: median ${median} ms, 90 % ${p90} ms, all ${longest} ms; ` +
      `of the page itself ${pageStallMs.toFixed(0)} ms`,
  );
  return report;
}

test('a node is drained under fifty viewers: all go elsewhere, no picture stands still, exit code 0', async () => {
  const on = async (): Promise<string[]> => (await reportOf(viewers)).addresses.map((address) => bed.nodeAt(address));
  expect(await on()).toEqual(Array(VIEWERS).fill('paris'));
  await watched('before', () => framesOn());
  const paris = bed.node('paris');

  const { gapsMs, pageStallMs } = await watched('drained', async () => {
    const askedMs = performance.now();
    expect((await bed.drain('paris', DRAIN_MS)).status).toBe(202);
    await until(
      'all have left',
      async () => (await on()).every((node) => node !== 'paris' && node !== ''),
      DEADLINE_MS,
    );
    const movedMs = performance.now() - askedMs;
    await paris.process.whenEnded();
    const leftMs = performance.now() - askedMs;
    console.info(`all had moved after ${movedMs.toFixed(0)} ms, the node had left after ${leftMs.toFixed(0)} ms`);
    await framesOn();
  });

  expect(paris.process.outcome).toBe('exit code 0');
  // All pictures are in one page: when that has no time, they all stop, and nothing has stopped on the way.
  expect(Math.max(...gapsMs)).toBeLessThan(LONGEST_STALL_MS + pageStallMs);
  // Nobody is counted twice, nobody was left behind.
  await until(
    'the counts add up',
    async () => (await bed.adminNodes()).reduce((sum, { totals }) => sum + totals.subscribers, 0) === VIEWERS,
    DEADLINE_MS,
  );
});
