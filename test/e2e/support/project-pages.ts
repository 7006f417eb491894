/** Drives the project's own pages as a person does. */
import type { BrowserContext, Page } from 'playwright-core';
import type { UdpProxy } from '../../support/udp-proxy.ts';
import { until } from './until.ts';

export interface PublishChoice {
  codec?: 'H264' | 'VP8' | 'VP9' | 'AV1';
  quality?: '720p30' | '480p30' | '360p30';
  simulcast?: boolean;
  token?: string;
}

/** Opens the publisher page and goes live with the test pattern. */
export async function publish(
  context: BrowserContext,
  url: string,
  room: string,
  choice: PublishChoice = {},
): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${url}/web/publisher.html?room=${room}`);
  await startPublishing(page, choice);
  return page;
}

/** Throws with the page's words when it is refused. */
export async function startPublishing(page: Page, choice: PublishChoice = {}): Promise<void> {
  await page.locator('label', { has: page.getByTestId('source-pattern') }).click();
  await page.getByTestId('quality-select').selectOption(choice.quality ?? '360p30');
  if (choice.codec !== undefined) await page.getByTestId('codec-select').selectOption(choice.codec);
  if (choice.simulcast === true) await page.getByTestId('simulcast').check();
  if (choice.token !== undefined) await page.getByTestId('token').fill(choice.token);
  await page.getByTestId('start').click();
  const state = await pageState(page, 'live', 'error');
  if (state === 'error') throw new Error(`not live: ${await page.getByTestId('error').textContent()}`);
}

/** Opens the player page; it starts by itself. */
export async function watch(context: BrowserContext, url: string, room: string): Promise<Page> {
  const page = await context.newPage();
  await page.addInitScript(() => {
    addEventListener('DOMContentLoaded', () => {
      document.querySelector('video')?.requestVideoFrameCallback((now) => {
        globalThis.firstFrameAt = now;
      });
    });
  });
  await page.goto(`${url}/web/player.html?room=${room}`);
  return page;
}

/** Waits until the page says that it is in one of these states. */
export async function pageState(page: Page, ...states: string[]): Promise<string> {
  let seen = '';
  try {
    return await until(`state ${states.join(' or ')}`, async () => {
      seen = (await page.locator('html').getAttribute('data-state')) ?? '';
      return states.includes(seen) ? seen : null;
    });
  } catch (error) {
    const text = await page.locator('body').textContent();
    throw new Error(`${error instanceof Error ? error.message : error}; it is in "${seen}":\n${text}`);
  }
}

/** Mean colours of `columns` vertical stripes in the upper part of the video, as the page shows it. */
export function stripes(page: Page, columns: number): Promise<[number, number, number][]> {
  return page.evaluate((count) => {
    const video = document.querySelector('video');
    if (video === null) throw new Error('the page has no video');
    const canvas = new OffscreenCanvas(count, 1);
    const context = canvas.getContext('2d');
    if (context === null) throw new Error('no canvas');
    const { videoWidth, videoHeight } = video;
    // The middle third of each stripe: away from its neighbours.
    for (let at = 0; at < count; at += 1) {
      const width = videoWidth / count;
      context.drawImage(video, (at + 1 / 3) * width, videoHeight * 0.1, width / 3, videoHeight * 0.4, at, 0, 1, 1);
    }
    const { data } = context.getImageData(0, 0, count, 1);
    return Array.from({ length: count }, (_, at) => [...data.slice(at * 4, at * 4 + 3)] as [number, number, number]);
  }, columns);
}

/** From now on the page's sessions go through the proxy: it stands in the answers instead of the node. */
export async function routeThrough(page: Page, proxy: UdpProxy): Promise<void> {
  await page.route(/\/api\/(whip\/publish|whep\/play)\//, async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    const response = await route.fetch();
    const body = await response.text();
    return route.fulfill({ response, body: response.status() === 201 ? proxy.rewrite(body) : body });
  });
}

/** Starts to measure the longest time between two frames that the page shows. */
export function measureGaps(page: Page): Promise<void> {
  return page.evaluate(() => {
    const video = document.querySelector('video');
    let last = performance.now();
    globalThis.shownGapMs = 0;
    const onFrame = (now: number): void => {
      globalThis.shownGapMs = Math.max(globalThis.shownGapMs, now - last);
      last = now;
      video?.requestVideoFrameCallback(onFrame);
    };
    video?.requestVideoFrameCallback(onFrame);
  });
}

export function longestGapMs(page: Page): Promise<number> {
  return page.evaluate(() => globalThis.shownGapMs);
}

declare global {
  var shownGapMs: number;
  var firstFrameAt: number | undefined;
}

/** From the page's request for a session to the first frame on its screen, in ms of the page's clock. */
export async function firstFrameMs(page: Page): Promise<number> {
  await page.waitForFunction(() => globalThis.firstFrameAt !== undefined);
  return page.evaluate(() => {
    const posted = performance.getEntriesByType('resource').find(({ name }) => name.includes('/whep/play/'))?.startTime;
    const shown = globalThis.firstFrameAt;
    if (posted === undefined || shown === undefined) throw new Error('nothing was measured');
    return shown - posted;
  });
}
