/** A publisher and its viewers through a real node over real UDP. */
import { expect, test } from 'vitest';
import { VIDEO } from '../support/client/pattern.ts';
import { until } from '../support/until.ts';
import { moreFrames, openBed, whole } from './bed.ts';

test('H264 and Opus reach a viewer whole, in order and beginning with a keyframe', async () => {
  const bed = await openBed();
  const publisher = await bed.publish();
  const viewer = await bed.play();

  await moreFrames(viewer, 45);
  await until(() => viewer.audio.packets > 50, 'a second of sound');

  expect(viewer.video.info.codec).toBe('H264');
  expect(viewer.video.firstIsKeyframe).toBe(true);
  for (const track of viewer.tracks) {
    expect(track).toMatchObject({ ...whole(), duplicates: 0, timestampRegressions: 0, foreign: 0 });
  }
  expect(viewer.session.transport.rejected).toBe(0);
  expect(publisher.session.transport.rejected).toBe(0);
  if (whole().missing === 0) expect(frameNumbers(viewer.video.frames)).toEqual(consecutive(viewer.video.frames));
});

test('three viewers have their own payload types and protection, and all get the same frames', async () => {
  const bed = await openBed();
  await bed.publish({ srtpProfiles: ['AES_CM_128_HMAC_SHA1_80'] });
  const viewers = await Promise.all([
    bed.play({ video: { H264: 96 }, audio: 111, srtpProfiles: ['AEAD_AES_128_GCM'] }),
    bed.play({ video: { H264: 120 }, audio: 100, srtpProfiles: ['AES_CM_128_HMAC_SHA1_80'] }),
    bed.play({ video: { VP8: 96, H264: 106 }, audio: 98, rtx: false }),
  ]);

  await Promise.all(viewers.map((viewer) => moreFrames(viewer, 30)));

  expect(viewers.map(({ video }) => video.info.payloadType)).toEqual([96, 120, 106]);
  expect(viewers.map(({ session }) => session.transport.srtpProfile)).toEqual([
    'AEAD_AES_128_GCM',
    'AES_CM_128_HMAC_SHA1_80',
    'AEAD_AES_128_GCM',
  ]);
  expect(new Set(viewers.map(({ video }) => video.info.ssrc)).size).toBe(3);
  for (const viewer of viewers) {
    expect(viewer).toMatchObject({ stray: 0, video: { ...whole(), foreign: 0 }, audio: { ...whole(), foreign: 0 } });
  }
});

test.each([
  ['FFmpeg 8.0', { quirk: 'ffmpeg8', setup: 'passive', candidates: false, rtx: false } as const],
  ['an active publisher with a VP8 picture', { setup: 'active', video: { ...VIDEO, codec: 'VP8' } } as const],
  ['a publisher without RTX', { rtx: false } as const],
])('%s is understood', async (_, wishes) => {
  const bed = await openBed();
  await bed.publish(wishes);
  const viewer = await bed.play();

  await moreFrames(viewer, 15);

  expect(viewer.video).toMatchObject({ ...whole(), duplicates: 0, firstIsKeyframe: true });
});

test('a viewer may be the passive side of DTLS', async () => {
  const bed = await openBed();
  await bed.publish();
  const viewer = await bed.play({ setup: 'passive' });

  await moreFrames(viewer, 10);

  expect(viewer.session.answer.setup).toBe('active');
});

test('viewers of sound alone and of the picture alone', async () => {
  const bed = await openBed();
  await bed.publish();
  const listener = await bed.play({ video: null });
  const watcher = await bed.play({ audio: null });

  await moreFrames(watcher, 15);
  await until(() => listener.audio.packets > 20, 'sound');

  expect(listener.tracks).toHaveLength(1);
  expect(watcher.tracks).toHaveLength(1);
  expect(listener.stray + watcher.stray).toBe(0);
});

test('a room of sound alone and a room of a picture alone', async () => {
  const bed = await openBed();
  await bed.publish({ room: 'radio', video: null });
  await bed.publish({ room: 'camera', audio: null });
  const listener = await bed.play({ room: 'radio', video: null });
  const watcher = await bed.play({ room: 'camera', audio: null });

  await moreFrames(watcher, 15);
  await until(() => listener.audio.packets > 20, 'sound');

  expect(listener.audio.missing + watcher.video.missing).toBe(0);
});

test('sequence numbers of the publisher may wrap', async () => {
  const bed = await openBed();
  await bed.publish({ firstSequence: 0xfff0 });
  const viewer = await bed.play();

  await moreFrames(viewer, 30);

  expect(viewer.video).toMatchObject({ ...whole(), duplicates: 0, timestampRegressions: 0 });
});

test('sender reports let a viewer play sound and picture in time', async () => {
  const bed = await openBed();
  await bed.publish();
  const viewer = await bed.play();

  await until(() => viewer.video.reports.length > 1 && viewer.audio.reports.length > 1, 'reports on both tracks');

  const captureMs = (kind: 'audio' | 'video', frame: { number: number; timestamp: number }): number => {
    const track = viewer[kind];
    const report = track.reports.at(-1);
    if (report === undefined) throw new Error('no report');
    const ntpMs = (report.ntpHigh + report.ntpLow / 2 ** 32) * 1_000;
    return ntpMs + (((frame.timestamp - report.timestamp) | 0) * 1_000) / track.info.clockRate;
  };
  /** How much later than the sound the picture is shown than it was made. */
  const apartMs = (): number => {
    const videoFrame = viewer.video.frames.at(-1);
    const audioFrame = viewer.audio.frames.at(-1);
    if (videoFrame === undefined || audioFrame === undefined) throw new Error('no frames');
    // Both tracks start with the publisher, so frame numbers tell capture times.
    const made = (videoFrame.number * 1_000) / 30 - (audioFrame.number * 1_000) / 50;
    return captureMs('video', videoFrame) - captureMs('audio', audioFrame) - made;
  };
  // What the first reports say is of arrival times, on a slow machine late ones; those of the publisher count from then on.
  await until(
    () => Math.abs(apartMs()) < 10,
    () => `sound and picture together, not ${apartMs()} ms apart`,
  );
});

function frameNumbers(frames: readonly { number: number }[]): number[] {
  return frames.map(({ number }) => number);
}

function consecutive(frames: readonly { number: number }[]): number[] {
  return frames.map((_, index) => (frames[0]?.number ?? 0) + index);
}
