/** The stream lobbies of this node: opened by the first member, here or by a relay; ended with the last or by the edge. */
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId } from '../../shared/ids.ts';
import type { DesiredStream, NodeRequest, NodeResult } from '../../shared/protocol/control.ts';
import { CarriedStream, type CarriedStreamOptions } from './carried-stream.ts';
import type { IngressSession } from './ingress-session.ts';
import { noSession, refuseWhenStale } from './refusals.ts';

type RequestOf<M extends NodeRequest['method']> = Extract<NodeRequest, { method: M }>;

export class CarriedStreams {
  readonly #options: CarriedStreamOptions;
  readonly #streams = new Map<LobbyId, CarriedStream>();
  /** Of streams that wait for their ffmpeg to go. */
  readonly #endings = new Set<Promise<void>>();

  constructor(options: CarriedStreamOptions) {
    this.#options = options;
  }

  all(): Iterable<CarriedStream> {
    return this.#streams.values();
  }

  /** @throws ProblemError 409 `stale_revision`, and as `CarriedStream.join` */
  join(request: RequestOf<'join'>): NodeResult<'join'> {
    const known = this.#streams.get(request.lobby);
    refuseWhenStale(known, request.revision);
    try {
      return (known ?? this.#open(request.lobby)).join(request);
    } finally {
      this.#forgetWhenEmpty(request.lobby);
    }
  }

  /** @throws ProblemError 404 `no_session`, and as `MemberSession.listen` */
  async listen(request: RequestOf<'listen'>): Promise<NodeResult<'listen'>> {
    const stream = this.#streams.get(request.lobby);
    if (stream === undefined) throw noSession();
    return await stream.listen(request);
  }

  /** @throws ProblemError 404 `no_session`, and as `CarriedStream.relayOffer` */
  relayOffer(request: RequestOf<'relay-offer'>): NodeResult<'relay-offer'> {
    const stream = this.#streams.get(request.lobby);
    if (stream === undefined) throw noSession();
    return stream.relayOffer(request);
  }

  /** @throws ProblemError 409 `stale_revision`, and as `CarriedStream.relayPull` */
  relayPull(request: RequestOf<'relay-pull'>): NodeResult<'relay-pull'> {
    const known = this.#streams.get(request.lobby);
    refuseWhenStale(known, request.revision);
    try {
      return (known ?? this.#open(request.lobby)).relayPull(request);
    } finally {
      this.#forgetWhenEmpty(request.lobby);
    }
  }

  /** @throws ProblemError 404 `lobby_not_running`, and as `CarriedStream.play` */
  play(request: RequestOf<'play'>): NodeResult<'play'> {
    const stream = this.#streams.get(request.lobby);
    if (stream === undefined) throw new ProblemError(404, 'lobby_not_running', 'the lobby is not running');
    return stream.play(request);
  }

  /** Members of one lobby who publish on this node itself. */
  publishers(lobby: LobbyId): readonly IngressSession[] {
    return this.#streams.get(lobby)?.publishers ?? [];
  }

  /** @throws ProblemError 501 `no_ffmpeg`; everything else is done then */
  apply(desired: DesiredStream): void {
    const stream = this.#streams.get(desired.lobby);
    if (stream === undefined || desired.revision < stream.revision) return;
    const { members, remotes = [], audience = false } = desired;
    if (members.length + remotes.length === 0 && !audience) this.#end(stream);
    else stream.apply(desired);
    this.#forgetWhenEmpty(desired.lobby);
  }

  /** The full truth: what is not in it ends. Nobody waits for an answer: a push that cannot begin is reported. */
  reconcile(all: readonly DesiredStream[]): void {
    const desired = new Map(all.map((stream) => [stream.lobby, stream]));
    for (const stream of [...this.#streams.values()]) {
      const wish = desired.get(stream.id);
      if (wish === undefined) this.#end(stream);
      else this.#applyOrReport(wish);
    }
  }

  /** Ends all; resolves when nothing is on the air any more. */
  async close(): Promise<void> {
    for (const stream of [...this.#streams.values()]) this.#end(stream);
    await Promise.all(this.#endings);
  }

  #open(lobby: LobbyId): CarriedStream {
    const { events } = this.#options;
    const stream = new CarriedStream(lobby, {
      ...this.#options,
      events: {
        ...events,
        onEgressChange: () => {
          events.onEgressChange();
          this.#forgetWhenEmpty(lobby);
        },
      },
    });
    this.#streams.set(lobby, stream);
    return stream;
  }

  #applyOrReport(desired: DesiredStream): void {
    try {
      this.apply(desired);
    } catch (error) {
      if (!(error instanceof ProblemError) || desired.live === null) throw error;
      const { lobby, live } = desired;
      this.#options.events.onLiveChange({ lobby, live: live.live, state: 'ended', error: error.detail });
    }
  }

  #forgetWhenEmpty(lobby: LobbyId): void {
    const stream = this.#streams.get(lobby);
    if (stream?.empty === true) this.#end(stream);
  }

  #end(stream: CarriedStream): void {
    this.#streams.delete(stream.id);
    const ending: Promise<void> = stream.close().finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
    this.#options.events.onEgressChange();
  }
}
