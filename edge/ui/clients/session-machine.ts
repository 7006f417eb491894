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

export type Role = 'publish' | 'play';

/** What users of a client see. */
export type SessionStatus = 'idle' | 'connecting' | 'live' | 'waiting' | 'reconnecting' | 'stopped' | 'failed';

export type Phase =
  | 'idle'
  /** POST under way. */
  | 'opening'
  /** Answer applied; ICE and DTLS under way. */
  | 'joining'
  | 'live'
  /** ICE reports trouble that may heal by itself. */
  | 'interrupted'
  /** ICE restart under way: its PATCH, then its checks. */
  | 'restarting'
  /** Connected, but nothing arrives: no packet for a viewer, no sign of life for a publisher. */
  | 'stalled'
  /** The server closed the connection; asking whether it meant it (publish only). */
  | 'questioning'
  /** Waiting to open again. */
  | 'backoff'
  | 'stopped'
  | 'failed';

/** Why the machine is opening or about to. */
export type Cause = 'first' | 'no_publisher' | 'lost';
export type FailureCause = 'refused' | 'ended' | 'no_path';

export interface SessionMachine {
  readonly role: Role;
  readonly phase: Phase;
  readonly cause: Cause;
  /** Sessions in a row that failed to open or to stay. */
  readonly attempt: number;
  /** ICE restarts tried in this interruption. */
  readonly restarts: number;
  /** The session was live at least once. */
  readonly wasLive: boolean;
  readonly liveSince: number;
  readonly stalledSince: number;
  /** The server asked for this wait: nothing shortens it. */
  readonly held: boolean;
  /** When a `tick` is due; null: never. Same clock as `now`. */
  readonly wakeAt: number | null;
}

export type SessionEvent =
  | { kind: 'start' }
  | { kind: 'stop' }
  | { kind: 'opened' }
  | { kind: 'openFailed'; status: number | null; retryAfterMs: number | null }
  /** `RTCPeerConnection.connectionState`; `ended` when the server closed DTLS. */
  | { kind: 'peer'; state: 'connecting' | 'connected' | 'disconnected' | 'failed' | 'ended' }
  /** Connected throughout: a restart on a working path brings no further `peer` event. */
  | { kind: 'restarted'; connected: boolean }
  | { kind: 'restartFailed'; status: number | null }
  /** Status of GET on the session resource; null when the edge was not reached. */
  | { kind: 'probed'; status: number | null }
  | { kind: 'silent' }
  | { kind: 'flowing' }
  /** The device moved to another network, or came back online. */
  | { kind: 'networkChanged' }
  /** Another session has taken the place of the running one, and is connected. */
  | { kind: 'moved' }
  /** The page came to the front: try now rather than later. */
  | { kind: 'nudge' }
  | { kind: 'tick' };

export type SessionEffect =
  | { kind: 'open' }
  | { kind: 'restart' }
  | { kind: 'probe' }
  /** Drop the peer connection and DELETE its resource; a later `open` waits for it. */
  | { kind: 'close' }
  | { kind: 'fail'; cause: FailureCause };

export interface Step {
  state: SessionMachine;
  effects: SessionEffect[];
}

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

export function initialSession(role: Role): SessionMachine {
  return {
    role,
    phase: 'idle',
    cause: 'first',
    attempt: 0,
    restarts: 0,
    wasLive: false,
    liveSince: 0,
    stalledSince: 0,
    held: false,
    wakeAt: null,
  };
}

export function sessionStatus(state: SessionMachine): SessionStatus {
  switch (state.phase) {
    case 'opening':
    case 'joining':
    case 'backoff':
      if (state.cause === 'no_publisher') return 'waiting';
      return state.cause === 'lost' ? 'reconnecting' : 'connecting';
    case 'interrupted':
    case 'restarting':
    case 'questioning':
      return 'reconnecting';
    case 'stalled':
      // What a publisher sends may well arrive; the answer to the question will tell.
      return state.role === 'play' ? 'waiting' : 'live';
    default:
      return state.phase;
  }
}

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
