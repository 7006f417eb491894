import { expect, it } from 'vitest';
import { hasShown, isSameTrack } from './shown-tracks.ts';

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
