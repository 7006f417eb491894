import { expect, test } from 'vitest';
import { RoundTrip } from './sctp-round-trip.ts';

test('an answer that was held up on its way for ten seconds makes nobody wait for as long, and is soon forgotten', () => {
  const roundTrip = new RoundTrip();
  for (let answer = 0; answer < 20; answer++) roundTrip.measure(40);

  roundTrip.measure(10_000);
  expect(roundTrip.patienceMs).toBeLessThanOrEqual(4_000);
  expect(roundTrip.timeoutMs(5)).toBeLessThanOrEqual(4_000);

  for (let answer = 0; answer < 20; answer++) roundTrip.measure(40);
  expect(roundTrip.timeoutMs(0)).toBeLessThan(500);
});

test('before the first answer it waits longer after each timeout, and never shorter again', () => {
  const roundTrip = new RoundTrip();
  const waits = Array.from({ length: 5 }, () => {
    roundTrip.timedOut();
    return roundTrip.timeoutMs(0);
  });
  expect(waits).toEqual([1_000, 2_000, 4_000, 4_000, 4_000]);

  for (let answer = 0; answer < 20; answer++) roundTrip.measure(40);
  expect(roundTrip.timeoutMs(0)).toBe(300);
});
