/** The lobby page and the audience page in Chromium: three people meet, mute, change, leave, and are watched. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { PROJECT_ROOT } from '../support/line-process.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { pageState } from './support/project-pages.ts';
import { until } from './support/until.ts';

const SCREENSHOTS = join(PROJECT_ROOT, 'test/e2e/screenshots');
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 800 };
const REGISTER_TOKEN = 'register-token-for-tests';
const ADMIN_TOKEN = 'admin-token-for-tests';
const SPACE = 'e2e';

let vestibule: Vestibule;
let chromium: Chromium;
let stream = '';

beforeAll(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  [vestibule, chromium] = await Promise.all([
    startVestibule({ env: { REGISTER_TOKEN, ADMIN_TOKEN } }),
    launchChromium(),
  ]);
  stream = crypto.randomUUID();
  const response = await fetch(`${vestibule.url}/space/${SPACE}/stream/${stream}`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${ADMIN_TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ title: 'Friday night', owner: 'ada', guests: ['ben', 'cleo'] }),
  });
  expect(response.status).toBe(201);
});

afterAll(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

function linkTo(page: 'lobby' | 'audience', token = ''): string {
  const fragment = token === '' ? '' : `#token=${token}`;
  return `${vestibule.url}/web/${page}.html?space=${SPACE}&stream=${stream}${fragment}`;
}

async function tokenOf(user: string): Promise<string> {
  const response = await fetch(`${vestibule.url}/authenticate`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user, token: REGISTER_TOKEN, client: 'test' }),
  });
  return ((await response.json()) as { jwt: string }).jwt;
}

/** A page with cookies of its own: the session's is one for the whole browser. */
async function newPerson(): Promise<Page> {
  const context = await chromium.browser.newContext({ permissions: ['camera', 'microphone'], viewport: DESKTOP });
  return context.newPage();
}

async function choose(page: Page, source: 'camera' | 'pattern'): Promise<void> {
  await page.locator('label', { has: page.getByTestId(`source-${source}`) }).click();
}

async function enter(page: Page): Promise<void> {
  await page.getByTestId('join').click();
  const state = await pageState(page, 'live', 'error');
  if (state === 'error') throw new Error(`not in the lobby: ${await page.getByTestId('error').textContent()}`);
}

interface Seen {
  /** As screen readers say it. */
  name: string;
  id: string;
  frames: number;
}

/** The tiles of the others whose pictures are drawn, with the frames that their videos have shown. */
function others(page: Page): Promise<Seen[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll('[data-testid="tile"][data-own="false"]')].map((tile) => {
      const video = tile.querySelector('video');
      const id = (video?.srcObject as MediaStream | null)?.id ?? '';
      return {
        name: tile.getAttribute('aria-label') ?? '',
        id,
        frames: video?.getVideoPlaybackQuality().totalVideoFrames ?? 0,
      };
    }),
  );
}

/** Waits until exactly these tiles are there, in any order, and each has drawn `frames` more than nothing. */
function sees(page: Page, names: string[], frames = 10): Promise<Seen[]> {
  return until(`tiles ${names.join('; ')}`, async () => {
    const seen = await others(page);
    const complete =
      seen
        .map(({ name }) => name)
        .toSorted()
        .join('; ') === names.toSorted().join('; ');
    return complete && seen.every((tile) => tile.frames >= frames) ? seen : null;
  });
}

/** Sound arrives in all audio tracks of the others. */
function hears(page: Page, tracks: number): Promise<true> {
  return until(`${tracks} sounding tracks`, async () => {
    const packets = await page.evaluate(async () => {
      const { lobby } = globalThis.vestibule as unknown as {
        lobby: { connections: { receive: RTCPeerConnection | null } };
      };
      const report = await lobby.connections.receive?.getStats();
      return [...(report?.values() ?? [])]
        .filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio')
        .map(({ packetsReceived }) => Number(packetsReceived));
    });
    return packets.filter((count) => count > 20).length >= tracks ? true : null;
  });
}

async function screenshots(page: Page, name: string): Promise<void> {
  for (const [width, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
    await page.setViewportSize(viewport);
    const image = await page.screenshot({ path: join(SCREENSHOTS, `${name}-${width}.png`) });
    expect(image.byteLength).toBeGreaterThan(5_000);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow, `${name} at ${width} scrolls sideways`).toBeLessThanOrEqual(0);
  }
}

test('three people meet, one mutes, one changes the camera, one closes the tab; an audience watches', async () => {
  const people = await Promise.all(
    ['ada', 'ben', 'cleo'].map(async (user) => {
      const page = await newPerson();
      await page.goto(linkTo('lobby', await tokenOf(user)));
      await choose(page, 'pattern');
      return page;
    }),
  );
  const [ada, ben, cleo] = people as [Page, Page, Page];
  await screenshots(ada, 'lobby-entry');
  expect(new URL(ada.url()).hash).toBe('');

  await Promise.all(people.map(enter));

  await Promise.all([
    sees(ada, ['ben', 'cleo']),
    sees(ben, ['ada, main', 'cleo']),
    sees(cleo, ['ada, main', 'ben']),
    ...people.map((page) => hears(page, 2)),
  ]);
  expect(await ada.getByTestId('live-panel').isVisible()).toBe(true);
  expect(await ben.getByTestId('live-panel').isVisible()).toBe(false);
  await screenshots(ada, 'lobby');

  await ben.getByTestId('mute-mic').click();
  await Promise.all([sees(ada, ['ben, muted', 'cleo']), sees(cleo, ['ada, main', 'ben, muted'])]);

  const before = (await others(ada)).find(({ name }) => name.startsWith('ben'));
  await choose(ben, 'camera');
  await until('another stream of ben', async () => {
    const now = (await others(ada)).find(({ name }) => name.startsWith('ben'));
    return now !== undefined && now.id !== before?.id ? true : null;
  });
  await Promise.all([
    sees(ada, ['ben, muted', 'cleo']),
    sees(ben, ['ada, main', 'cleo']),
    sees(cleo, ['ada, main', 'ben, muted']),
  ]);

  const audience = await newPerson();
  await audience.goto(linkTo('audience', await tokenOf('somebody')));
  await pageState(audience, 'playing');
  await screenshots(audience, 'audience');

  await cleo.close();
  await Promise.all([sees(ada, ['ben, muted']), sees(ben, ['ada, main'])]);

  await ada.getByTestId('leave').click();
  await Promise.all([sees(ben, []), pageState(ada, 'idle'), pageState(audience, 'waiting')]);
  expect(await ben.getByTestId('status').textContent()).toBe('Nobody else is here');
});

test('who is no member, or brings no good token, is told so', async () => {
  const page = await newPerson();
  await page.goto(linkTo('lobby', await tokenOf('mallory')));
  await page.getByTestId('join').click();
  await pageState(page, 'error');
  expect(await page.getByTestId('error').textContent()).toContain('only its owner and guests');

  await page.getByTestId('token').fill('nonsense');
  await page.getByTestId('join').click();
  await until('another reason', async () => (await page.getByTestId('error').textContent())?.includes('valid token'));
  await page.close();
});

test('signing in with the register token needs no other one', async () => {
  const page = await newPerson();
  await page.goto(linkTo('lobby'));
  await page.evaluate(() => sessionStorage.clear());
  await page.goto(linkTo('lobby'));
  await choose(page, 'pattern');
  await page.getByTestId('register').locator('summary').click();
  await page.getByTestId('register-user').fill('cleo');
  await page.getByTestId('register-token').fill(REGISTER_TOKEN);

  await enter(page);

  expect(await page.locator('[data-own="true"]').getAttribute('aria-label')).toBe('cleo (you)');
  await page.close();
});
