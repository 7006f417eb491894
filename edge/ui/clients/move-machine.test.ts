import { describe, expect, it } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import {
  MOVE_SPREAD_MS,
  MOVE_TIMEOUT_MS,
  type MoveEvent,
  type MoveMachine,
  NO_MOVE,
  stepMove,
} from './move-machine.ts';

function run(...events: [MoveEvent, number][]): { state: MoveMachine; effects: string[] } {
  let state = NO_MOVE;
  const effects: string[] = [];
  for (const [event, at] of events) {
    const step = stepMove(state, event, at, 0.5);
    state = step.state;
    effects.push(...step.effects.map(({ kind }) => kind));
  }
  return { state, effects };
}

const asked: MoveEvent = { kind: 'asked' };
const tick: MoveEvent = { kind: 'tick' };
const turn = MOVE_SPREAD_MS / 2;

describe('a move', () => {
  it('waits for its turn, opens, and adopts what it opened', () => {
    expect(run([asked, 0]).effects).toEqual([]);
    expect(run([asked, 0], [tick, turn - 1]).effects).toEqual([]);
    expect(run([asked, 0], [tick, turn], [{ kind: 'ready' }, turn + 50])).toEqual({
      state: NO_MOVE,
      effects: ['open', 'adopt'],
    });
  });

  it('is one, however often it is asked for', () => {
    expect(run([asked, 0], [asked, 10], [tick, turn], [asked, turn + 1]).effects).toEqual(['open']);
  });

  it('goes on from where it went to, when that is to be left as well by then', () => {
    const next: MoveEvent = { kind: 'next-asked' };
    const opened = turn + 50;
    const { state, effects } = run(
      [asked, 0],
      [tick, turn],
      [next, turn + 10],
      [next, turn + 20],
      [{ kind: 'ready' }, opened],
    );
    expect(effects).toEqual(['open', 'adopt']);
    expect(state).toEqual({ ...NO_MOVE, phase: 'waiting', wakeAt: opened + turn });
    expect(stepMove(state, tick, opened + turn, 0.5).effects).toEqual([{ kind: 'open' }]);
    // One that never took the place is not moved away from.
    const dropped = run(
      [asked, 0],
      [tick, turn],
      [next, turn + 10],
      [{ kind: 'failed', retryAfterMs: null }, opened],
    ).state;
    const again = stepMove(dropped, tick, dropped.wakeAt ?? 0, 0.5).state;
    expect(stepMove(again, { kind: 'ready' }, (again.wakeAt ?? 0) - 1, 0.5).state).toEqual(NO_MOVE);
    expect(run([next, 0]).state).toEqual(NO_MOVE);
  });

  it.each<[string, MoveEvent, number]>([
    ['was refused', { kind: 'failed', retryAfterMs: null }, turn + 10],
    ['comes to nothing', tick, turn + MOVE_TIMEOUT_MS],
  ])('that %s is tried again later', (_, event, at) => {
    const { state, effects } = run([asked, 0], [tick, turn], [event, at]);
    expect(effects).toEqual(['open', 'drop']);
    expect(state).toMatchObject({ phase: 'waiting', attempt: 1 });
    expect(stepMove(state, tick, state.wakeAt ?? 0, 0.5).effects).toEqual([{ kind: 'open' }]);
  });

  it('waits as long as the server wishes', () => {
    const { state } = run([asked, 0], [tick, turn], [{ kind: 'failed', retryAfterMs: 5_000 }, turn]);
    expect(state.wakeAt).toBeGreaterThanOrEqual(turn + 5_000);
  });

  it('ends with the session', () => {
    expect(run([asked, 0], [{ kind: 'ended' }, 1])).toEqual({ state: NO_MOVE, effects: [] });
    expect(run([asked, 0], [tick, turn], [{ kind: 'ended' }, turn])).toEqual({
      state: NO_MOVE,
      effects: ['open', 'drop'],
    });
  });
});

it('never has two sessions in the making, and none that nobody ends', () => {
  const event = fc.constantFrom<MoveEvent>(
    ...[asked, { kind: 'next-asked' } as const, tick, { kind: 'ready' } as const, { kind: 'ended' } as const],
    {
      kind: 'failed',
      retryAfterMs: null,
    },
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(event, fc.integer({ min: 0, max: 20_000 }))), (course) => {
      let [state, now, open] = [NO_MOVE, 0, 0];
      for (const [next, passedMs] of course) {
        now += passedMs;
        const step = stepMove(state, next, now, 0.3);
        for (const { kind } of step.effects) open += kind === 'open' ? 1 : -1;
        state = step.state;
        expect(open).toBe(state.phase === 'opening' ? 1 : 0);
        expect(state.wakeAt === null).toBe(state.phase === 'idle');
      }
    }),
  );
});
