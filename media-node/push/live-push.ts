/** A live stream to an RTMP server: tries, and tries again, until it is stopped. */
import type { LobbyId } from '../../shared/ids.ts';
import type { LiveReport } from '../../shared/protocol/control.ts';
import { backoffMs } from '../control/backoff.ts';
import type { NodeContext } from '../session/context.ts';
import type { AddressPolicy } from './address-policy.ts';
import { isFeedable } from './ffmpeg-arguments.ts';
import { attemptPush, type PushSource } from './push-attempt.ts';
import { type PushTarget, parsePushTarget, sanitise } from './push-target.ts';

const RETRY_BASE_MS = 500;
const RETRY_MAX_MS = 10_000;
/** On the air for this long: the next failure is a new one. */
const SETTLED_MS = 10_000;

export interface LivePushOptions {
  context: NodeContext;
  lobby: LobbyId;
  live: string;
  /** With the stream key. */
  url: string;
  policy: AddressPolicy;
  /** Path of ffmpeg. @throws ProblemError 501 `no_ffmpeg` */
  ffmpeg(): string;
  /** The state changed: see `report`. */
  onChange(): void;
}

export class LivePush {
  readonly live: string;
  readonly #options: LivePushOptions;
  readonly #target: PushTarget | null;
  #sources: readonly PushSource[];
  #state: LiveReport['state'] = 'starting';
  #error: string | null = null;
  #onlineMs: number | null = null;
  #failures = 0;
  #stopped = false;
  /** Ends the present try, or the wait before the next. */
  #interrupt = new AbortController();
  readonly #finished: Promise<void>;

  constructor(options: LivePushOptions, sources: readonly PushSource[]) {
    this.live = options.live;
    this.#options = options;
    this.#target = parsePushTarget(options.url);
    this.#sources = sources;
    this.#finished = this.#run();
  }

  report(): LiveReport {
    const { lobby, live } = this.#options;
    return { lobby, live, state: this.#state, ...(this.#error === null ? {} : { error: this.#error }) };
  }

  /** What goes on the air from now on; the stream begins anew when that is something else than before. */
  setSources(sources: readonly PushSource[]): void {
    if (sameSources(sources, this.#sources)) return;
    this.#sources = sources;
    this.#failures = 0;
    this.#interrupt.abort();
  }

  /** Resolves when ffmpeg is gone and the connection closed. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#interrupt.abort();
    await this.#finished;
  }

  async #run(): Promise<void> {
    // The one who made us shall hold us before the first change is told.
    await Promise.resolve();
    while (!this.#stopped) {
      this.#interrupt = new AbortController();
      const { signal } = this.#interrupt;
      const reason = await this.#try(signal);
      if (this.#stopped) break;
      if (signal.aborted) {
        this.#become('starting', null);
        continue;
      }
      const { context } = this.#options;
      const settled = this.#onlineMs !== null && context.now() - this.#onlineMs >= SETTLED_MS;
      this.#failures = settled ? 0 : this.#failures + 1;
      this.#onlineMs = null;
      const message = sanitise(reason.message, this.#target);
      if (message !== this.#error) context.log(`live ${this.live} does not run: ${message}`);
      this.#become('retrying', message);
      await pause(backoffMs(this.#failures, Math.random(), RETRY_BASE_MS, RETRY_MAX_MS), signal);
    }
    this.#become('ended', null);
  }

  async #try(signal: AbortSignal): Promise<Error> {
    const { context, policy } = this.#options;
    const target = this.#target;
    if (target === null) return new Error('not an RTMP address with application and stream key');
    const sources = this.#sources.filter(({ codec }) => isFeedable(codec));
    if (sources.length === 0) return new Error('no main track is here');
    try {
      const ffmpeg = this.#options.ffmpeg();
      const onOnline = (): void => {
        this.#onlineMs = context.now();
        this.#become('online', null);
      };
      return await attemptPush({ context, ffmpeg, target, policy, sources, signal, onOnline });
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  #become(state: LiveReport['state'], error: string | null): void {
    if (state === this.#state && error === this.#error) return;
    this.#state = state;
    this.#error = error;
    this.#options.onChange();
  }
}

function sameSources(a: readonly PushSource[], b: readonly PushSource[]): boolean {
  return (
    a.length === b.length && a.every(({ key, track }, index) => b[index]?.key === key && b[index]?.track === track)
  );
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) resolve();
  await promise;
  clearTimeout(timer);
}
