/**
 * Runs a `SessionMachine`: one timer, one peer session at a time (two while it moves), the network's and the page's
 * events.
 */
import { Alarm } from './alarm.ts';
import { ClientError } from './errors.ts';
import { LeavingPeers } from './leaving-peers.ts';
import { type MoveEffect, type MoveEvent, NO_MOVE, stepMove } from './move-machine.ts';
import { watchPage } from './page-watch.ts';
import type { PeerSession, PeerSessionOptions } from './peer-session.ts';
import { step } from './session-machine.ts';
import {
  type FailureCause,
  initialSession,
  type Role,
  type SessionEffect,
  type SessionEvent,
  type SessionStatus,
  sessionStatus,
} from './session-state.ts';
import { SilenceWatch, type SilenceWatchOptions } from './silence-watch.ts';

/** What a peer session tells the runner. */
export type PeerEvents = Pick<PeerSessionOptions, 'onState' | 'onReconnect'>;

export interface RunnerOptions {
  role: Role;
  /**
   * Makes the peer session of each attempt; not opened yet. `replaces`: the one whose place it shall take, which is still
   * running, or was a publisher's and is broken.
   */
  createPeer(events: PeerEvents, replaces: PeerSession | null): PeerSession;
  /** Absent: sessions of this kind stay where they are until they end. */
  moving?: {
    /** Resolves when a session that is to replace another one shows something; it is connected by then. */
    whenShown(peer: PeerSession): Promise<void>;
    /** It has taken the other one's place, which ends a moment later. */
    onMoved?(peer: PeerSession): void;
    /** It will not take the other one's place. */
    onDropped?(peer: PeerSession): void;
    /** How long the other one goes on after that. Default 1 s. */
    overlapMs?: number;
    /** How long it may take until the new one shows something. Default 10 s. */
    timeoutMs?: number;
  };
  /** Absent: silence on a connection that ICE finds well means nothing. */
  heard?: SilenceWatchOptions['count'];
  onStatus(status: SessionStatus): void;
  /** `fatal`: the runner has given up and rests in `failed`. */
  onError(error: ClientError, fatal: boolean): void;
}

/** The old session stays for this long after a move: the element that shows it changes over meanwhile. */
const MOVE_OVERLAP_MS = 1_000;
/** Why the server does not let a new session take the place of a broken one; without it, it may. */
const FORGOTTEN: readonly string[] = ['not_your_session', 'no_session'];
/** What the server says of a session that it does not know any more. */
const GONE = 404;
/** Phases in which there is a session that can be moved. */
const MOVABLE: readonly string[] = ['live', 'stalled', 'interrupted', 'restarting'];

export class SessionRunner {
  readonly #options: RunnerOptions;
  #machine: ReturnType<typeof initialSession>;
  #peer: PeerSession | null = null;
  #lastError: ClientError | null = null;
  readonly #alarm = new Alarm(() => this.dispatch({ kind: 'tick' }));
  #move = NO_MOVE;
  /** The session that a move is opening. */
  #next: PeerSession | null = null;
  readonly #moveAlarm = new Alarm(() => this.#dispatchMove({ kind: 'tick' }));
  /**
   * A publisher's broken session, which the next one takes over: were it ended by DELETE, the room would be over for all who
   * watch.
   */
  #broken: PeerSession | null = null;
  /** A new session waits for the old one's DELETE, or a publisher would be refused because of itself. */
  readonly #leaving = new LeavingPeers();
  #listening: AbortController | null = null;
  readonly #silence: SilenceWatch | null;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#machine = initialSession(options.role);
    const { heard } = options;
    this.#silence =
      heard === undefined
        ? null
        : new SilenceWatch({
            connection: () => this.#peer?.connection ?? null,
            count: heard,
            onSilent: () => this.dispatch({ kind: 'silent' }),
            onFlowing: () => this.dispatch({ kind: 'flowing' }),
          });
  }

  get status(): SessionStatus {
    return sessionStatus(this.#machine);
  }

  get peer(): PeerSession | null {
    return this.#peer;
  }

  dispatch(event: SessionEvent): void {
    const before = this.status;
    const { state, effects } = step(this.#machine, event, performance.now(), Math.random());
    this.#machine = state;
    this.#alarm.set(state.wakeAt);
    this.#listen(!['idle', 'stopped', 'failed'].includes(state.phase));
    // Before the effects: the second session goes with the first.
    if (!MOVABLE.includes(state.phase)) this.#dispatchMove({ kind: 'ended' });
    if (state.phase === 'stopped' || state.phase === 'failed') {
      this.#leaving.closeLingering();
      this.#forgetBroken();
    }
    for (const effect of effects) this.#run(effect);
    if (this.status !== before) this.#options.onStatus(this.status);
  }

  /** The server has answered the session that a move is opening. */
  get #nextHasPlace(): boolean {
    return Boolean(this.#next?.resourceUrl);
  }

  /** The session is of no use any more: the next one takes its place, be it a new one or the one that a move has opened. */
  renew(): void {
    if (this.#nextHasPlace) this.#dispatchMove({ kind: 'ready' });
    else this.dispatch({ kind: 'useless' });
  }

  /** Resolves when the last session's DELETE has been answered. */
  async settled(): Promise<void> {
    await this.#leaving.settled;
  }

  #run(effect: SessionEffect): void {
    switch (effect.kind) {
      case 'open':
        void this.#open();
        return;
      case 'restart':
        void this.#restart();
        return;
      case 'probe':
        void this.#probe();
        return;
      case 'close':
        this.#close();
        return;
      case 'fail':
        this.#options.onError(this.#failure(effect.cause), true);
        return;
    }
  }

  async #open(): Promise<void> {
    const peer = this.#createPeer(this.#broken);
    this.#peer = peer;
    try {
      await this.#leaving.settled;
      if (this.#peer !== peer) return;
      await peer.open();
      if (this.#peer !== peer) return;
      this.#broken = null;
      this.dispatch({ kind: 'opened' });
    } catch (thrown) {
      if (this.#peer !== peer) return;
      const error = ClientError.fromUnknown(thrown);
      this.#lastError = error;
      // The server has forgotten what it gave us, but not whom it lets in.
      const isForgotten = this.#broken !== null && FORGOTTEN.includes(error.code);
      if (isForgotten) this.#broken = null;
      // A browser that refuses the server's answer will refuse it again; 422 is what the server would have said.
      const status = isForgotten ? null : error.code === 'internal' ? 422 : error.status;
      this.dispatch({ kind: 'openFailed', status, retryAfterMs: error.retryAfterMs });
      if (this.status !== 'failed') this.#options.onError(error, false);
    }
  }

  #createPeer(replaces: PeerSession | null): PeerSession {
    const peer: PeerSession = this.#options.createPeer(
      {
        onState: (state) => {
          // The server has ended this one because the other has taken its place.
          if (this.#peer === peer && state === 'ended' && this.#nextHasPlace) this.#dispatchMove({ kind: 'ready' });
          else if (this.#peer === peer) this.dispatch({ kind: 'peer', state });
          else if (this.#next === peer && (state === 'failed' || state === 'ended')) {
            this.#dispatchMove({ kind: 'failed', retryAfterMs: null });
          }
        },
        onReconnect: () => {
          if (this.#peer === peer) this.#dispatchMove({ kind: 'asked' });
          else if (this.#next === peer) this.#dispatchMove({ kind: 'next-asked' });
        },
      },
      replaces,
    );
    return peer;
  }

  #dispatchMove(event: MoveEvent): void {
    const canMove = this.#options.moving !== undefined && MOVABLE.includes(this.#machine.phase);
    if (event.kind === 'asked' && !canMove) return;
    const { timeoutMs } = this.#options.moving ?? {};
    const { state, effects } = stepMove(this.#move, event, performance.now(), Math.random(), timeoutMs);
    this.#move = state;
    this.#moveAlarm.set(state.wakeAt);
    for (const effect of effects) this.#runMove(effect);
  }

  #runMove(effect: MoveEffect): void {
    const next = this.#next;
    switch (effect.kind) {
      case 'open':
        void this.#openNext();
        return;
      case 'drop':
        this.#next = null;
        if (next === null) return;
        // Whoever begins anew waits for it: it has a place of its own.
        this.#leaving.close(next);
        this.#options.moving?.onDropped?.(next);
        return;
      case 'adopt': {
        const old = this.#peer;
        if (next === null || old === null) return;
        this.#peer = next;
        this.#next = null;
        this.#leaving.closeAfter(old, this.#options.moving?.overlapMs ?? MOVE_OVERLAP_MS);
        this.dispatch({ kind: 'moved' });
        this.#options.moving?.onMoved?.(next);
      }
    }
  }

  async #openNext(): Promise<void> {
    const next = this.#createPeer(this.#peer);
    this.#next = next;
    try {
      await next.open();
      if (this.#next === next) await this.#options.moving?.whenShown(next);
      if (this.#next === next) this.#dispatchMove({ kind: 'ready' });
    } catch (thrown) {
      if (this.#next !== next) return;
      this.#dispatchMove({ kind: 'failed', retryAfterMs: ClientError.fromUnknown(thrown).retryAfterMs });
    }
  }

  async #restart(): Promise<void> {
    const peer = this.#peer;
    try {
      await peer?.restart();
      const connected = peer?.connection.connectionState === 'connected';
      if (this.#peer === peer) this.dispatch({ kind: 'restarted', connected });
    } catch (thrown) {
      if (this.#peer !== peer) return;
      const { status } = ClientError.fromUnknown(thrown);
      // It is over, as after its node's death, and the other one has its place already: nothing is gained by a third.
      if (status === GONE && this.#nextHasPlace) this.#dispatchMove({ kind: 'ready' });
      else this.dispatch({ kind: 'restartFailed', status });
    }
  }

  async #probe(): Promise<void> {
    const peer = this.#peer;
    const status = (await peer?.probe()) ?? null;
    if (this.#peer !== peer) return;
    if (status !== GONE || !this.#nextHasPlace) this.dispatch({ kind: 'probed', status });
    // What it brings is waited for no longer: some of what was shown may have gone with the first. Who only watches keeps
    // the last picture until there is another.
    else if (this.#options.role === 'publish') this.#dispatchMove({ kind: 'ready' });
  }

  #close(): void {
    const peer = this.#peer;
    this.#peer = null;
    if (peer === null) return;
    const comesAgain = this.#machine.phase === 'backoff' && this.#machine.role === 'publish' && this.#machine.wasLive;
    if (comesAgain && this.#options.moving !== undefined && peer.canBeReplaced) {
      peer.hangUp();
      this.#broken = peer;
    } else {
      this.#leaving.close(peer);
    }
  }

  #forgetBroken(): void {
    const broken = this.#broken;
    this.#broken = null;
    if (broken !== null) this.#leaving.close(broken);
  }

  #failure(cause: FailureCause): ClientError {
    if (cause === 'ended') return new ClientError('The server ended this session', { code: 'ended' });
    if (cause === 'refused' && this.#lastError !== null) return this.#lastError;
    return new ClientError('No media path to the server: is UDP blocked on this network?', { code: 'no_path' });
  }

  #listen(wanted: boolean): void {
    if (wanted === (this.#listening !== null)) return;
    this.#listening?.abort();
    this.#listening = null;
    this.#silence?.stop();
    if (!wanted) return;
    this.#silence?.start();
    const controller = new AbortController();
    this.#listening = controller;
    watchPage((event) => this.dispatch({ kind: event }), controller.signal);
  }
}
