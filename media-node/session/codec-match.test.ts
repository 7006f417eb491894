import { expect, test } from 'vitest';
import type { Codec, SourceTrackInfo } from '../negotiate/plan.ts';
import { canReplace, sameCodec } from './codec-match.ts';

const H264: Codec = {
  name: 'H264',
  kind: 'video',
  clockRate: 90_000,
  channels: 1,
  fmtp: 'profile-level-id=42e01f;packetization-mode=1',
};
const VP8: Codec = { name: 'VP8', kind: 'video', clockRate: 90_000, channels: 1, fmtp: '' };
const OPUS: Codec = { name: 'opus', kind: 'audio', clockRate: 48_000, channels: 2, fmtp: 'minptime=10' };

const track = (codec: Codec): SourceTrackInfo => ({ mid: codec.name, kind: codec.kind, codec });

test.each<[string, Codec, boolean]>([
  ['the same', H264, true],
  ['parameters in another order and case', { ...H264, fmtp: 'packetization-mode=1; PROFILE-LEVEL-ID=42E01F' }, true],
  ['another profile', { ...H264, fmtp: 'profile-level-id=640c1f;packetization-mode=1' }, false],
  ['another codec', VP8, false],
])('a decoder of H264 and %s', (_, other, expected) => {
  expect(sameCodec(H264, other)).toBe(expected);
});

test('parameters of audio are wishes', () => {
  expect(sameCodec(OPUS, { ...OPUS, fmtp: 'useinbandfec=1' })).toBe(true);
  expect(sameCodec(OPUS, { ...OPUS, channels: 1 })).toBe(false);
});

test.each<[string, Codec[], Codec[], boolean]>([
  ['both again', [OPUS, H264], [OPUS, H264], true],
  ['order does not matter', [OPUS, H264], [H264, OPUS], true],
  ['more than before', [OPUS], [OPUS, H264], true],
  ['less than before', [OPUS, H264], [OPUS], false],
  ['another video codec', [OPUS, H264], [OPUS, VP8], false],
])('%s', (_, before, after, expected) => {
  expect(canReplace(before.map(track), after.map(track))).toBe(expected);
});
