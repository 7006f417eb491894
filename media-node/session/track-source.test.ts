import { expect, test } from 'vitest';
import type { CodecName, SourceTrackInfo } from '../negotiate/plan.ts';
import { successorOf } from './track-source.ts';

function track(mid: string, name: CodecName): SourceTrackInfo {
  const kind = name === 'opus' ? 'audio' : 'video';
  return { mid, kind, codec: { name, kind, clockRate: kind === 'audio' ? 48_000 : 90_000, channels: 1, fmtp: '' } };
}

const BEFORE = [track('0', 'opus'), track('1', 'VP8'), track('2', 'VP8')];

test.each([
  ['the same mids', BEFORE, ['0', '1', '2']],
  ['other mids in the same order', [track('a', 'opus'), track('b', 'VP8'), track('c', 'VP8')], ['a', 'b', 'c']],
  ['a mid that changed its kind', [track('1', 'opus'), track('0', 'VP8'), track('2', 'VP8')], ['1', '0', '2']],
  ['another codec', [track('0', 'opus'), track('1', 'H264'), track('2', 'VP8')], ['0', null, '2']],
  ['fewer tracks', [track('0', 'opus'), track('1', 'VP8')], ['0', '1', null]],
])('what takes the place of a track: %s', (_, after, expected) => {
  const found = BEFORE.map((each) => successorOf(each, BEFORE, after)?.mid ?? null);

  expect(found).toEqual(expected);
});
