import { describe, expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import type { PeerAddress } from './ice-lite-machine.ts';
import {
  ABANDONED_MS,
  ASK_SPACING_MS,
  MAX_ASKS,
  openPath,
  type PathEvent,
  type PathState,
  step,
} from './path-machine.ts';

const at = (port: number): PeerAddress => ({ address: '192.0.2.1', port, socket: 0 });
const nominated = (port: number): PathEvent => ({ type: 'nominated', address: at(port) });
const reached = (port: number): PathEvent => ({ type: 'reached', address: at(port) });
const checked = (port: number): PathEvent => ({ type: 'checked', address: at(port) });
const later: PathEvent = { type: 'time-passed' };

/** The effects of each event, as `ask 1` or `moved 1`, at these times. */
function play(events: readonly (readonly [number, PathEvent])[]): { effects: string[][]; state: PathState } {
  let state = openPath();
  const effects = events.map(([nowMs, event]) => {
    const next = step(state, event, nowMs);
    state = next.state;
    return next.effects.map(({ type, to }) => `${type} ${to.port}`);
  });
  return { effects, state };
}

describe('the path of media', () => {
  test('goes to where the peer has shown to be, and moves when the next place answers', () => {
    const { effects, state } = play([
      [0, reached(1)],
      [10, nominated(1)],
      [20, nominated(2)],
      [25, nominated(2)],
      [60, reached(2)],
      // Back to a place that is known.
      [70, nominated(1)],
    ]);
    expect(effects).toEqual([['moved 1'], [], ['ask 2'], [], ['moved 2'], ['moved 1']]);
    expect(state.asking).toBeNull();
  });

  test('stays where it is when nobody answers, who is asked a few times only until the peer says so again', () => {
    const asks = [0, 100, 300, 700, 1_500, 10_000].map((nowMs) => [nowMs, nowMs === 0 ? nominated(2) : later] as const);
    const { effects, state } = play([[0, reached(1)], ...asks, [11_000, nominated(2)]]);
    expect(effects.flat()).toEqual(['moved 1', ...Array(MAX_ASKS).fill('ask 2'), 'ask 2']);
    expect(state.path).toEqual(at(1));
  });

  test('goes to the first place that answers when none was shown, and on to the one that is wanted', () => {
    const { effects } = play([
      [0, nominated(2)],
      [10, reached(1)],
      [20, reached(2)],
    ]);
    expect(effects).toEqual([['ask 2'], ['moved 1'], ['moved 2']]);
  });

  test('a peer that changes its mind all the time has nobody asked more often', () => {
    const { effects } = play([
      [0, reached(9)],
      ...Array.from({ length: 100 }, (_, i) => [i, nominated(i % 5)] as const),
    ]);
    expect(effects.flat().filter((effect) => effect.startsWith('ask'))).toHaveLength(100 / ASK_SPACING_MS);
  });

  test('follows a peer that left it for another place without a word', () => {
    const { effects } = play([
      [0, reached(1)],
      [5_000, checked(1)],
      // As it may have more than one.
      [6_000, checked(2)],
      [5_000 + ABANDONED_MS - 1, checked(2)],
      [5_000 + ABANDONED_MS, checked(2)],
      [5_040 + ABANDONED_MS, reached(2)],
      // It was here only just now.
      [5_050 + ABANDONED_MS, checked(1)],
    ]);
    expect(effects).toEqual([['moved 1'], [], [], [], ['ask 2'], ['moved 2'], []]);
  });

  test('stays with a peer that checks it, by whatever checks', () => {
    const { effects } = play([
      [0, reached(1)],
      [5_000, nominated(1)],
      [10_000, checked(2)],
      [11_000, checked(1)],
      [17_000, checked(2)],
    ]);
    expect(effects.flat()).toEqual(['moved 1']);
  });

  test('a place that was forgotten is asked again', () => {
    const { effects } = play([
      [0, reached(1)],
      [0, reached(2)],
      [0, { type: 'forgotten', address: at(2) }],
      [0, nominated(2)],
    ]);
    expect(effects.flat()).toEqual(['moved 1', 'ask 2']);
  });

  test('never goes where nobody has shown to be, whatever happens', () => {
    const event = fc.oneof(
      fc.nat(4).map(nominated),
      fc.nat(4).map(checked),
      fc.nat(4).map(reached),
      fc.nat(4).map((port): PathEvent => ({ type: 'forgotten', address: at(port) })),
      fc.constant(later),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1_000), event), { maxLength: 60 }), (course) => {
        let state = openPath();
        let nowMs = 0;
        let lastAskMs = Number.NEGATIVE_INFINITY;
        const shown = new Set<number>();
        for (const [waitMs, next] of course) {
          nowMs += waitMs;
          if (next.type === 'reached') shown.add(next.address.port);
          const { state: after, effects } = step(state, next, nowMs);
          state = after;
          for (const { type } of effects.filter((effect) => effect.type === 'ask')) {
            expect(nowMs - lastAskMs, type).toBeGreaterThanOrEqual(ASK_SPACING_MS);
            lastAskMs = nowMs;
          }
          if (state.path !== null) expect(shown).toContain(state.path.port);
        }
      }),
    );
  });
});
