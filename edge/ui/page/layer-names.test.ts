import { expect, test } from 'vitest';
import { layerNames } from './layer-names.ts';

const layer = (rid: string, height: number | null) => ({
  rid,
  width: height === null ? null : (height * 16) / 9,
  height,
  bitrateBps: 1,
  active: true,
});

test.each([
  ['by height', [layer('h', 720), layer('l', 180)], ['720p', '180p']],
  ['of one height by rid as well', [layer('a', 720), layer('b', 720)], ['720p a', '720p b']],
  ['of unknown height by rid', [layer('h', 720), layer('l', null)], ['720p', 'l']],
])('layers are named %s', (_, layers, expected) => {
  expect([...layerNames(layers).values()]).toEqual(expected);
});
