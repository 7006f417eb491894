import { expect, it } from 'vitest';
import { FloodWatch } from './flood-watch.ts';

it('gives up on a flood of ten seconds, but not on one that pauses, nor on a few', () => {
  const flood = new FloodWatch();
  expect(Array.from({ length: 10 }, (_, i) => flood.look((i + 1) * 10_000)).indexOf(true)).toBe(9);

  const pausing = new FloodWatch();
  let total = 0;
  for (let i = 0; i < 50; i++) {
    total += i % 9 === 8 ? 0 : 10_000;
    expect(pausing.look(total)).toBe(false);
  }

  const clumsy = new FloodWatch();
  for (let i = 0; i < 50; i++) expect(clumsy.look(i * 100)).toBe(false);
});
