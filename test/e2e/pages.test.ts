/** The project's pages in a real Chromium: publish, watch, list, stop, come back. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { PROJECT_ROOT } from '../support/line-process.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { playsOn, received, sent } from './support/media-stats.ts';
import { pageState, publish, startPublishing, stripes, watch } from './support/project-pages.ts';
import { freshRoom, until } from './support/until.ts';

const SCREENSHOTS = join(PROJECT_ROOT, 'test/e2e/screenshots');
const PHONE = { width: 390, height: 844 };
const SECRET_ROOM = 'e2e-secret';
const SECRET = 'a-token-for-tests';
/** The colours of the test pattern, left to right (edge/ui/page/test-pattern.ts). */
const BARS: readonly (readonly [number, number, number])[] = [
  [0xe9, 0xec, 0xef],
  [0xe8, 0xc5, 0x47],
  [0x3f, 0xb8, 0xc6],
  [0x3f, 0xae, 0x6b],
  [0xb0, 0x5c, 0xcf],
  [0xd9, 0x53, 0x4f],
  [0x3d, 0x62, 0xd8],
];
/** Encoders change colours a little, a wrong range or matrix more; the moving sweep covers two bars at most. */
const COLOUR_TOLERANCE = 12;
const SWEPT_BARS = 2;
/** Of 1280 pixels, at a quarter. */
const SMALLEST_WIDTH = 320;

let vestibule: Vestibule;
let chromium: Chromium;

beforeAll(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  [vestibule, chromium] = await Promise.all([
    startVestibule({ env: { ROOM_TOKENS: `${SECRET_ROOM}:${SECRET}` } }),
    launchChromium(),
  ]);
});

afterEach(async () => {
  await Promise.all(chromium.context.pages().map((page) => page.close()));
});

afterAll(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

test.each(['H264', 'VP8', 'VP9', 'AV1'] as const)('%s is published and watched, with sound', async (codec) => {
  const room = freshRoom();
  await publish(chromium.context, vestibule.url, room, { codec });

  const player = await watch(chromium.context, vestibule.url, room);
  await pageState(player, 'playing');
  const stats = await playsOn(player, 30);

  expect(stats).toMatchObject({ videoCodec: `video/${codec}`, audioCodec: 'audio/opus' });
  await player.getByTestId('unmute').click();
  await until('the tone is heard', async () => ((await received(player))?.audioEnergy ?? 0) > 0);
  const seen = await stripes(player, BARS.length);
  const wrong = BARS.filter((bar, at) =>
    bar.some((value, channel) => Math.abs(value - (seen[at]?.[channel] ?? -1000)) > COLOUR_TOLERANCE),
  );
  expect(wrong.length, JSON.stringify(seen)).toBeLessThanOrEqual(SWEPT_BARS);
});

test('three viewers watch at once, and all are told when the publisher stops', async () => {
  const room = freshRoom();
  const publisher = await publish(chromium.context, vestibule.url, room, { codec: 'VP8' });
  const players = await Promise.all([1, 2, 3].map(() => watch(chromium.context, vestibule.url, room)));

  await Promise.all(players.map((player) => playsOn(player)));

  await publisher.getByTestId('stop').click();
  await Promise.all(players.map((player) => pageState(player, 'waiting')));
  const refused = await fetch(`${vestibule.url}/api/whep/play/${room}`, { method: 'POST' });
  expect(refused.status).toBe(404);
  await startPublishing(publisher, { codec: 'VP8' });
  await Promise.all(players.map((player) => playsOn(player)));
});

test('the front page lists a live room with its audience', async () => {
  const room = freshRoom();
  await publish(chromium.context, vestibule.url, room);
  await playsOn(await watch(chromium.context, vestibule.url, room));

  const index = await chromium.context.newPage();
  await index.goto(vestibule.url);
  const row = index.getByTestId(`room-${room}`);
  await row.waitFor();

  expect(new URL(index.url()).pathname).toBe('/web/index.html');
  await until('one viewer is listed', async () => ((await row.textContent()) ?? '').includes('1 watching'));
});

test('viewers of a publisher whose browser crashes are resumed by its next one, without a request of theirs', async () => {
  const room = freshRoom();
  await using doomed = await launchChromium();
  await publish(doomed.context, vestibule.url, room, { codec: 'H264' });
  const player = await watch(chromium.context, vestibule.url, room);
  const posts: string[] = [];
  player.on('request', (request) => {
    if (request.method() === 'POST') posts.push(request.url());
  });
  const before = await playsOn(player);
  posts.length = 0;

  await crash(doomed.browser);
  const successor = await chromium.context.newPage();
  await successor.goto(`${vestibule.url}/web/publisher.html?room=${room}`);
  // Until the node has noticed, the room is taken.
  await until('the room takes the successor', () =>
    startPublishing(successor, { codec: 'H264' }).then(
      () => true,
      () => false,
    ),
  );
  const after = await playsOn(player);

  expect(after.framesDecoded).toBeGreaterThan(before.framesDecoded);
  expect(posts).toEqual([]);
});

/** Kills the browser's processes: nobody says farewell, neither over HTTP nor in DTLS. */
async function crash(browser: Browser): Promise<void> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  for (const { id } of processInfo) process.kill(id, 'SIGKILL');
}

test('simulcast: a viewer gets the best layer', async () => {
  const room = freshRoom();
  const publisher = await publish(chromium.context, vestibule.url, room, {
    codec: 'VP8',
    quality: '720p30',
    simulcast: true,
  });
  const player = await watch(chromium.context, vestibule.url, room);

  // A busy machine may not have the time to encode the largest one: so the best is what is sent.
  await until('the widest layer', async () => {
    const [best, width] = [await widestSent(publisher), (await received(player))?.width];
    return best > SMALLEST_WIDTH && width === best;
  });
  await playsOn(player);
  const layers = (await sent(publisher))?.framesByRid ?? {};
  expect(Object.keys(layers).toSorted()).toEqual(['h', 'l', 'm']);
});

/** Of the encodings that the page sends at the moment; 0 without any. */
function widestSent(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const report = await globalThis.vestibule.client.connection?.getStats();
    const flowing = [...(report?.values() ?? [])].filter(
      ({ type, kind, framesPerSecond }) => type === 'outbound-rtp' && kind === 'video' && framesPerSecond > 0,
    );
    return Math.max(0, ...flowing.map(({ frameWidth }) => Number(frameWidth)));
  });
}

test('a room with a token asks for it on both pages', async () => {
  const publisher = await chromium.context.newPage();
  await publisher.goto(`${vestibule.url}/web/publisher.html?room=${SECRET_ROOM}`);
  const player = await watch(chromium.context, vestibule.url, SECRET_ROOM);
  await pageState(player, 'error');
  await player.screenshot({ path: join(SCREENSHOTS, 'player-token.png') });

  await startPublishing(publisher, { token: SECRET });
  await player.getByTestId('token').fill(SECRET);
  await player.getByTestId('token').press('Enter');

  await playsOn(player);
});

describe('screenshots', () => {
  test('at desktop and phone width show the picture', async () => {
    const room = freshRoom();
    const publisher = await publish(chromium.context, vestibule.url, room, { codec: 'VP8' });
    const player = await watch(chromium.context, vestibule.url, room);
    await playsOn(player);
    const index = await chromium.context.newPage();
    await index.goto(vestibule.url);
    await index.getByTestId(`room-${room}`).waitFor();
    const pages = { publisher, player, index };

    for (const [width, viewport] of Object.entries({ desktop: { width: 1280, height: 800 }, phone: PHONE })) {
      for (const [name, page] of Object.entries(pages)) {
        await page.setViewportSize(viewport);
        await page.bringToFront();
        const image = await page.screenshot({ path: join(SCREENSHOTS, `${name}-${width}.png`) });
        expect(image.byteLength).toBeGreaterThan(5_000);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(overflow, `${name} at ${width} scrolls sideways`).toBeLessThanOrEqual(0);
      }
    }
  });
});
