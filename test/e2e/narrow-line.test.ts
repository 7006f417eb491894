/** A viewer whose line becomes too narrow gets a layer that fits, plays on, and comes back; its neighbour notices nothing. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { UdpProxy } from '../support/udp-proxy.ts';
import { playsOn, sent } from './support/media-stats.ts';
import { longestGapMs, measureGaps, publish, routeThrough, watch } from './support/project-pages.ts';
import { freshRoom, until } from './support/until.ts';

/** Sound and the smallest layer have some 240 kbit/s, the next one has 500 more, the best 1700. */
const NARROW = { rateBps: 400_000, queueMs: 100 };
const FREE = { rateBps: Number.POSITIVE_INFINITY };
const SMALLEST = 180;
/** Encoders start one after the other. */
const RAMP_MS = 60_000;
const DOWN_MS = 60_000;
/** Each try upwards that failed doubles the time to the next. */
const UP_MS = 200_000;
const FRAMES = 90;
/** A try that fails, on a busy machine. */
const LONGEST_GAP_MS = 8_000;

let vestibule: Vestibule;
let chromium: Chromium;

beforeAll(async () => {
  [vestibule, chromium] = await Promise.all([startVestibule(), launchChromium()]);
});

afterAll(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

function height(page: Page): Promise<number> {
  return page.evaluate(() => document.querySelector('video')?.videoHeight ?? 0);
}

/** Counts the frames that a page shows from now on, by their height. */
function countFrames(page: Page): Promise<void> {
  return page.evaluate(() => {
    const video = document.querySelector('video');
    globalThis.framesByHeight = {};
    const onFrame = (_: number, { height }: VideoFrameCallbackMetadata): void => {
      globalThis.framesByHeight[height] = (globalThis.framesByHeight[height] ?? 0) + 1;
      video?.requestVideoFrameCallback(onFrame);
    };
    video?.requestVideoFrameCallback(onFrame);
  });
}

/** Of the frames that it has shown, how many were of the smallest layer: 0 to 1. */
async function shareOfSmallest(page: Page): Promise<number> {
  const frames = await page.evaluate(() => globalThis.framesByHeight);
  const total = Object.values(frames).reduce((sum, count) => sum + count, 0);
  return (frames[SMALLEST] ?? 0) / Math.max(1, total);
}

declare global {
  var framesByHeight: Record<number, number>;
}

test('the choice of layers follows the line of each viewer', async () => {
  const room = freshRoom();
  await using line = await UdpProxy.open(vestibule.node.addresses[0] ?? '', 21);
  const publisher = await publish(chromium.context, vestibule.url, room, {
    codec: 'VP8',
    quality: '720p30',
    simulcast: true,
  });
  const neighbour = await watch(chromium.context, vestibule.url, room);
  const viewer = await chromium.context.newPage();
  await routeThrough(viewer, line);
  await viewer.goto(`${vestibule.url}/web/player.html?room=${room}`);
  // A busy machine may not have the time to encode the largest one: so the best is what the neighbour has.
  const haveTheBest = async (): Promise<boolean> => {
    const [own, other] = await Promise.all([height(viewer), height(neighbour)]);
    return own === other && own > SMALLEST;
  };
  const layersFlow = async (): Promise<boolean> => {
    const { l = 0, m = 0 } = (await sent(publisher))?.framesByRid ?? {};
    return l > FRAMES && m > FRAMES;
  };
  await until('two layers', layersFlow, RAMP_MS);
  await until('both have the best layer', haveTheBest, RAMP_MS);

  await Promise.all([measureGaps(viewer), countFrames(neighbour)]);
  line.impair(NARROW);
  await until('the smallest layer', async () => (await height(viewer)) === SMALLEST, DOWN_MS);
  await playsOn(viewer, FRAMES, DOWN_MS);
  // Where a machine is too busy to encode more, it is the publisher who takes that from everybody for a while.
  expect(await shareOfSmallest(neighbour)).toBeLessThan(0.5);
  expect(await longestGapMs(viewer)).toBeLessThan(LONGEST_GAP_MS);
  expect(line.down.dropped).toBeGreaterThan(0);

  line.impair(FREE);
  await until('it has the best layer again', haveTheBest, UP_MS);
  await playsOn(viewer);
}, 500_000);
