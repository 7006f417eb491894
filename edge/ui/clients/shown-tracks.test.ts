import { describe, expect, it } from 'vitest';
import { hasShown, isSameTrack, takesPlace } from './shown-tracks.ts';

const track = (name: string | null, muted = false) => ({ name, track: { muted } });
const shown = [track('a'), track('b')];

it.each([
  ['all of them flow', [track('b'), track('a'), track('c')], true, true],
  ['one brings nothing yet', [track('a'), track('b', true)], false, true],
  ['one is missing', [track('a')], false, false],
  ['all are missing', [], false, false],
  // Another version of the media node: moved to it, the member sees the others as new ones, and is not thrown out at the end.
  ['the new node gives no names', [track(null), track(null)], false, true],
])('%s: taken at once, or after a while', (_, own, atOnce, later) => {
  expect([hasShown(own, shown, true), hasShown(own, shown, false)]).toEqual([atOnce, later]);
});

it('waits for nothing that the old node gave no name, and for nobody who is not there', () => {
  expect([hasShown([], [track(null)], true), hasShown([], [track(null)], false)]).toEqual([false, true]);
  expect(hasShown([], [], true)).toBe(true);
  expect(hasShown([track('a', true)], [track('a', true)], true)).toBe(true);
});

it('what has no name is the same as nothing', () => {
  expect([isSameTrack(track('a'), track('a')), isSameTrack(track(null), track(null))]).toEqual([true, false]);
});

describe('a track that', () => {
  const hears = { deafMs: 0, leftMs: 10_000 };

  it.each([
    ['flows is taken at once', [track('a'), track('b')], [true, true]],
    ['brings nothing is waited for a while', [track('a'), track('b', true)], [false, true]],
    ['is not there yet is waited for', [track('a')], [false, false]],
  ])('%s', (_, own, expected) => {
    const at = (standsMs: number) => takesPlace(own, shown, { ...hears, standsMs });
    expect([at(3_999), at(4_000)]).toEqual(expected);
  });

  it.each([
    ['is gone with the node that had it', { standsMs: 5_000, deafMs: 4_000, leftMs: 8_000 }, true],
    ['may be there again in a moment', { standsMs: 5_000, deafMs: 3_999, leftMs: 8_000 }, false],
    ['cannot have come yet', { standsMs: 3_999, deafMs: 5_000, leftMs: 8_000 }, false],
    ['never came throws nobody out', { standsMs: 9_000, deafMs: 0, leftMs: 1_000 }, true],
  ])('%s', (_, waiting, expected) => {
    expect(takesPlace([track('a')], shown, waiting)).toBe(expected);
  });
});
