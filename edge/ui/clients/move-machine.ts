/**
 * Moving a running session elsewhere because the server asked for it (its node is about to leave), as a pure machine: the
 * new session is made before the old one is left. A move that fails is tried again as long as the old session lives.
 */
import { backoffDelayMs } from './backoff.ts';

export interface MoveMachine {
  /** `waiting` for its turn; `opening` a second session beside the running one. */
  readonly phase: 'idle' | 'waiting' | 'opening';
  /** Moves in a row that failed. */
  readonly attempt: number;
  /** When a `tick` is due; null: never. Same clock as `now`. */
  readonly wakeAt: number | null;
  /** The second session is asked to move on, too: its node leaves as well. */
  readonly nextAsked: boolean;
}

export type MoveEvent =
  | { kind: 'asked' }
  /** The second session was asked as well. It is said once, and one that has no place yet cannot be moved away from. */
  | { kind: 'next-asked' }
  /** The second session is up and shows something. */
  | { kind: 'ready' }
  | { kind: 'failed'; retryAfterMs: number | null }
  /** The running session is over, one way or the other. */
  | { kind: 'ended' }
  | { kind: 'tick' };

export type MoveEffect =
  /** Open a second session. */
  | { kind: 'open' }
  /** The second one is the session now; the first is left. */
  | { kind: 'adopt' }
  /** End the second one. */
  | { kind: 'drop' };

export interface MoveStep {
  state: MoveMachine;
  effects: MoveEffect[];
}

/** A node's viewers are asked in the same moment and come one after the other. */
export const MOVE_SPREAD_MS = 1_500;
/** From the POST to the first frame. */
export const MOVE_TIMEOUT_MS = 10_000;

export const NO_MOVE: MoveMachine = { phase: 'idle', attempt: 0, wakeAt: null, nextAsked: false };

/** `random` is uniform in [0, 1); `now` in ms of any monotonic clock; `timeoutMs`: from opening to being ready. */
export function stepMove(
  state: MoveMachine,
  event: MoveEvent,
  now: number,
  random: number,
  timeoutMs: number = MOVE_TIMEOUT_MS,
): MoveStep {
  const isOpening = state.phase === 'opening';
  switch (event.kind) {
    case 'asked':
      if (state.phase !== 'idle') return { state, effects: [] };
      return { state: waiting(now, random), effects: [] };
    case 'next-asked':
      return { state: isOpening ? { ...state, nextAsked: true } : state, effects: [] };
    case 'ready':
      if (!isOpening) return { state, effects: [] };
      return { state: state.nextAsked ? waiting(now, random) : NO_MOVE, effects: [{ kind: 'adopt' }] };
    case 'failed':
      return isOpening ? again(state, now, random, event.retryAfterMs) : { state, effects: [] };
    case 'ended':
      return { state: NO_MOVE, effects: isOpening ? [{ kind: 'drop' }] : [] };
    case 'tick':
      if (state.wakeAt === null || now < state.wakeAt) return { state, effects: [] };
      if (isOpening) return again(state, now, random, null);
      return { state: { ...state, phase: 'opening', wakeAt: now + timeoutMs }, effects: [{ kind: 'open' }] };
  }
}

function waiting(now: number, random: number): MoveMachine {
  return { ...NO_MOVE, phase: 'waiting', wakeAt: now + MOVE_SPREAD_MS * random };
}

function again(state: MoveMachine, now: number, random: number, retryAfterMs: number | null): MoveStep {
  const delayMs = backoffDelayMs({ attempt: state.attempt, random, retryAfterMs });
  return {
    state: { ...NO_MOVE, phase: 'waiting', attempt: state.attempt + 1, wakeAt: now + delayMs },
    effects: [{ kind: 'drop' }],
  };
}
