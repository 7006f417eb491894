/** A recording as Chromium plays it: sought in, looked at, and played to its end. */
import type { BrowserContext } from 'playwright-core';

const STEP_DEADLINE_MS = 20_000;
/** The end that is played through. */
const LAST_S = 2;

export interface PlayedRecord {
  durationS: number;
  /** Where it stood after it had been sent to each time. */
  standsS: number[];
  /** Of the picture there, 0 to 255. */
  brightness: number[];
  endS: number;
  /** Of those that were played, how many were not shown. */
  pictures: number;
  dropped: number;
  /** Of sound that were decoded. */
  soundBytes: number;
}

/**
 * Plays it in a page by its link.
 * @param seekToS times, seconds, that are sought in this order
 * @throws Error with the player's message
 */
export async function playRecord(
  context: BrowserContext,
  url: string,
  seekToS: readonly number[],
): Promise<PlayedRecord> {
  const page = await context.newPage();
  try {
    // Of the same origin, so that the page may look at the pictures.
    await page.goto(new URL('/healthz', url).href);
    return await page.evaluate(playInPage, { url, seekToS, lastS: LAST_S, deadlineMs: STEP_DEADLINE_MS });
  } finally {
    await page.close();
  }
}

async function playInPage(given: {
  url: string;
  seekToS: readonly number[];
  lastS: number;
  deadlineMs: number;
}): Promise<PlayedRecord> {
  const video = document.createElement('video');
  video.muted = true;
  const happened = (event: string): Promise<void> =>
    new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`no ${event} at ${video.currentTime} s`)), given.deadlineMs);
      video.addEventListener(event, () => resolve(), { once: true });
      video.addEventListener('error', () => reject(new Error(video.error?.message)), { once: true });
    });
  const loaded = happened('loadeddata');
  video.src = given.url;
  document.body.append(video);
  await loaded;

  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [16, 16];
  const pen = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D;
  const standsS: number[] = [];
  const brightness: number[] = [];
  for (const time of given.seekToS) {
    const sought = happened('seeked');
    video.currentTime = time;
    await sought;
    standsS.push(video.currentTime);
    pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    brightness.push(data.reduce((sum, value, index) => sum + (index % 4 === 1 ? value : 0), 0) / (data.length / 4));
  }

  const sought = happened('seeked');
  video.currentTime = Math.max(0, video.duration - given.lastS);
  await sought;
  const ended = happened('ended');
  await video.play();
  await ended;
  const { totalVideoFrames: pictures, droppedVideoFrames: dropped } = video.getVideoPlaybackQuality();
  const { webkitAudioDecodedByteCount: soundBytes = 0 } = video as { webkitAudioDecodedByteCount?: number };
  return { durationS: video.duration, standsS, brightness, endS: video.currentTime, pictures, dropped, soundBytes };
}
