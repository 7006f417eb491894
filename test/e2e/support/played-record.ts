/** A recording as Chromium plays it: sought in, looked at, and played to its end. */
import type { BrowserContext } from 'playwright-core';

const STEP_DEADLINE_MS = 20_000;
/** The end that is played through. */
const LAST_S = 2;
/** Above it a picture is white, 0 to 255. */
export const WHITE_ABOVE = 180;
/** A tenth of a second each. */
const TRIES = 50;

/** A moment that is sought, and what is to be seen there. */
export interface Look {
  atS: number;
  isWhite: boolean;
}

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
 * @param looks are taken in this order
 * @throws Error with the player's message
 */
export async function playRecord(context: BrowserContext, url: string, looks: readonly Look[]): Promise<PlayedRecord> {
  const page = await context.newPage();
  try {
    // Of the same origin, so that the page may look at the pictures.
    await page.goto(new URL('/healthz', url).href);
    return await page.evaluate(playInPage, {
      url,
      looks,
      lastS: LAST_S,
      whiteAbove: WHITE_ABOVE,
      tries: TRIES,
      deadlineMs: STEP_DEADLINE_MS,
    });
  } finally {
    await page.close();
  }
}

async function playInPage(given: {
  url: string;
  looks: readonly Look[];
  lastS: number;
  whiteAbove: number;
  tries: number;
  deadlineMs: number;
}): Promise<PlayedRecord> {
  const video = document.createElement('video');
  video.muted = true;
  const happened = (event: string): Promise<void> =>
    new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`no ${event} at ${video.currentTime} s`)), given.deadlineMs);
      video.addEventListener(event, () => resolve(), { once: true });
      video.addEventListener(
        'error',
        () => reject(new Error(`${video.error?.message} instead of ${event} at ${video.currentTime} s`)),
        { once: true },
      );
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
  const brightnessNow = (): number => {
    pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((sum, value, index) => sum + (index % 4 === 1 ? value : 0), 0) / (data.length / 4);
  };
  for (const { atS, isWhite } of given.looks) {
    const sought = happened('seeked');
    video.currentTime = atS;
    await sought;
    standsS.push(video.currentTime);
    // `seeked` comes before the picture is there, on a busy machine long before.
    let bright = brightnessNow();
    for (let tries = 0; bright > given.whiteAbove !== isWhite && tries < given.tries; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      bright = brightnessNow();
    }
    brightness.push(bright);
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
