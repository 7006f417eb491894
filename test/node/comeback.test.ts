/** A publisher that is lost and comes back: its viewers stay as they are. */
import { expect, test } from 'vitest';
import { VIDEO } from '../support/client/pattern.ts';
import type { Viewer } from '../support/client/viewer.ts';
import { until } from '../support/until.ts';
import { moreFrames, openBed } from './bed.ts';

/** Told from no pause at all, also by a machine that is late now and then. */
const PAUSE_MS = 2_000;

interface Mark {
  sequence: number;
  timestamp: number;
  arrivedMs: number;
}

function lastOf(viewer: Viewer): Mark {
  const frame = viewer.video.lastFrame;
  if (frame === undefined) throw new Error('no frame');
  return { sequence: viewer.video.highestSequence, timestamp: frame.timestamp, arrivedMs: frame.arrivedMs };
}

test('a publisher that returns with the same codecs takes over its viewers, who see one stream', async () => {
  const bed = await openBed();
  const lost = bed.node.publishing('main');
  const before = await bed.publish({ signalling: lost });
  const viewers = await Promise.all([bed.play(), bed.play({ srtpProfiles: ['AES_CM_128_HMAC_SHA1_80'] })]);
  await Promise.all(viewers.map((viewer) => moreFrames(viewer, 20)));
  await before.abandon();
  const goneMs = performance.now();
  await until(() => performance.now() - goneMs > PAUSE_MS, 'a pause');
  const marks = viewers.map(lastOf);

  const back = bed.node.publishing('main', lost.session);
  await bed.publish({ signalling: back });
  await Promise.all(viewers.map((viewer) => moreFrames(viewer, 30)));

  expect(back.resumed).toBe(true);
  viewers.forEach((viewer, index) => {
    const mark = marks[index] as Mark;
    expect(viewer.video).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0, foreign: 0 });
    expect(viewer.audio).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0, foreign: 0 });
    expect(viewer.stray).toBe(0);
    const next = viewer.video.frames.find(({ sequence }) => sequence > mark.sequence);
    if (next === undefined) throw new Error('no frame after the return');
    // The new publisher's count starts anew; to the viewer its stream goes on from where the old one ended.
    expect(next.number).toBeLessThan(20);
    const gapMs = ((next.timestamp - mark.timestamp) >>> 0) / 90;
    expect(Math.abs(gapMs - (next.arrivedMs - mark.arrivedMs))).toBeLessThan(PAUSE_MS / 2);
    expect(viewer.session.transport.endReason).toBeNull();
  });
});

test('a publisher may replace itself while it still streams', async () => {
  const bed = await openBed();
  const old = bed.node.publishing('main');
  const before = await bed.publish({ signalling: old });
  const viewer = await bed.play();
  await moreFrames(viewer, 10);

  const back = bed.node.publishing('main', old.session);
  await bed.publish({ signalling: back });
  await moreFrames(viewer, 30);

  expect(await before.session.transport.ended).toBe('closed');
  expect(viewer.video).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0 });
});

test('viewers of another codec are closed, so that they negotiate anew', async () => {
  const bed = await openBed();
  const lost = bed.node.publishing('main');
  const before = await bed.publish({ signalling: lost });
  const viewer = await bed.play();
  await moreFrames(viewer, 5);
  await before.abandon();

  const back = bed.node.publishing('main', lost.session);
  await bed.publish({ signalling: back, video: { ...VIDEO, codec: 'VP8' } });

  expect(back.resumed).toBe(false);
  expect(await viewer.session.transport.ended).toBe('closed');
  const again = await bed.play();
  await moreFrames(again, 10);
  expect(again.video.info.codec).toBe('VP8');
});

test('viewers that came in the grace see the publisher that returns', async () => {
  const bed = await openBed();
  const lost = bed.node.publishing('main');
  const before = await bed.publish({ signalling: lost });
  const viewer = await bed.play();
  await moreFrames(viewer, 5);
  await before.leave();
  await until(() => bed.node.lastReportOf(lost.session)?.state === 'closed', 'the loss to be reported');

  expect(bed.node.lastReportOf(lost.session)?.reason).toBe('peer-closed');
  const back = bed.node.publishing('main', lost.session);
  await bed.publish({ signalling: back });
  await moreFrames(viewer, 20);
  expect(viewer.video).toMatchObject({ missing: 0, timestampRegressions: 0 });
});
