/** The owner goes live from the lobby page, and sees how it goes. */
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { freeTcpPort } from '../support/free-port.ts';
import { PROJECT_ROOT } from '../support/line-process.ts';
import { LobbyServer } from '../support/lobby/lobby-server.ts';
import { AAC, AVC, RtmpSink } from '../support/rtmp-sink.ts';
import { pageState } from './support/project-pages.ts';

const FFMPEG_PATH = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const SCREENSHOTS = join(PROJECT_ROOT, 'test/e2e/screenshots');
const ON_AIR_MS = 40_000;
const SHOWN_MS = 20_000;

let server: LobbyServer;
let sink: RtmpSink;
let chromium: Chromium;

beforeAll(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  [server, sink, chromium] = await Promise.all([
    LobbyServer.start({ env: { FFMPEG_PATH } }),
    RtmpSink.open(),
    launchChromium(),
  ]);
});

afterAll(async () => {
  await Promise.all([chromium?.close(), server?.stop(), sink?.close()]);
});

test('on the air from a browser, off again, and what is wrong with a server that is not there', async () => {
  const stream = await server.stream();
  const page = await chromium.context.newPage();
  const token = await server.login('u1');
  await page.goto(`${server.vestibule.url}/web/lobby.html?space=${stream.space}&stream=${stream.id}#token=${token}`);
  await page.locator('label', { has: page.getByTestId('source-pattern') }).click();
  await page.getByTestId('join').click();
  expect(await pageState(page, 'live', 'error')).toBe('live');
  const status = page.getByTestId('live-status');
  const goLive = async (url: string, key: string): Promise<void> => {
    await page.getByTestId('rtmp-url').fill(url);
    await page.getByTestId('stream-key').fill(key);
    await page.getByTestId('go-live').click();
  };

  await goLive(sink.url, 'from-a-browser');
  const media = await sink.event('media', 'from-a-browser', ON_AIR_MS);
  expect(media).toMatchObject({ videoCodec: AVC, audioCodec: AAC, audioSamplerate: 48_000 });
  await expect.poll(() => status.textContent(), { timeout: SHOWN_MS }).toBe('Online');
  await page.screenshot({ path: join(SCREENSHOTS, 'lobby-on-air.png') });
  await page.getByTestId('stop-live').click();
  await expect.poll(() => status.textContent(), { timeout: SHOWN_MS }).toBe('Offline');
  await sink.event('gone', 'from-a-browser', ON_AIR_MS);

  await goLive(`rtmp://127.0.0.1:${await freeTcpPort()}/live`, 'a-secret-key');
  await expect.poll(() => status.textContent(), { timeout: SHOWN_MS }).toBe('Trying again');
  const error = (await page.getByTestId('live-error').textContent()) ?? '';
  expect(error).toMatch(/\w/);
  expect(error).not.toContain('a-secret-key');
  await page.screenshot({ path: join(SCREENSHOTS, 'lobby-live-error.png') });
}, 180_000);
