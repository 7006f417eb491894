import { expect, test } from 'vitest';
import type { TrackInfo } from './protocol/control.ts';
import { DEFAULT_TRACK_INFO, readTrackInfo, writeTrackInfo } from './track-info.ts';

test.each<[string, TrackInfo]>([
  ['1 2 Guest', { purpose: 'guest', muted: false, label: 'Guest' }],
  ['2 1 Main', { purpose: 'main', muted: true, label: 'Main' }],
  ['1 1 Käse-🎥', { purpose: 'guest', muted: true, label: 'Käse-🎥' }],
])('%s, there and back', (text, info) => {
  expect(readTrackInfo(text)).toEqual(info);
  expect(writeTrackInfo(info)).toBe(text);
});

test.each([null, '', '2', '1 2', '1 2 ', '3 2 Cam', '1 0 Cam', '1 2 two words', `1 2 ${'x'.repeat(65)}`, '1  2 Cam'])(
  'malformed: %j',
  (text) => {
    expect(readTrackInfo(text)).toEqual(DEFAULT_TRACK_INFO);
    const main: TrackInfo = { purpose: 'main', muted: false, label: 'Main' };
    expect(readTrackInfo(text, main)).toBe(main);
  },
);
