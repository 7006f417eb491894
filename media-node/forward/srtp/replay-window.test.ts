import { expect, test } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import { REPLAY_WINDOW, ReplayWindow } from './replay-window.ts';

/** Mostly in order; some late, some again, some after a gap, which may be wider than the window. */
const STEP = fc.oneof(
  { weight: 8, arbitrary: fc.constant(1) },
  fc.integer({ min: -REPLAY_WINDOW - 40, max: 40 }),
  fc.integer({ min: 0, max: 3 * REPLAY_WINDOW }),
);

test('takes each index once, when it is not older than the window', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.array(STEP, { maxLength: 400 }), (first, steps) => {
      const window = new ReplayWindow();
      const seen = new Set<number>();
      let highest = -1;
      for (const step of [0, ...steps]) {
        const index = Math.max(0, (highest < 0 ? first : highest) + step);
        const isNew = index > highest - REPLAY_WINDOW && !seen.has(index);

        expect(window.accepts(index)).toBe(isNew);

        if (!isNew) continue;
        window.record(index);
        seen.add(index);
        highest = Math.max(highest, index);
        expect(window.highest).toBe(highest);
      }
    }),
  );
});

test.each([0, 1, REPLAY_WINDOW - 1, REPLAY_WINDOW, 5 * REPLAY_WINDOW])('its edges, from %i on', (first) => {
  const window = new ReplayWindow();
  window.record(first);
  window.record(first + REPLAY_WINDOW - 1);

  expect(window.accepts(first)).toBe(false);
  expect(window.accepts(first + 1)).toBe(true);
  window.record(first + 1);
  window.record(first + REPLAY_WINDOW + 2);
  expect(window.accepts(first + 2)).toBe(false);
  expect(window.accepts(first + 3)).toBe(true);
  expect(window.accepts(first + REPLAY_WINDOW)).toBe(true);
});
