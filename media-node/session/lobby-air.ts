/** What a stream lobby has on the air: at most one push, of its main tracks. */
import type { LobbyId } from '../../shared/ids.ts';
import type { DesiredStream, LiveReport } from '../../shared/protocol/control.ts';
import type { SourceTrack } from '../forward/types.ts';
import type { WantedTrack } from '../negotiate/plan.ts';
import type { AddressPolicy } from '../push/address-policy.ts';
import { LivePush } from '../push/live-push.ts';
import type { PushSource } from '../push/push-attempt.ts';
import type { NodeContext } from './context.ts';
import { oneOfEachKind } from './main-audience.ts';

/** What the node lends for pushing. */
export interface Pushing {
  policy: AddressPolicy;
  /** Path of ffmpeg. @throws ProblemError 501 `no_ffmpeg` */
  ffmpeg(): string;
}

export interface LobbyAirOptions {
  context: NodeContext;
  lobby: LobbyId;
  pushing: Pushing;
  onChange(report: LiveReport): void;
}

export class LobbyAir {
  readonly #options: LobbyAirOptions;
  #push: LivePush | null = null;
  readonly #stopping = new Map<LivePush, Promise<void>>();
  #sources: readonly PushSource[] = [];

  constructor(options: LobbyAirOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#push !== null || this.#stopping.size > 0;
  }

  reports(): LiveReport[] {
    return this.#push === null ? [] : [this.#push.report()];
  }

  setTracks(main: readonly WantedTrack[], find: (key: string) => SourceTrack | null): void {
    this.#sources = oneOfEachKind(main).flatMap(({ key, codec }) => {
      const track = find(key);
      return track === null ? [] : [{ key, codec, track }];
    });
    this.#push?.setSources(this.#sources);
  }

  /** @throws ProblemError 501 `no_ffmpeg`: nothing is on the air then */
  apply(desired: DesiredStream['live']): void {
    if (this.#push !== null && this.#push.live !== desired?.live) this.#stop();
    if (desired === null || this.#push !== null) return;
    const { context, lobby, pushing, onChange } = this.#options;
    // Asked for once now, so that whoever waits for this hears it at once.
    pushing.ffmpeg();
    const { live, url } = desired;
    const push: LivePush = new LivePush(
      { ...pushing, context, lobby, live, url, onChange: () => onChange(push.report()) },
      this.#sources,
    );
    this.#push = push;
    onChange(push.report());
  }

  /** Resolves when every ffmpeg is gone. Idempotent. */
  async close(): Promise<void> {
    this.#stop();
    await Promise.all(this.#stopping.values());
  }

  #stop(): void {
    const push = this.#push;
    if (push === null) return;
    this.#push = null;
    this.#stopping.set(
      push,
      push.stop().finally(() => this.#stopping.delete(push)),
    );
  }
}
