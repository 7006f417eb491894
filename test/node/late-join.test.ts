/** A viewer that comes in the middle: it has to see a picture at once, and the same picture as everybody else. */
import { expect, test } from 'vitest';
import { VIDEO } from '../support/client/pattern.ts';
import type { Viewer } from '../support/client/viewer.ts';
import { until } from '../support/until.ts';
import { moreFrames, openBed } from './bed.ts';

const FRAME_MS = 1_000 / VIDEO.framesPerSecond;
/** So many after the first that came are no history any more. */
const FRAMES_OF_JOINING = 15;
/** From a publisher that ignores PLI and sends no second keyframe while a test lasts. */
const STUBBORN = { answersPli: false, video: { ...VIDEO, keyframeEveryMs: 600_000 } } as const;

/** How much later than the other one a viewer got its newest frames: the machine's own delays are the same for both. */
function laterMs(viewer: Viewer, other: Viewer, count: number): number[] {
  const arrivals = new Map(other.video.frames.map(({ number, arrivedMs }) => [number, arrivedMs]));
  return viewer.video.frames
    .slice(-count)
    .map(({ number, arrivedMs }) => arrivedMs - (arrivals.get(number) ?? arrivedMs));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

test('with a publisher that ignores PLI a viewer starts from the cached keyframe, and at the live edge', async () => {
  const bed = await openBed();
  const publisher = await bed.publish(STUBBORN);
  const first = await bed.play();
  await moreFrames(first, 45);

  const late = await bed.play();
  await until(() => late.video.keyframes > 0, 'a keyframe');
  await until(() => late.video.lastFrame?.number === first.video.lastFrame?.number, 'the live edge');
  await moreFrames(late, 30);

  expect(publisher.video.keyframes).toBe(1);
  expect(late.video).toMatchObject({ firstIsKeyframe: true, missing: 0, duplicates: 0, timestampRegressions: 0 });
  // It has the history, from the keyframe on.
  expect(late.video.frames[0]?.number).toBe(0);
  expect(median(laterMs(late, first, 15))).toBeLessThan(FRAME_MS);
  // Frames at the live edge have true timestamps: both viewers see the same distances.
  expect(timestampOf(late, -1) - timestampOf(late, -15)).toBe(timestampOf(first, -1) - timestampOf(first, -15));
});

test('the history is stamped so densely that no player plays it slowly', async () => {
  const bed = await openBed();
  await bed.publish(STUBBORN);
  const first = await bed.play();
  await moreFrames(first, 45);

  const late = await bed.play();
  await moreFrames(late, 75);

  const [oldest] = late.video.frames;
  const live = first.video.frames.findLast(({ arrivedMs }) => arrivedMs <= late.video.firstArrivalMs)?.number ?? 0;
  const edge = late.video.frames.find(({ number }) => number > live + FRAMES_OF_JOINING);
  if (oldest === undefined || edge === undefined) throw new Error('no frames');
  const spanMs = ((edge.timestamp - oldest.timestamp) >>> 0) / 90;
  const passedMs = edge.arrivedMs - oldest.arrivedMs;
  expect(edge.number - oldest.number).toBeGreaterThan(40);
  // Its age when it arrived was 1.5 s; its timestamps may span little more than the time that passed.
  expect(spanMs).toBeLessThan(passedMs + 750);
});

test('a publisher that answers PLI is asked once for many viewers that come together', async () => {
  const bed = await openBed({ keyframeCache: false });
  const publisher = await bed.publish({ video: { ...VIDEO, keyframeEveryMs: Number.POSITIVE_INFINITY } });
  await until(() => publisher.video.frames > 10, 'the publisher to stream');

  const viewers = await Promise.all(Array.from({ length: 5 }, () => bed.play()));
  await Promise.all(viewers.map((viewer) => until(() => viewer.video.keyframes > 0, 'a keyframe')));

  expect(publisher.plisReceived).toBeGreaterThanOrEqual(1);
  // On a slow machine some come after the keyframe that the first of them asked for: they have to ask, too.
  const begun = new Set(viewers.map(({ video }) => video.frames[0]?.number));
  expect(publisher.plisReceived).toBeLessThanOrEqual(2 * begun.size);
  for (const { video } of viewers) expect(video.firstIsKeyframe).toBe(true);
});

test('without the cache a stubborn publisher makes viewers wait, but never shows them garbage', async () => {
  const bed = await openBed({ keyframeCache: false });
  const video = { ...VIDEO, keyframeEveryMs: 1_000 };
  const publisher = await bed.publish({ answersPli: false, video });
  await until(() => publisher.video.frames > 10, 'the publisher to stream');

  const sent = publisher.video.frames;
  const viewer = await bed.play();
  await moreFrames(viewer, 10);

  expect(viewer.video).toMatchObject({ firstIsKeyframe: true, missing: 0 });
  expect(viewer.video.frames[0]?.number).toBeGreaterThanOrEqual(sent);
});

test('a viewer may come before the first packet', async () => {
  const bed = await openBed();
  const publisher = await bed.publish({ video: { ...VIDEO, keyframeEveryMs: Number.POSITIVE_INFINITY } });
  const viewer = await bed.play();

  await moreFrames(viewer, 10);

  expect(viewer.video.firstIsKeyframe).toBe(true);
  expect(publisher.video.keyframes).toBeLessThanOrEqual(2);
});

test('a viewer that nominates its pair late, as libwebrtc does, does not wait for it', async () => {
  const bed = await openBed();
  await bed.publish(STUBBORN);
  const viewer = await bed.play({ nominateAfterMs: 60_000 });

  await moreFrames(viewer, 10);

  expect(viewer.session.transport.ice?.nominated).toBe(false);
  expect(viewer.video).toMatchObject({ firstIsKeyframe: true, missing: 0 });
});

test('a PLI of a viewer reaches the publisher', async () => {
  const bed = await openBed();
  const publisher = await bed.publish({ video: { ...VIDEO, keyframeEveryMs: Number.POSITIVE_INFINITY } });
  const viewer = await bed.play();
  await moreFrames(viewer, 30);
  const keyframesBefore = viewer.video.keyframes;

  viewer.requestKeyframe();
  await until(() => viewer.video.keyframes > keyframesBefore, 'another keyframe');

  expect(publisher.plisReceived + publisher.firsReceived).toBeGreaterThan(0);
});

function timestampOf(viewer: Viewer, index: number): number {
  const frame = viewer.video.frames.at(index);
  if (frame === undefined) throw new Error('no frame');
  return frame.timestamp;
}
