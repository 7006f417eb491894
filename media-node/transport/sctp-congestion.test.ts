/** The window in chunks of 1000 bytes: what lets it grow, and what makes it smaller. */
import { expect, test } from 'vitest';
import { CongestionWindow } from './sctp-congestion.ts';

const CHUNK_BYTES = 1000;

function window(grownTo: number): CongestionWindow {
  const congestion = new CongestionWindow(CHUNK_BYTES, 1024 * 1024);
  while (congestion.bytes < grownTo * CHUNK_BYTES) congestion.grow(CHUNK_BYTES);
  return congestion;
}

test('it grows by one chunk at most with each SACK, by what was acknowledged if that is less', () => {
  const congestion = window(10);
  congestion.grow(5 * CHUNK_BYTES);
  congestion.grow(100);
  expect(congestion.bytes).toBe(11 * CHUNK_BYTES + 100);
});

test('losses halve it once, until everything that was on the way then is acknowledged', () => {
  const congestion = window(40);

  expect([congestion.shrink(100), congestion.bytes]).toEqual([true, 20 * CHUNK_BYTES]);
  congestion.advance(99);
  expect([congestion.shrink(120), congestion.bytes]).toEqual([false, 20 * CHUNK_BYTES]);
  congestion.grow(CHUNK_BYTES);
  expect(congestion.bytes).toBe(20 * CHUNK_BYTES);

  congestion.advance(100);
  expect([congestion.shrink(140), congestion.bytes]).toEqual([true, 10 * CHUNK_BYTES]);
});

test('losses leave room for four chunks', () => {
  const congestion = window(10);
  for (let tsn = 1; tsn < 10; tsn++) {
    congestion.shrink(tsn);
    congestion.advance(tsn);
  }
  expect(congestion.bytes).toBe(4 * CHUNK_BYTES);
});

test('a timeout leaves one chunk; half of what there was comes back soon, the rest by a chunk for each window', () => {
  const congestion = window(20);
  congestion.shrink(50);
  congestion.collapse();
  expect(congestion.bytes).toBe(CHUNK_BYTES);

  for (let sack = 0; sack < 5; sack++) congestion.grow(CHUNK_BYTES);
  expect(congestion.bytes).toBe(6 * CHUNK_BYTES);
  for (let sack = 0; sack < 5; sack++) congestion.grow(CHUNK_BYTES);
  expect(congestion.bytes).toBe(6 * CHUNK_BYTES);
  congestion.grow(CHUNK_BYTES);
  expect(congestion.bytes).toBe(7 * CHUNK_BYTES);
});
