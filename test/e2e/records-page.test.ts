/** The recordings page: signed in to, listed, played, sought in, deleted; and live, until a disk is full. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import ffmpeg from '@ffmpeg-installer/ffmpeg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { CatalogueClient } from '../records/catalogue-client.ts';
import { ADMIN, ADMIN_TOKEN, NODE_TOKEN, START_MS } from '../records/support/system.ts';
import { cached } from '../support/cache.ts';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { type Publisher, publish } from '../support/client/publisher.ts';
import { play } from '../support/client/viewer.ts';
import { PROJECT_ROOT } from '../support/line-process.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { until } from '../support/until.ts';

const SCREENSHOTS = join(PROJECT_ROOT, 'test/e2e/screenshots');
const CLIP_SECONDS = 10;
/** The node of the full disk may have to build its engine first. */
const NODE_START_MS = 60_000;
/** What a page shows comes with a poll of its own. */
const SHOWN_MS = 40_000;
const POLL_MS = 200;

let vestibule: Vestibule;
let chromium: Chromium;

beforeAll(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  [vestibule, chromium] = await Promise.all([
    startVestibule({ part: 'edge', env: { NODE_TOKEN, ADMIN_TOKEN } }),
    launchChromium(),
  ]);
}, START_MS);
afterAll(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

/** H.264 and Opus in fragments, as our nodes write it. */
function clip(): Promise<string> {
  return cached(`recorded-${CLIP_SECONDS}s.mp4`, async (draft) => {
    const sources = ['-f', 'lavfi', '-i', 'testsrc2=s=640x360:r=30', '-f', 'lavfi', '-i', 'sine=r=48000'];
    const codecs = ['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-g', '30', '-c:a', 'libopus', '-strict', '-2'];
    const form = ['-movflags', 'frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4', draft];
    await promisify(execFile)(ffmpeg.path, [...sources, '-t', String(CLIP_SECONDS), ...codecs, ...form]);
  });
}

async function recorded(room: string, bytes: Buffer): Promise<CatalogueClient> {
  const client = new CatalogueClient(vestibule.url, NODE_TOKEN, room);
  await client.begin();
  const receipts = await client.upload(bytes);
  const response = await client.complete(receipts, bytes.length);
  if (!response.ok) throw new Error(`not complete: ${response.status}`);
  return client;
}

async function told(room: string, update: Record<string, unknown>): Promise<CatalogueClient> {
  const client = new CatalogueClient(vestibule.url, NODE_TOKEN, room);
  await client.begin();
  await client.say('PATCH', `/${client.id}`, update);
  return client;
}

test('an operator signs in, watches a recording, seeks in it and deletes it', { timeout: 120_000 }, async () => {
  const bytes = await readFile(await clip());
  const first = await recorded('show', bytes);
  const uploading = { state: 'uploading', bytes: 300_000_000, durationMs: 754_000, uploadedBytes: 123_000_000 };
  await told('stage', uploading);
  await told('stage', { state: 'recording', bytes: 5_200_000, durationMs: 21_000 });
  await told('kitchen', { state: 'failed', bytes: 900_000, durationMs: 4_000, error: 'no space left on device' });
  const page = await chromium.context.newPage();
  await page.goto(`${vestibule.url}/web/records.html`);

  await page.getByTestId('token').fill('not this one');
  await page.getByTestId('enter').click();
  await page.getByTestId('error').waitFor();
  await page.getByTestId('token').fill(ADMIN_TOKEN);
  await page.getByTestId('enter').click();
  const row = page.getByTestId(`record-${first.name}`);
  await row.waitFor();
  expect(await page.getByTestId('records').locator('li').count()).toBe(4);
  expect(await page.getByTestId('status').textContent()).toBe('4 recordings, 2 in the making');

  await page.getByTestId(`play-${first.name}`).click();
  await page.waitForFunction(() => {
    const video = document.querySelector('video');
    return video !== null && video.currentTime > 0.3 && video.videoWidth === 640;
  });
  await page.screenshot({ path: join(SCREENSHOTS, 'records-desktop.png') });
  await page.evaluate(() => {
    const video = document.querySelector('video');
    if (video !== null) video.currentTime = 7;
  });
  await page.waitForFunction(() => {
    const video = document.querySelector('video');
    return video !== null && !video.seeking && video.currentTime > 7.2;
  });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: join(SCREENSHOTS, 'records-phone.png') });

  page.once('dialog', (dialog) => dialog.accept());
  await page.getByTestId(`delete-${first.name}`).click();
  await row.waitFor({ state: 'detached' });
  const gone = await fetch(`${vestibule.url}/records/${first.name}`, { headers: ADMIN });
  expect(gone.status).toBe(404);
  await page.close();
});

test('a live recording grows on the page; when the disk is full it has failed, and says why', {
  timeout: 240_000,
}, async () => {
  const room = 'full-disk';
  const edge = { EDGE_URL: vestibule.url, NODE_TOKEN, NODE_ID: 'small', MEDIA_PORT: '0', MEDIA_ADDRESSES: '127.0.0.1' };
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-full-'));
  // A node whose files cannot be larger than 768 KiB (1.5 MiB where `ulimit` counts in kibibytes).
  const start = (limit: string) =>
    spawn('/bin/sh', ['-c', `${limit} exec "$0" media-node/main.ts`, process.execPath], {
      cwd: PROJECT_ROOT,
      env: { ...process.env, ...edge, RECORD_DIR: folder },
      stdio: 'ignore',
    });
  let node = start('ulimit -f 1536;');
  const kill = async (): Promise<void> => {
    if (node.exitCode !== null || node.signalCode !== null) return;
    const gone = once(node, 'exit');
    node.kill('SIGKILL');
    await gone;
  };
  onTestFinished(async () => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  });
  const put = { method: 'PUT', headers: ADMIN };
  expect((await fetch(`${vestibule.url}/api/admin/rooms/${room}/recording`, put)).status).toBe(200);
  const publisher = await publishedBy(room);
  onTestFinished(() => publisher.close());
  const viewer = await play({ url: `${vestibule.url}/api/whep/play/${room}` });
  onTestFinished(() => viewer.close());

  const page = await chromium.context.newPage();
  await page.goto(`${vestibule.url}/web/records.html`);
  const token = page.getByTestId('token');
  await Promise.race([token.waitFor(), page.getByTestId('list').waitFor()]);
  if (await token.isVisible()) {
    await token.fill(ADMIN_TOKEN);
    await page.getByTestId('enter').click();
  }
  const row = page.locator('[data-testid^="record-full-disk_"]');
  await row.waitFor();
  const texts = new Set<string>();
  const grows = async (): Promise<number> => texts.add((await row.textContent()) ?? '').size;
  await expect.poll(grows, { timeout: SHOWN_MS, interval: 500 }).toBeGreaterThan(2);
  await page.screenshot({ path: join(SCREENSHOTS, 'records-live.png') });
  await expect.poll(() => row.textContent(), { timeout: SHOWN_MS }).toContain('cannot be written');
  await page.screenshot({ path: join(SCREENSHOTS, 'records-full-disk.png') });

  const rooms = (await (await fetch(`${vestibule.url}/api/rooms`, { headers: ADMIN })).json()) as Record<
    string,
    unknown
  >[];
  const failure = { state: 'failed', error: expect.stringMatching(/EFBIG|ENOSPC/) };
  expect(rooms.find(({ name }) => name === room)?.recording).toEqual(failure);
  // Media goes on.
  const before = viewer.video.packets;
  await until(() => viewer.video.packets > before + 100, 'more packets');

  // There is room again, and the node is started anew: what it had written is saved.
  await kill();
  node = start('');
  await expect.poll(() => row.getAttribute('data-state'), { timeout: SHOWN_MS }).toBe('ready');
  await page.close();
});

/** The node may still be on its way to the edge. */
async function publishedBy(room: string): Promise<Publisher> {
  const endMs = performance.now() + NODE_START_MS;
  for (;;) {
    try {
      return await publish({ url: `${vestibule.url}/api/whip/publish/${room}` });
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await delay(POLL_MS);
    }
  }
}
