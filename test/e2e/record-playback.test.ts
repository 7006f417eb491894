/** A recording plays in a real browser: it knows how long it is, and seeks. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { openStudio, ROOM } from '../records/support/studio.ts';
import { launchChromium } from '../support/chromium.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { lobbyOf } from '../support/node-under-test.ts';
import { until } from '../support/until.ts';
import { publishWithWrtc } from '../support/wrtc-peer.ts';

const CLIP_MS = 6_000;
const CONNECT_MS = 10_000;

/** The folder over HTTP, with ranges. */
async function serve(folder: string): Promise<string> {
  const server = createServer(async (request, response) => {
    if (request.url === '/') {
      response.setHeader('content-type', 'text/html').end('<video muted></video>');
      return;
    }
    const path = join(folder, request.url ?? '');
    const { size } = await stat(path);
    const [, from = '0', to = ''] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
    const end = to === '' ? size - 1 : Number(to);
    response.writeHead(206, {
      'content-type': path.endsWith('.webm') ? 'video/webm' : 'video/mp4',
      'content-range': `bytes ${from}-${end}/${size}`,
      'content-length': end - Number(from) + 1,
      'accept-ranges': 'bytes',
    });
    createReadStream(path, { start: Number(from), end }).pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each(['H264', 'VP8', 'AV1'] as const)(
  '%s plays in Chromium, with its length and seeking',
  { timeout: 60_000 },
  async (codec) => {
    const studio = await openStudio();
    studio.recordings.want(lobbyOf(ROOM), { format: 'mp4' });
    const { url } = studio.front;
    const publisher = codec === 'H264' ? await publishWithFfmpeg({ url }) : await publishWithWrtc({ url, codec });
    onTestFinished(() => publisher.kill());
    const [lobby] = studio.node.node.lobbies();
    await until(() => lobby?.publisher?.state === 'connected', 'a publisher', CONNECT_MS);
    studio.sync();
    await delay(CLIP_MS);
    studio.recordings.want(lobbyOf(ROOM), null);
    await until(() => studio.edge.all.every(({ state }) => state === 'ready'), 'an upload', CONNECT_MS);

    const [name = ''] = await studio.files();
    const origin = await serve(studio.folder);
    const chromium = await launchChromium();
    onTestFinished(() => chromium.close());
    const page = await chromium.context.newPage();
    await page.goto(origin);
    const seen = await page.evaluate(async (source) => {
      const video = document.querySelector('video') as HTMLVideoElement;
      const happened = (event: string): Promise<void> =>
        new Promise((resolve, reject) => {
          video.addEventListener(event, () => resolve(), { once: true });
          video.addEventListener('error', () => reject(new Error(video.error?.message)), { once: true });
        });
      const loaded = happened('loadeddata');
      video.src = source;
      await loaded;
      const sought = happened('seeked');
      video.currentTime = 5;
      await sought;
      const at = video.currentTime;
      await video.play();
      await happened('ended');
      const { totalVideoFrames } = video.getVideoPlaybackQuality();
      return { duration: video.duration, at, end: video.currentTime, totalVideoFrames, width: video.videoWidth };
    }, `/${name}`);
    expect(seen.duration).toBeGreaterThan(CLIP_MS / 1000 - 1);
    expect(seen.duration).toBeLessThan(CLIP_MS / 1000 + 1);
    expect(seen.at).toBeCloseTo(5, 1);
    expect(Math.abs(seen.end - seen.duration)).toBeLessThan(0.2);
    expect(seen).toMatchObject({ width: 640 });
    expect(seen.totalVideoFrames).toBeGreaterThan(10);
  },
);
