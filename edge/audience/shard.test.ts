import { expect, test } from 'vitest';
import type { LobbyId } from '../../shared/ids.ts';
import { cellName, MAX_SHARDS, nextSpread, type Spread, Spreads } from './shard.ts';

const LOBBY = 'room:r' as LobbyId;
const T0 = 1_700_000_000_000;

test.each([
  [null, 'room:r|any'],
  [{ latitude: 48.9, longitude: 2.4 }, 'room:r|9,0'],
  [{ latitude: 46.1, longitude: 4.9 }, 'room:r|9,0'],
  [{ latitude: -0.1, longitude: -179.9 }, 'room:r|-1,-36'],
])('viewers at %j share the objects of %s', (near, name) => {
  expect(cellName(LOBBY, near)).toBe(name);
});

test('busy answers double the objects once a second, quiet halves them again, within bounds', () => {
  let spread: Spread = { shards: 1, changedAt: 0, busyAt: 0 };
  const after = (busy: boolean, ms: number) => {
    spread = nextSpread(spread, busy, T0 + ms);
    return spread.shards;
  };
  expect([after(true, 0), after(true, 500), after(true, 1_000), after(true, 2_000), after(true, 3_000)]).toEqual([
    2, 2, 4, 8, 16,
  ]);
  expect(after(true, 9_000)).toBe(MAX_SHARDS);
  expect([after(false, 10_000), after(false, 19_000), after(false, 29_000), after(false, 30_000)]).toEqual([
    16, 8, 4, 4,
  ]);
});

test('a busy cell is spread over all its objects, others are not', () => {
  const spreads = new Spreads();
  const cell = cellName(LOBBY, null);
  for (let second = 0; second < 9; second += 1) spreads.answered(cell, true, T0 + second * 1_000);
  const names = new Set(Array.from({ length: 160 }, (_, index) => spreads.pick(cell, index / 160)));
  expect(names.size).toBe(MAX_SHARDS);
  expect(spreads.pick('room:other|any', 0.99)).toBe('room:other|any|0');
});
