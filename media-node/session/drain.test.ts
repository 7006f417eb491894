import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Drain } from './drain.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function bed(busy = true) {
  const said: string[] = [];
  const world = { busy };
  const drain = new Drain({
    now: () => Date.now(),
    busy: () => world.busy,
    onBegin: () => said.push('begin'),
    onDone: () => said.push('done'),
  });
  return { drain, said, world };
}

test('it is done when nobody is left', () => {
  const { drain, said, world } = bed();
  drain.begin(30_000);
  vi.advanceTimersByTime(5_000);
  expect(said).toEqual(['begin']);

  world.busy = false;
  vi.advanceTimersByTime(60_000);

  expect(said).toEqual(['begin', 'done']);
});

test.each([
  ['the time is over', [2_000], 2_000],
  ['a shorter time is given later', [20_000, 1_000], 1_000],
  ['a longer time is given later', [1_000, 20_000], 1_000],
  ['at once', [0], 0],
])('it is done although somebody is left: %s', (_, timeouts, doneMs) => {
  const { drain, said } = bed();
  for (const timeoutMs of timeouts) drain.begin(timeoutMs);

  expect(said).toEqual(['begin']);
  if (doneMs > 200) {
    vi.advanceTimersByTime(doneMs - 200);
    expect(said).toEqual(['begin']);
  }
  vi.advanceTimersByTime(400);
  expect(said).toEqual(['begin', 'done']);
});

test('only then nothing new is taken', () => {
  const { drain } = bed();

  expect(() => drain.refuseNew()).not.toThrow();
  drain.begin(1_000);

  expect(() => drain.refuseNew()).toThrow(expect.objectContaining({ status: 503, code: 'node_draining' }));
});
