/** When the picture on a page stood still, and when it moved again. */
import type { Page } from 'playwright-core';

/** A picture of 30 frames a second is late, but does not stand still, up to here. */
const STALL_MS = 250;

interface Watched {
  startMs: number;
  lastMs: number;
  longestMs: number;
  /** End of the longest time that it stood still; `startMs` when it never did. */
  movedAgainMs: number;
}

declare global {
  var watchedPicture: Watched | undefined;
}

/** From now on, also when the page changes over to another stream. Again: begins anew. */
export function watchPicture(page: Page): Promise<void> {
  return page.evaluate((stallMs) => {
    const video = document.querySelector('video');
    if (video === null) throw new Error('the page has no video');
    const now = performance.now();
    const watched = { startMs: now, lastMs: now, longestMs: 0, movedAgainMs: now };
    globalThis.watchedPicture = watched;
    const onFrame = (shownMs: number): void => {
      if (globalThis.watchedPicture !== watched) return;
      const gapMs = shownMs - watched.lastMs;
      if (gapMs > Math.max(stallMs, watched.longestMs)) watched.movedAgainMs = shownMs;
      watched.longestMs = Math.max(watched.longestMs, gapMs);
      watched.lastMs = shownMs;
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
  }, STALL_MS);
}

/** `longestMs` between two frames; `againMs` from `watchPicture` until it moved after that: a busy machine has short ones at any time. */
export function pictureStalls(page: Page): Promise<{ longestMs: number; againMs: number }> {
  return page.evaluate(() => {
    const watched = globalThis.watchedPicture;
    if (watched === undefined) throw new Error('the picture is not watched');
    const { startMs, longestMs, movedAgainMs } = watched;
    return { longestMs, againMs: movedAgainMs - startMs };
  });
}
