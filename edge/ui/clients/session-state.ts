/** The words of `session-machine.ts`: what a session is at, what can happen to it, and what is to be done then. */
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
  /** Whoever uses the session cannot go on with it, whatever has become of it: another one is needed. */
  | { kind: 'useless' }
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
