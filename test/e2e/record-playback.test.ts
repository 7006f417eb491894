/** Real publishers through edge, node and store: what lands there is whole, in sync, as long as it was, and plays. */
import { setTimeout as delay } from 'node:timers/promises';
import type { BrowserContext } from 'playwright-core';
import { expect, onTestFinished, test } from 'vitest';
import { readRecorded, soundDelaysMs } from '../records/support/recorded.ts';
import { ADMIN, type RecordedSystem, startRecordedSystem } from '../records/support/system.ts';
import { launchChromium } from '../support/chromium.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { publishMarked } from './support/marked-page.ts';

/** `RECORD_SECONDS=60` for the long run. */
const CLIP_S = Number(process.env.RECORD_SECONDS ?? 10);
const SEEK_TO_S = 5;
/** Pictures and packets of sound. */
const FFMPEG_PACKETS_PER_SECOND = 80;

const PUBLISHERS = [
  { codec: 'H264', extension: 'mp4', framesPerSecond: 29 },
  { codec: 'VP8', extension: 'webm', framesPerSecond: 15 },
  { codec: 'AV1', extension: 'mp4', framesPerSecond: 15 },
] as const;

/** Publishes for the time of a clip; resolves with how long media flowed, seconds. */
async function clip(system: RecordedSystem, context: BrowserContext, codec: 'H264' | 'VP8' | 'AV1'): Promise<number> {
  const url = system.publishUrl(codec);
  if (codec !== 'H264') {
    const publisher = await publishMarked(context, url, codec);
    await delay(CLIP_S * 1000);
    return publisher.stop();
  }
  const publisher = await publishWithFfmpeg({ url, marks: true });
  await delay(CLIP_S * 1000);
  return (await publisher.stop()) / FFMPEG_PACKETS_PER_SECOND;
}

/** Plays it in a page by its link: from near the start, and from where it was sought to, to the end. */
async function playback(context: BrowserContext, url: string) {
  const page = await context.newPage();
  await page.goto(new URL('/healthz', url).href);
  try {
    return await page.evaluate(
      async ([source, seekTo]) => {
        const video = document.createElement('video');
        video.muted = true;
        const happened = (event: string): Promise<void> =>
          new Promise((resolve, reject) => {
            video.addEventListener(event, () => resolve(), { once: true });
            video.addEventListener('error', () => reject(new Error(video.error?.message)), { once: true });
          });
        const loaded = happened('loadeddata');
        video.src = source;
        document.body.append(video);
        await loaded;
        const { duration } = video;
        const sought = happened('seeked');
        video.currentTime = seekTo;
        await sought;
        const at = video.currentTime;
        await video.play();
        video.currentTime = Math.max(seekTo, duration - 2);
        await happened('ended');
        const { totalVideoFrames } = video.getVideoPlaybackQuality();
        return { duration, at, end: video.currentTime, totalVideoFrames, width: video.videoWidth };
      },
      [url, SEEK_TO_S] as const,
    );
  } finally {
    await page.close();
  }
}

test('FFmpeg with H264, Chromium with VP8 and with AV1, all at once', {
  timeout: CLIP_S * 1_000 + 110_000,
}, async () => {
  const chromium = await launchChromium();
  onTestFinished(() => chromium.close());
  const system = await startRecordedSystem();
  onTestFinished(() => system.close());
  const publishedS = await Promise.all(PUBLISHERS.map(({ codec }) => clip(system, chromium.context, codec)));

  for (const [at, { codec, extension, framesPerSecond }] of PUBLISHERS.entries()) {
    const [record] = await system.settled(codec);
    expect(record).toMatchObject({ state: 'ready', error: null, codecs: expect.arrayContaining([codec, 'opus']) });
    if (record === undefined) throw new Error('no record');
    expect(record.name).toMatch(new RegExp(`^${codec}_[a-z2-7]{26}_\\d{10}\\.${extension}$`));
    const facts = await readRecorded(await system.download(record));
    const delays = soundDelaysMs(facts).toSorted((a, b) => a - b);
    const offsetMs = delays[Math.floor(delays.length / 2)] ?? Number.NaN;
    const [audio, video] = ['audio', 'video'].map((kind) => facts.tracks.find((track) => track.kind === kind));
    const played = await playback(chromium.context, new URL(record.url ?? '', system.url).href);
    console.log(
      `${codec}: published ${publishedS[at]?.toFixed(2)} s, recorded ${facts.durationS.toFixed(2)} s, ` +
        `${video?.decoded} of ${video?.packets} pictures and ${audio?.decoded} of ${audio?.packets} packets of sound decode, ` +
        `sound after picture: median ${offsetMs.toFixed(1)} ms of ${delays.length} (${delays[0]?.toFixed(1)} to ${delays.at(-1)?.toFixed(1)})`,
      played,
    );
    expect(Math.abs(facts.durationS - (publishedS[at] ?? 0))).toBeLessThan(0.2);
    expect(Math.abs(record.durationMs / 1000 - facts.durationS)).toBeLessThan(0.1);
    for (const { packets, decoded } of facts.tracks) expect(decoded).toBe(packets);
    expect(video?.decoded).toBeGreaterThan(framesPerSecond * CLIP_S * 0.9);
    expect(delays.length).toBeGreaterThan(CLIP_S * 0.6);
    expect(Math.abs(offsetMs)).toBeLessThan(40);
    expect(Math.abs(played.duration - facts.durationS)).toBeLessThan(0.1);
    expect(played.at).toBeCloseTo(SEEK_TO_S, 1);
    expect(Math.abs(played.end - played.duration)).toBeLessThan(0.2);
  }
  const foreign = await fetch(`${system.url}/api/records`);
  expect(foreign.status).toBe(401);
  expect((await fetch(`${system.url}/api/records?room=nobody`, { headers: ADMIN })).status).toBe(200);
});
