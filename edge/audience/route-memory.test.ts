import { describe, expect, test } from 'vitest';
import type { Problem } from '../../shared/errors.ts';
import { mintBootId, type NodeId } from '../../shared/ids.ts';
import { ROUTE_LIFE_MS } from '../lobby/askers.ts';
import type { Route } from '../lobby/rpc.ts';
import { RouteMemory } from './route-memory.ts';

const T0 = 1_700_000_000_000;
const ROUTE: Route = { node: 'a' as NodeId, boot: mintBootId(), maxSubscribers: 0, seats: 3 };
const NOBODY: Problem = { status: 404, code: 'no_publisher', detail: 'no' };

function knowing(route = ROUTE): RouteMemory {
  const memory = new RouteMemory();
  memory.learned(route, memory.version, T0);
  return memory;
}

describe('a route', () => {
  test('is used for as many as it has seats, the asker included', () => {
    const memory = knowing();
    expect([1, 2, 3].map(() => memory.recall(T0))).toEqual([{ route: ROUTE }, { route: ROUTE }, null]);
  });

  test('is used for its life only', () => {
    const memory = knowing();
    expect(memory.recall(T0 + ROUTE_LIFE_MS - 1)).toEqual({ route: ROUTE });
    expect(memory.recall(T0 + ROUTE_LIFE_MS)).toBeNull();
  });

  test('is forgotten when the lobby says so, even while its answer is on the way', () => {
    const memory = knowing();
    const { version } = memory;
    memory.forget();
    memory.learned(ROUTE, version, T0);
    expect(memory.recall(T0)).toBeNull();
  });

  test('that turned out to be no good is dropped, a newer one is not', () => {
    const memory = knowing();
    memory.drop({ ...ROUTE });
    expect(memory.recall(T0)).toEqual({ route: ROUTE });
    memory.drop(ROUTE);
    expect(memory.recall(T0)).toBeNull();
  });
});

describe('a refusal', () => {
  test('is not kept for a viewer who comes again', () => {
    const memory = new RouteMemory();
    for (let time = 0; time < 5; time += 1) memory.refused(NOBODY, T0 + time * 100);
    expect(memory.recall(T0 + 500)).toBeNull();
  });

  test('is given to a storm for a second, and Retry-After counts down', () => {
    const memory = new RouteMemory();
    const lost: Problem = { status: 409, code: 'publisher_lost', detail: 'away', retryAfterSeconds: 9 };
    for (let time = 0; time < 50; time += 1) memory.refused(lost, T0 + time);
    expect(memory.recall(T0 + 500)).toEqual({ problem: { ...lost, retryAfterSeconds: 9 } });
    expect(memory.recall(T0 + 1_100)).toBeNull();
  });

  test('ends with the first route', () => {
    const memory = new RouteMemory();
    for (let time = 0; time < 50; time += 1) memory.refused(NOBODY, T0);
    memory.learned(ROUTE, memory.version, T0);
    expect(memory.recall(T0)).toEqual({ route: ROUTE });
  });
});

test('more than a hundred in a second are many', () => {
  const memory = new RouteMemory();
  const busy = Array.from({ length: 150 }, (_, index) => memory.joined(T0 + index));
  expect(busy.filter(Boolean)).toHaveLength(50);
  expect(memory.joined(T0 + 1_000)).toBe(false);
});
