import { expect, it } from 'vitest';
import { opusDurationMs } from './opus.ts';
import { pictureFormat } from './picture-format.ts';
import { Timeline } from './timeline.ts';

it('a report that comes late moves the picture by what was wrong, and never the sound', () => {
  const sound = { clockRate: 48_000, offsetMs: 1_000 };
  const picture = { clockRate: 90_000, offsetMs: 1_040 };
  const timeline = new Timeline(sound, 1_000);
  expect(timeline.timeMs(sound, 48_000)).toBe(1_000);
  expect(timeline.timeMs(picture, 90_000)).toBe(1_040);
  // What the two are apart in truth is 10 ms; the network's delay changes both.
  sound.offsetMs = 1_200;
  picture.offsetMs = 1_210;
  timeline.correct(picture);
  timeline.correct(sound);
  expect(timeline.timeMs(sound, 96_000)).toBe(2_000);
  expect(timeline.timeMs(picture, 180_000)).toBe(2_010);
  // Noise of the reports changes nothing.
  picture.offsetMs = 1_213;
  timeline.correct(picture);
  expect(timeline.timeMs(picture, 180_000)).toBe(2_010);
});

it.each([
  ['20 ms, CELT', 'f8fffe', 20],
  ['60 ms, SILK', '18', 60],
  ['10 ms, hybrid', '60', 10],
  ['2.5 ms', 'e0', 2.5],
  ['two of 20 ms', 'f9', 40],
  ['three of 20 ms', 'fb03', 60],
  ['nothing', '', 20],
] as const)('an Opus packet of %s', (_what, hex, ms) => {
  expect(opusDurationMs(Buffer.from(hex, 'hex'))).toBe(ms);
});

it.each([
  [
    'H264',
    ['6742c01fd900a0047fe58400000300040000030' + '0f03c60c920'],
    { codec: 'avc1.42c01f', width: 640, height: 72 },
  ],
  ['VP8', ['50e5009d012a80026801'], { codec: 'vp8', width: 640, height: 360 }],
  ['VP9', ['824983420027f0167000'], { codec: 'vp09.00.20.08', width: 640, height: 360 }],
] as const)('%s says how large it is', (codec, units, expected) => {
  const picture = { key: true, units: units.map((hex) => Buffer.from(hex, 'hex')) };
  const found = pictureFormat(codec, picture);
  expect(found?.codec.split('.')[0]).toBe(expected.codec.split('.')[0]);
  if (codec !== 'H264') expect(found).toMatchObject({ width: expected.width, height: expected.height });
});
