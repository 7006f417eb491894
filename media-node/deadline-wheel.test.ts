import { expect, test } from 'vitest';
import { fc } from '../shared/test-support/properties.ts';
import { DeadlineWheel, NOT_SCHEDULED, TURN_MS } from './deadline-wheel.ts';

class Item {
  dueTurn = NOT_SCHEDULED;
  /** What it wants: called at the latest a turn after this. */
  dueMs = Number.POSITIVE_INFINITY;
  calls = 0;
}

/** What an endpoint does: whoever is called too early asks again. */
class Driver {
  readonly wheel: DeadlineWheel<Item>;
  constructor(startMs: number) {
    this.wheel = new DeadlineWheel<Item>(startMs);
  }

  advance(nowMs: number): Item[] {
    const due: Item[] = [];
    this.wheel.advance(nowMs, (item) => {
      item.calls += 1;
      if (item.dueMs <= nowMs) {
        item.dueMs = Number.POSITIVE_INFINITY;
        due.push(item);
      }
      this.wheel.schedule(item, item.dueMs);
    });
    return due;
  }
}

test('nobody is forgotten or called more than a turn late, however deadlines move and however far time jumps', () => {
  const move = fc.record({
    item: fc.nat(4),
    inMs: fc.oneof(fc.nat(200), fc.nat(100_000)),
    passMs: fc.oneof(fc.constant(TURN_MS), fc.nat(300), fc.nat(1_000_000)),
  });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), fc.nat(100_000), (moves, startMs) => {
      const driver = new Driver(startMs);
      const items = Array.from({ length: 5 }, () => new Item());
      let nowMs = startMs;
      for (const { item: index, inMs, passMs } of moves) {
        const item = items[index] as Item;
        item.dueMs = nowMs + inMs;
        driver.wheel.schedule(item, item.dueMs);
        nowMs += passMs;
        driver.advance(nowMs);
        for (const each of items) expect(each.dueMs).toBeGreaterThan(nowMs - TURN_MS);
      }
    }),
  );
});

test('a deadline that moves later costs a call per round at most', () => {
  const driver = new Driver(0);
  const item = new Item();
  for (let nowMs = 0; nowMs < 600_000; nowMs += TURN_MS) {
    item.dueMs = nowMs + 6_000;
    driver.wheel.schedule(item, item.dueMs);
    driver.advance(nowMs);
  }
  expect(item.calls).toBeLessThan(110);
});

test('one that was removed is not called', () => {
  const driver = new Driver(0);
  const item = new Item();
  item.dueMs = 100;
  driver.wheel.schedule(item, 100);
  driver.wheel.remove(item);
  driver.advance(10_000);
  expect(item.calls).toBe(0);
});
