/** Simulcast publishers: until viewers choose, each gets the best layer that flows. */
import { expect, test } from 'vitest';
import { VIDEO } from '../support/client/pattern.ts';
import type { Viewer } from '../support/client/viewer.ts';
import { until } from '../support/until.ts';
import { moreFrames, openBed } from './bed.ts';

const RIDS = ['low', 'mid', 'high'];
const WINDOW_FRAMES = 15;

/** Packets per frame over the last frames: layers differ by it. */
function packetsPerFrame(viewer: Viewer): number {
  const frames = viewer.video.frames.slice(-WINDOW_FRAMES);
  const [first] = frames;
  const last = frames.at(-1);
  if (first === undefined || last === undefined) throw new Error('no frames');
  return (last.sequence - first.sequence) / (last.number - first.number);
}

test('a viewer gets the best of three layers, and the next best when that one stops', async () => {
  const bed = await openBed();
  const publisher = await bed.publish({ rids: RIDS, video: { ...VIDEO, keyframeEveryMs: 1_000 } });
  const viewer = await bed.play();

  // 3, 6 and 12 packets a frame.
  await until(() => viewer.video.frameCount > WINDOW_FRAMES && packetsPerFrame(viewer) > 9, 'the best layer');
  publisher.layer('high').active = false;
  await until(() => packetsPerFrame(viewer) < 9, 'the layer below');
  await moreFrames(viewer, WINDOW_FRAMES);
  const middle = packetsPerFrame(viewer);
  publisher.layer('high').active = true;
  await until(() => packetsPerFrame(viewer) > 9, 'the best layer again', 10_000);

  expect(publisher.session.answer.tracks.find(({ kind }) => kind === 'video')?.rids).toEqual(RIDS);
  expect(middle).toBeGreaterThan(4);
  expect(viewer.video).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0, foreign: 0 });
  expect(viewer.stray).toBe(0);
}, 20_000);
