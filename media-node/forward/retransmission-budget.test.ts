import { expect, test } from 'vitest';
import { RetransmissionBudget } from './retransmission-budget.ts';

/** How many of `count` asked numbers are looked up, and how many of those are sent again. */
function ask(budget: RetransmissionBudget, nowMs: number, count: number, wasSent: (sequence: number) => boolean) {
  const done = { lookedUp: 0, sent: 0 };
  for (let sequence = 0; sequence < count; sequence++) {
    if (!budget.mayLookUp(nowMs)) continue;
    done.lookedUp++;
    if (wasSent(sequence) && budget.take(sequence, null, nowMs)) done.sent++;
  }
  return done;
}

test('numbers that were never sent cost a bounded number of look-ups, and each interval anew', () => {
  const budget = new RetransmissionBudget();
  expect(ask(budget, 0, 100_000, () => false)).toEqual({ lookedUp: 1024, sent: 0 });
  expect(ask(budget, 99, 100_000, () => true)).toEqual({ lookedUp: 0, sent: 0 });
  expect(ask(budget, 100, 100_000, () => false)).toEqual({ lookedUp: 1024, sent: 0 });
});

test('what may be sent again in an interval is bounded, and nothing is looked up beyond it', () => {
  const budget = new RetransmissionBudget();
  expect(ask(budget, 0, 10_000, () => true)).toEqual({ lookedUp: 128, sent: 128 });
});

test('the same packet goes again after a round trip, not sooner', () => {
  const budget = new RetransmissionBudget();
  const take = (nowMs: number) => budget.mayLookUp(nowMs) && budget.take(7, 50, nowMs);
  expect([take(0), take(49), take(50), take(60), take(150)]).toEqual([true, false, true, false, true]);
});
