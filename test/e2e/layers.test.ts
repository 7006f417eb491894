/** Chromium sends simulcast, and each of its viewers gets the size that it chose: through both engines. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { PROJECT_ROOT } from '../support/line-process.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { playsOn } from './support/media-stats.ts';
import { publish, watch } from './support/project-pages.ts';
import { freshRoom, until } from './support/until.ts';

const SCREENSHOTS = join(PROJECT_ROOT, 'test/e2e/screenshots');
/** Encoders start one after the other. */
const RAMP_MS = 40_000;
const SWITCH_MS = 20_000;

let chromium: Chromium;

beforeAll(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  chromium = await launchChromium();
});

afterEach(async () => {
  await Promise.all(chromium.context.pages().map((page) => page.close()));
});

afterAll(async () => {
  await chromium?.close();
});

function videoHeight(page: Page): Promise<number> {
  return page.evaluate(() => document.querySelector('video')?.videoHeight ?? 0);
}

async function shows(page: Page, height: number, deadlineMs: number): Promise<void> {
  let seen = 0;
  await until(
    `a picture of ${height} lines`,
    async () => {
      seen = await videoHeight(page);
      return seen === height ? true : null;
    },
    deadlineMs,
  ).catch((error: unknown) => {
    throw new Error(`${error instanceof Error ? error.message : error}: it has ${seen}`);
  });
}

describe.each(['portable', 'native'])('%s', (engine) => {
  let vestibule: Vestibule;

  beforeAll(async () => {
    vestibule = await startVestibule({ env: { FANOUT_ENGINE: engine } });
  });

  afterAll(async () => {
    await vestibule?.stop();
  });

  test('two viewers choose different layers and see different sizes; automatic brings the best back', async () => {
    const room = freshRoom();
    await publish(chromium.context, vestibule.url, room, { codec: 'VP8', quality: '720p30', simulcast: true });
    const [low, middle] = await Promise.all([1, 2].map(() => watch(chromium.context, vestibule.url, room)));
    if (low === undefined || middle === undefined) throw new Error('no players');
    const menu = (page: Page) => page.getByTestId('quality');
    const labels = (page: Page): Promise<string[]> => menu(page).locator('option').allTextContents();
    await Promise.all(
      [low, middle].map((page) =>
        until(
          'both smaller sizes are in the menu',
          async () => (await labels(page)).filter((label) => /^(360|180)p$/.test(label)).length === 2,
          RAMP_MS,
        ),
      ),
    );

    await menu(low).selectOption({ label: '180p' });
    await menu(middle).selectOption({ label: '360p' });
    await Promise.all([shows(low, 180, SWITCH_MS), shows(middle, 360, SWITCH_MS)]);
    await playsOn(low);
    await playsOn(middle);
    await middle.getByTestId('unmute').click();
    await middle.mouse.move(200, 200);
    await middle.screenshot({ path: join(SCREENSHOTS, `player-quality-${engine}.png`) });
    expect((await labels(middle)).length).toBe(4);

    // The choice outlives its session, and the menu says so.
    const chosen = await menu(low).inputValue();
    const resource = (): Promise<string | null> => low.evaluate(() => globalThis.vestibule.client.resourceUrl);
    const first = await resource();
    await low.evaluate(async (url) => void (await fetch(url ?? '', { method: 'DELETE' })), first);
    await until('another session', async () => ![null, first].includes(await resource()), RAMP_MS);
    await shows(low, 180, RAMP_MS);
    await until('the choice in the menu', async () => (await menu(low).inputValue()) === chosen, SWITCH_MS);

    await menu(low).selectOption({ value: '' });
    // A busy machine may not have the time to encode the largest one.
    await until('a larger picture', async () => (await videoHeight(low)) > 180, SWITCH_MS);
    expect(await videoHeight(middle)).toBe(360);
  });

  test('without simulcast there is no menu', async () => {
    const room = freshRoom();
    await publish(chromium.context, vestibule.url, room, { codec: 'VP8' });
    const player = await watch(chromium.context, vestibule.url, room);
    await playsOn(player, 30);

    expect(await player.getByTestId('quality').isVisible()).toBe(false);
  });
});
