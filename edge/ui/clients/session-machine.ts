/**
 * The life of one WHIP or WHEP client as a pure machine: no clock, no randomness, no I/O. `SessionRunner` delivers the
 * events, runs the effects and wakes the machine at `wakeAt`.
 *
 * The ladder of repairs, cheapest first: wait a moment (ICE often heals itself) → ICE restart by PATCH, which keeps the
 * session → a new session by POST. Who hears nothing while ICE is well asks whether the session still exists: a publisher
 * that returns within its grace continues the viewers' sessions, and nothing needs repair; a node that has died says no
 * goodbye, and ICE would take seconds longer to notice.
 */
import { backoffDelayMs } from './backoff.ts';
import {
  type Cause,
  type FailureCause,
  initialSession,
  type SessionEvent,
  type SessionMachine,
  type Step,
} from './session-state.ts';

/** ICE and DTLS have this long after the answer. */
export const JOIN_TIMEOUT_MS = 15_000;
/** `disconnected` often heals on its own within this time. */
export const DISCONNECT_PATIENCE_MS = 1_500;
/** PATCH and checks of one ICE restart together. */
export const RESTART_TIMEOUT_MS = 6_000;
export const MAX_RESTARTS = 3;
export const PROBE_INTERVAL_MS = 2_000;
/** A session without packets is given up after this time, whatever the server says of it. */
export const STALL_LIMIT_MS = 60_000;
/** A session that lived this long resets the backoff. */
export const STABLE_MS = 10_000;
export const QUESTION_TIMEOUT_MS = 4_000;

/** `random` is uniform in [0, 1); `now` in ms of any monotonic clock. */
export function step(state: SessionMachine, event: SessionEvent, now: number, random: number): Step {
  if (event.kind === 'stop') return stop(state);
  if (event.kind === 'start') return start(state);
  switch (state.phase) {
    case 'opening':
      return stepOpening(state, event, now, random);
    case 'joining':
      return stepJoining(state, event, now, random);
    case 'live':
    case 'stalled':
    case 'interrupted':
    case 'restarting':
      return stepConnected(state, event, now, random);
    case 'questioning':
      return stepQuestioning(state, event, now, random);
    case 'backoff':
      return stepBackoff(state, event, now);
    default:
      return stay(state);
  }
}

function stay(state: SessionMachine): Step {
  return { state, effects: [] };
}

function start(state: SessionMachine): Step {
  const resting = state.phase === 'idle' || state.phase === 'stopped' || state.phase === 'failed';
  if (!resting) return stay(state);
  return { state: { ...initialSession(state.role), phase: 'opening' }, effects: [{ kind: 'open' }] };
}

function stop(state: SessionMachine): Step {
  if (state.phase === 'stopped' || state.phase === 'failed') return stay(state);
  return { state: { ...state, phase: 'stopped', wakeAt: null }, effects: [{ kind: 'close' }] };
}

function fail(state: SessionMachine, cause: FailureCause): Step {
  return { state: { ...state, phase: 'failed', wakeAt: null }, effects: [{ kind: 'close' }, { kind: 'fail', cause }] };
}

/** Refusals that a repetition of the same request cannot change. */
function isFinal(state: SessionMachine, status: number | null): boolean {
  if (status !== null && [400, 401, 403, 405, 406, 413, 415, 422].includes(status)) return true;
  // A publisher's first attempt has a person in front of it who should be told; a viewer's 404 and 409 mean "not yet".
  return state.role === 'publish' && !state.wasLive;
}

function stepOpening(state: SessionMachine, event: SessionEvent, now: number, random: number): Step {
  if (event.kind === 'opened') {
    const cause = state.cause === 'no_publisher' ? 'first' : state.cause;
    return { state: { ...state, phase: 'joining', cause, wakeAt: now + JOIN_TIMEOUT_MS }, effects: [] };
  }
  if (event.kind === 'peer' && event.state === 'connected') return goLive(state, now);
  if (event.kind !== 'openFailed') return stay(state);
  if (isFinal(state, event.status)) return fail(state, 'refused');
  const noPublisher = state.role === 'play' && (event.status === 404 || event.status === 409);
  return retry({ ...state, cause: noPublisher ? 'no_publisher' : later(state) }, now, random, event.retryAfterMs);
}

/** A first connection that is still being tried stays "connecting" to the eye; a later one is "reconnecting". */
function later(state: SessionMachine): Cause {
  return state.wasLive ? 'lost' : 'first';
}

function stepJoining(state: SessionMachine, event: SessionEvent, now: number, random: number): Step {
  if (event.kind === 'peer' && event.state === 'connected') return goLive(state, now);
  const broken = event.kind === 'peer' && (event.state === 'failed' || event.state === 'ended');
  const late = event.kind === 'tick' && isDue(state, now);
  if (!broken && !late) return stay(state);
  if (state.role === 'publish' && !state.wasLive) return fail(state, 'no_path');
  return retry({ ...state, cause: later(state) }, now, random, null);
}

function goLive(state: SessionMachine, now: number): Step {
  // A session repaired by an ICE restart is the same session: its age counts on.
  const repaired = state.phase === 'interrupted' || state.phase === 'restarting';
  return {
    state: {
      ...state,
      phase: 'live',
      cause: 'first',
      wasLive: true,
      restarts: 0,
      liveSince: repaired ? state.liveSince : now,
      wakeAt: null,
    },
    effects: [],
  };
}

function stepConnected(state: SessionMachine, event: SessionEvent, now: number, random: number): Step {
  switch (event.kind) {
    case 'peer':
      return stepPeer(state, event.state, now, random);
    case 'networkChanged':
      return state.phase === 'restarting' ? stay(state) : restart(state, now, random);
    case 'silent':
      if (state.phase !== 'live') return stay(state);
      return {
        state: { ...state, phase: 'stalled', stalledSince: now, wakeAt: now + PROBE_INTERVAL_MS },
        effects: [{ kind: 'probe' }],
      };
    case 'flowing':
      return state.phase === 'stalled' ? stay({ ...state, phase: 'live', wakeAt: null }) : stay(state);
    case 'probed':
      if (state.phase !== 'stalled' && state.phase !== 'interrupted') return stay(state);
      return isGone(event.status) ? lost(state, now, random) : stay(state);
    case 'useless':
      return lost(state, now, random);
    case 'restarted':
      return state.phase === 'restarting' && event.connected ? goLive(state, now) : stay(state);
    case 'restartFailed':
      if (state.phase !== 'restarting') return stay(state);
      // 405, 422, 501: this server cannot restart. 404: it has forgotten us. Either way only a new session helps.
      if (event.status !== null && event.status < 500 && event.status !== 429) return lost(state, now, random);
      if (event.status === 501) return lost(state, now, random);
      return { state: { ...state, wakeAt: now + backoffDelayMs({ attempt: state.restarts, random }) }, effects: [] };
    case 'moved':
      return goLive({ ...state, phase: 'live' }, now);
    case 'tick':
      return isDue(state, now) ? stepDue(state, now, random) : stay(state);
    default:
      return stay(state);
  }
}

function stepPeer(state: SessionMachine, peer: string, now: number, random: number): Step {
  if (peer === 'connected')
    return state.phase === 'live' || state.phase === 'stalled' ? stay(state) : goLive(state, now);
  if (peer === 'ended') {
    if (state.role === 'play') return lost(state, now, random);
    return {
      state: { ...state, phase: 'questioning', wakeAt: now + QUESTION_TIMEOUT_MS },
      effects: [{ kind: 'probe' }],
    };
  }
  if (state.phase === 'restarting') return stay(state);
  if (peer === 'failed') return restart(state, now, random);
  if (peer === 'disconnected' && state.phase !== 'interrupted') {
    // When the server has lost the session, as after a crash, no patience brings it back.
    return {
      state: { ...state, phase: 'interrupted', wakeAt: now + DISCONNECT_PATIENCE_MS },
      effects: [{ kind: 'probe' }],
    };
  }
  return stay(state);
}

function stepDue(state: SessionMachine, now: number, random: number): Step {
  if (state.phase === 'interrupted' || state.phase === 'restarting') return restart(state, now, random);
  if (state.phase !== 'stalled') return stay({ ...state, wakeAt: null });
  if (now - state.stalledSince >= STALL_LIMIT_MS) return lost(state, now, random);
  return { state: { ...state, wakeAt: now + PROBE_INTERVAL_MS }, effects: [{ kind: 'probe' }] };
}

function restart(state: SessionMachine, now: number, random: number): Step {
  if (state.restarts >= MAX_RESTARTS) return lost(state, now, random);
  return {
    state: { ...state, phase: 'restarting', restarts: state.restarts + 1, wakeAt: now + RESTART_TIMEOUT_MS },
    effects: [{ kind: 'restart' }],
  };
}

function lost(state: SessionMachine, now: number, random: number): Step {
  const stable = now - state.liveSince >= STABLE_MS;
  return retry({ ...state, cause: 'lost', attempt: stable ? 0 : state.attempt }, now, random, null);
}

/** The publisher's side of a close: an edge that answers "unknown session" has ended it on purpose. */
function stepQuestioning(state: SessionMachine, event: SessionEvent, now: number, random: number): Step {
  if (event.kind === 'probed') return isGone(event.status) ? fail(state, 'ended') : lost(state, now, random);
  return event.kind === 'tick' && isDue(state, now) ? lost(state, now, random) : stay(state);
}

function retry(state: SessionMachine, now: number, random: number, retryAfterMs: number | null): Step {
  const delayMs = backoffDelayMs({ attempt: state.attempt, random, retryAfterMs });
  return {
    state: {
      ...state,
      phase: 'backoff',
      attempt: state.attempt + 1,
      restarts: 0,
      held: retryAfterMs !== null,
      wakeAt: now + delayMs,
    },
    effects: [{ kind: 'close' }],
  };
}

function stepBackoff(state: SessionMachine, event: SessionEvent, now: number): Step {
  const hurried = (event.kind === 'networkChanged' || event.kind === 'nudge') && !state.held;
  if (!hurried && !(event.kind === 'tick' && isDue(state, now))) return stay(state);
  return { state: { ...state, phase: 'opening', held: false, wakeAt: null }, effects: [{ kind: 'open' }] };
}

function isDue(state: SessionMachine, now: number): boolean {
  return state.wakeAt !== null && now >= state.wakeAt;
}

function isGone(status: number | null): boolean {
  return status === 404 || status === 410;
}
