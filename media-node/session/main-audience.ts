/** Those who only watch a stream lobby (static WHEP): each gets the main tracks, one of a kind. */
import { ProblemError } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import type { NodeRequest, NodeResult } from '../../shared/protocol/control.ts';
import type { SourceTrack } from '../forward/types.ts';
import type { WantedTrack } from '../negotiate/plan.ts';
import type { CarriedLobbyEvents } from './carried-lobby.ts';
import { canReplace } from './codec-match.ts';
import type { NodeContext } from './context.ts';
import { toPlayer } from './egress-negotiation.ts';
import { EgressSession } from './egress-session.ts';
import type { IceResource } from './ice-resource.ts';
import type { Mover } from './move-round.ts';

type PlayRequest = Extract<NodeRequest, { method: 'play' }>;

/** The first of each kind: what one player shows, and what goes on the air. */
export function oneOfEachKind(tracks: readonly WantedTrack[]): WantedTrack[] {
  const video = tracks.find(({ kind }) => kind === 'video');
  // The sound that belongs to the picture, when there is one.
  const audio =
    tracks.find(({ kind, stream }) => kind === 'audio' && stream === video?.stream) ??
    tracks.find(({ kind }) => kind === 'audio');
  return [audio, video].filter((track) => track !== undefined);
}

export type AudienceEvents = Pick<CarriedLobbyEvents, 'onEgressChange' | 'onViewerLeft'>;

export class MainAudience {
  readonly #context: NodeContext;
  readonly #events: AudienceEvents;
  readonly #viewers = new Map<SessionId, EgressSession>();
  #tracks: readonly WantedTrack[] = [];
  /** What the present viewers negotiated for; kept while nobody sends. */
  #negotiated: readonly WantedTrack[] = [];
  #find: (key: string) => SourceTrack | null = () => null;

  constructor(context: NodeContext, events: AudienceEvents) {
    this.#context = context;
    this.#events = events;
  }

  get size(): number {
    return this.#viewers.size;
  }

  /**
   * Viewers go on when the new tracks are of the same kinds and codecs, and wait while there are none; otherwise they are
   * closed, and come back with a new offer.
   */
  setTracks(main: readonly WantedTrack[], find: (key: string) => SourceTrack | null): void {
    this.#tracks = oneOfEachKind(main);
    this.#find = find;
    if (this.#tracks.length > 0) {
      const same = canReplace(this.#negotiated, this.#tracks) && canReplace(this.#tracks, this.#negotiated);
      if (!same) this.end();
      this.#negotiated = this.#tracks;
    }
    for (const viewer of this.#viewers.values()) this.#attach(viewer);
  }

  /** @throws ProblemError 404 without main tracks, 403 above the limit, 400 or 422 for the offer */
  open(request: PlayRequest): NodeResult<'play'> {
    if (this.#tracks.length === 0) throw new ProblemError(404, 'no_main_track', 'nobody sends a main track');
    if (request.maxSubscribers > 0 && this.#viewers.size >= request.maxSubscribers) {
      throw new ProblemError(403, 'subscriber_limit', 'subscriber limit reached');
    }
    const viewer = new EgressSession({
      context: this.#context,
      session: request.session,
      negotiation: toPlayer(request.offer, this.#tracks),
      events: {
        onMedia: (connected) => this.#attach(connected),
        onEnded: ({ id }, reason) => {
          this.#viewers.delete(id);
          if (reason === 'peer-closed') this.#events.onViewerLeft(id);
          this.#events.onEgressChange();
        },
      },
    });
    this.#viewers.set(viewer.id, viewer);
    this.#events.onEgressChange();
    return { sdp: viewer.sdp, etag: viewer.ice.etag };
  }

  acceptAnswer(session: SessionId, answer: string): boolean {
    const viewer = this.#viewers.get(session);
    viewer?.acceptAnswer(answer);
    return viewer !== undefined;
  }

  ice(session: SessionId): IceResource | null {
    return this.#viewers.get(session)?.ice ?? null;
  }

  close(session: SessionId): boolean {
    const viewer = this.#viewers.get(session);
    if (viewer === undefined) return false;
    this.#viewers.delete(session);
    viewer.close();
    this.#events.onEgressChange();
    return true;
  }

  movers(): Iterable<Mover> {
    return this.#viewers.values();
  }

  /** Closes all. Idempotent. */
  end(): void {
    if (this.#viewers.size === 0) return;
    for (const viewer of this.#viewers.values()) viewer.close();
    this.#viewers.clear();
    this.#events.onEgressChange();
  }

  #attach(viewer: EgressSession): void {
    viewer.attach(({ kind }) => {
      const track = this.#tracks.find((candidate) => candidate.kind === kind);
      return track === undefined ? null : this.#find(track.key);
    });
  }
}
