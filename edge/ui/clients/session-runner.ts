/** Runs a `SessionMachine`: one timer, one peer session at a time, the network's and the page's events. */
import { ClientError } from './errors.ts';
import type { PeerSession, PeerSessionOptions } from './peer-session.ts';
import {
  type FailureCause,
  initialSession,
  type Role,
  type SessionEffect,
  type SessionEvent,
  type SessionStatus,
  sessionStatus,
  step,
} from './session-machine.ts';

export interface RunnerOptions {
  role: Role;
  /** Makes the peer session of each attempt; not opened yet. */
  createPeer(onState: PeerSessionOptions['onState']): PeerSession;
  onStatus(status: SessionStatus): void;
  /** `fatal`: the runner has given up and rests in `failed`. */
  onError(error: ClientError, fatal: boolean): void;
}

export class SessionRunner {
  readonly #options: RunnerOptions;
  #machine: ReturnType<typeof initialSession>;
  #peer: PeerSession | null = null;
  #lastError: ClientError | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** A new session waits for the old one's DELETE, or a publisher would be refused because of itself. */
  #closing: Promise<void> = Promise.resolve();
  #listening: AbortController | null = null;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#machine = initialSession(options.role);
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
    this.#setTimer(state.wakeAt);
    this.#listen(!['idle', 'stopped', 'failed'].includes(state.phase));
    for (const effect of effects) this.#run(effect);
    if (this.status !== before) this.#options.onStatus(this.status);
  }

  /** Resolves when the last session's DELETE has been answered. */
  async settled(): Promise<void> {
    await this.#closing;
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
    const peer: PeerSession = this.#options.createPeer((state) => {
      if (this.#peer === peer) this.dispatch({ kind: 'peer', state });
    });
    this.#peer = peer;
    try {
      await this.#closing;
      if (this.#peer !== peer) return;
      await peer.open();
      if (this.#peer === peer) this.dispatch({ kind: 'opened' });
    } catch (thrown) {
      if (this.#peer !== peer) return;
      const error = ClientError.fromUnknown(thrown);
      this.#lastError = error;
      // A browser that refuses the server's answer will refuse it again; 422 is what the server would have said.
      const status = error.code === 'internal' ? 422 : error.status;
      this.dispatch({ kind: 'openFailed', status, retryAfterMs: error.retryAfterMs });
      if (this.status !== 'failed') this.#options.onError(error, false);
    }
  }

  async #restart(): Promise<void> {
    const peer = this.#peer;
    try {
      await peer?.restart();
      const connected = peer?.connection.connectionState === 'connected';
      if (this.#peer === peer) this.dispatch({ kind: 'restarted', connected });
    } catch (thrown) {
      if (this.#peer === peer) this.dispatch({ kind: 'restartFailed', status: ClientError.fromUnknown(thrown).status });
    }
  }

  async #probe(): Promise<void> {
    const peer = this.#peer;
    const status = (await peer?.probe()) ?? null;
    if (this.#peer === peer) this.dispatch({ kind: 'probed', status });
  }

  #close(): void {
    const peer = this.#peer;
    this.#peer = null;
    if (peer !== null) this.#closing = peer.close();
  }

  #failure(cause: FailureCause): ClientError {
    if (cause === 'ended') return new ClientError('The server ended this session', { code: 'ended' });
    if (cause === 'refused' && this.#lastError !== null) return this.#lastError;
    return new ClientError('No media path to the server: is UDP blocked on this network?', { code: 'no_path' });
  }

  #setTimer(wakeAt: number | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (wakeAt === null) return;
    this.#timer = setTimeout(() => this.dispatch({ kind: 'tick' }), Math.max(0, Math.ceil(wakeAt - performance.now())));
  }

  #listen(wanted: boolean): void {
    if (wanted === (this.#listening !== null)) return;
    this.#listening?.abort();
    this.#listening = null;
    if (!wanted) return;
    const controller = new AbortController();
    this.#listening = controller;
    const { signal } = controller;
    addEventListener('online', () => this.dispatch({ kind: 'networkChanged' }), { signal });
    addEventListener('pagehide', () => this.dispatch({ kind: 'stop' }), { signal });
    document.addEventListener(
      'visibilitychange',
      () => {
        if (document.visibilityState === 'visible') this.dispatch({ kind: 'nudge' });
      },
      { signal },
    );
    watchInterface(() => this.dispatch({ kind: 'networkChanged' }), signal);
  }
}

/** Wi-Fi to mobile and back. `change` also fires for new bandwidth guesses, which mean nothing here. */
function watchInterface(changed: () => void, signal: AbortSignal): void {
  const information = (navigator as { connection?: EventTarget & { type?: string } }).connection;
  let type = information?.type;
  information?.addEventListener(
    'change',
    () => {
      if (information.type === type) return;
      type = information.type;
      changed();
    },
    { signal },
  );
}
