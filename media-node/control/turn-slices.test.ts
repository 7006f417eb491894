import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { TurnSlices } from './turn-slices.ts';

function burn(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

it('does what fits into this turn at once', () => {
  const done: number[] = [];
  const slices = new TurnSlices<number>((item) => void done.push(item));
  slices.push(1);
  slices.push(2);
  expect(done).toEqual([1, 2]);
});

it('leaves the rest to later turns, in order, and what comes meanwhile behind it', async () => {
  const done: number[] = [];
  const slices = new TurnSlices<number>((item) => {
    done.push(item);
    burn(2);
  });
  for (let item = 0; item < 8; item++) slices.push(item);
  expect(done.length).toBeLessThan(8);
  await turn();
  slices.push(8);
  let turns = 0;
  for (; done.length < 9; turns++) await turn();
  expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(turns).toBeGreaterThan(1);
});

it('handles an item that pushes another', async () => {
  const done: number[] = [];
  const slices = new TurnSlices<number>((item) => {
    done.push(item);
    burn(2);
    if (item < 5) slices.push(item + 1);
  });
  slices.push(0);
  while (done.length < 6) await turn();
  expect(done).toEqual([0, 1, 2, 3, 4, 5]);
});

it('forgets what waits', async () => {
  const done: number[] = [];
  const slices = new TurnSlices<number>((item) => {
    done.push(item);
    burn(4);
  });
  for (let item = 0; item < 3; item++) slices.push(item);
  slices.clear();
  await turn();
  await turn();
  slices.push(9);
  expect(done).toEqual([0, 9]);
});
