/** Those who watch: players that each get one track of a kind, of a room's publisher or of a lobby's main tracks. */
import { ProblemError } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import type { NodeRequest, NodeResult } from '../../shared/protocol/control.ts';
import type { SourceTrack } from '../forward/types.ts';
import type { SourceTrackInfo } from '../negotiate/plan.ts';
import type { NodeContext } from './context.ts';
import { toPlayer } from './egress-negotiation.ts';
import { EgressSession } from './egress-session.ts';
import type { IceResource } from './ice-resource.ts';
import type { Mover } from './move-round.ts';

type PlayRequest = Extract<NodeRequest, { method: 'play' }>;

export interface ViewersOptions {
  context: NodeContext;
  /** What they get of a kind at present; null: nothing. */
  find(kind: SourceTrackInfo['kind']): SourceTrack | null;
  events: {
    /** Their number changed. */
    onChange(): void;
    /** One closed the connection; its DELETE may still come. */
    onLeft(session: SessionId): void;
  };
}

export class Viewers {
  readonly #options: ViewersOptions;
  readonly #sessions = new Map<SessionId, EgressSession>();

  constructor(options: ViewersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** @param tracks what there is to negotiate for. @throws ProblemError 403 above the limit, 400 or 422 for the offer */
  open(request: PlayRequest, tracks: readonly SourceTrackInfo[]): NodeResult<'play'> {
    if (request.maxSubscribers > 0 && this.#sessions.size >= request.maxSubscribers) {
      throw new ProblemError(403, 'subscriber_limit', 'subscriber limit reached');
    }
    const { context, events } = this.#options;
    const viewer = new EgressSession({
      context,
      session: request.session,
      negotiation: toPlayer(request.offer, tracks),
      events: {
        onMedia: (connected) => this.#attachOne(connected),
        onEnded: ({ id }, reason) => {
          this.#sessions.delete(id);
          if (reason === 'peer-closed') events.onLeft(id);
          events.onChange();
        },
      },
    });
    this.#sessions.set(viewer.id, viewer);
    this.#attachOne(viewer);
    events.onChange();
    return { sdp: viewer.sdp, etag: viewer.ice.etag };
  }

  /** False when the session is not here. @throws ProblemError 422 when no answer is awaited, 400 or 422 for a bad one */
  acceptAnswer(session: SessionId, answer: string): boolean {
    const viewer = this.#sessions.get(session);
    viewer?.acceptAnswer(answer);
    return viewer !== undefined;
  }

  /** Null when the session is not here. */
  find(session: SessionId): EgressSession | null {
    return this.#sessions.get(session) ?? null;
  }

  /** Null when the session is not here. */
  ice(session: SessionId): IceResource | null {
    return this.#sessions.get(session)?.ice ?? null;
  }

  /** What `find` gives has changed. */
  attach(): void {
    for (const viewer of this.#sessions.values()) this.#attachOne(viewer);
  }

  movers(): Iterable<Mover> {
    return this.#sessions.values();
  }

  /** False when the session is not here. */
  close(session: SessionId): boolean {
    const viewer = this.#sessions.get(session);
    if (viewer === undefined) return false;
    this.#sessions.delete(session);
    viewer.close();
    this.#options.events.onChange();
    return true;
  }

  /** Closes all. Idempotent. */
  end(): void {
    if (this.#sessions.size === 0) return;
    for (const viewer of this.#sessions.values()) viewer.close();
    this.#sessions.clear();
    this.#options.events.onChange();
  }

  #attachOne(viewer: EgressSession): void {
    viewer.attach(({ kind }) => this.#options.find(kind));
  }
}
