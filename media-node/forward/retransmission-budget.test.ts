import { describe, expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { RetransmissionBudget } from './retransmission-budget.ts';

const BYTES = 1_200;
const FAST_BPS = 20_000_000;

/** How many of `count` asked numbers are looked up, and how many of those are sent again. */
function ask(budget: RetransmissionBudget, nowMs: number, count: number, wasSent: (sequence: number) => boolean) {
  const done = { lookedUp: 0, sent: 0 };
  for (let sequence = 0; sequence < count; sequence++) {
    if (!budget.mayLookUp(nowMs)) continue;
    done.lookedUp++;
    if (wasSent(sequence) && budget.take(sequence, BYTES, FAST_BPS, null, nowMs)) done.sent++;
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
  const take = (nowMs: number) => budget.mayLookUp(nowMs) && budget.take(7, BYTES, FAST_BPS, 50, nowMs);
  expect([take(0), take(49), take(50), take(60), take(150)]).toEqual([true, false, true, false, true]);
});

test('whoever asks for everything all the time gets the stream once more, whatever its rate', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 30_000_000 }),
      fc.integer({ min: 50, max: 1_500 }),
      fc.integer({ min: 1, max: 40 }),
      (streamBps, bytes, stepMs) => {
        const budget = new RetransmissionBudget();
        const seconds = 10;
        let sent = 0;
        let sequence = 0;
        for (let nowMs = 0; nowMs < seconds * 1_000; nowMs += stepMs) {
          for (let i = 0; i < 40; i++) {
            if (budget.mayLookUp(nowMs) && budget.take(sequence++, bytes, streamBps, null, nowMs)) sent += bytes;
          }
        }
        const burst = Math.max(160_000, streamBps / 8 / 2);
        expect(sent).toBeLessThanOrEqual(burst + seconds * Math.max(16_000, streamBps / 8));
      },
    ),
    { numRuns: 40 },
  );
});

test('a loss of a third of a stream is repaired whole', () => {
  const budget = new RetransmissionBudget();
  const streamBps = 2_600_000;
  let refused = 0;
  // 270 packets a second, every third lost.
  for (let sequence = 0; sequence < 2_700; sequence += 3) {
    const nowMs = sequence * 3.7;
    if (!budget.mayLookUp(nowMs) || !budget.take(sequence, BYTES, streamBps, 40, nowMs)) refused++;
  }
  expect(refused).toBe(0);
});

describe('a share of it', () => {
  const STREAM_BPS = 2_000_000;

  /** Bytes that a viewer gets that asks for everything for ten seconds. */
  function everything(budget: RetransmissionBudget, ofKeyframe: boolean): number {
    let sent = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 5) {
      for (let i = 0; i < 4; i++) {
        if (budget.mayLookUp(nowMs) && budget.take(nowMs * 4 + i, BYTES, STREAM_BPS, null, nowMs, ofKeyframe))
          sent += BYTES;
      }
    }
    return sent;
  }

  test.each([1, 1 / 2, 1 / 8])('%s of the stream, and of what may be saved up', (share) => {
    const budget = new RetransmissionBudget();
    budget.share = share;
    const most = share * (160_000 + (10 * STREAM_BPS) / 8);
    expect(everything(budget, true)).toBeLessThanOrEqual(most);
    expect(everything(new RetransmissionBudget(), true)).toBeGreaterThan(0.9 * (160_000 + (10 * STREAM_BPS) / 8));
  });

  test('keeps half of what is saved up for the packets of a keyframe', () => {
    const budget = new RetransmissionBudget();
    budget.share = 1 / 8;
    let sequence = 0;
    const takeAll = (ofKeyframe: boolean): number => {
      const before = sequence;
      while (budget.take(sequence, BYTES, STREAM_BPS, null, 0, ofKeyframe)) sequence++;
      return (sequence - before) * BYTES;
    };
    const [other, keyframe] = [takeAll(false), takeAll(true)];
    expect([other, keyframe]).toEqual([BYTES * 8, BYTES * 8]);
  });

  test('of one it is all for all', () => {
    const budget = new RetransmissionBudget();
    let count = 0;
    while (budget.take(count, BYTES, STREAM_BPS, null, 0)) count++;
    expect(count).toBe(128);
  });
});
