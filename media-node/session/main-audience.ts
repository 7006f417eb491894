/** Those who only watch a stream lobby (static WHEP): each gets the main tracks, one of a kind. */
import { ProblemError } from '../../shared/errors.ts';
import type { NodeRequest, NodeResult } from '../../shared/protocol/control.ts';
import type { SourceTrack } from '../forward/types.ts';
import type { WantedTrack } from '../negotiate/plan.ts';
import type { CarriedLobbyEvents } from './carried-lobby.ts';
import { canReplace } from './codec-match.ts';
import type { NodeContext } from './context.ts';
import { Viewers } from './viewers.ts';

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

export class MainAudience extends Viewers {
  #tracks: readonly WantedTrack[] = [];
  /** What the present viewers negotiated for; kept while nobody sends. */
  #negotiated: readonly WantedTrack[] = [];
  #find: (key: string) => SourceTrack | null = () => null;

  constructor(context: NodeContext, events: AudienceEvents) {
    super({
      context,
      find: (kind) => {
        const track = this.#tracks.find((candidate) => candidate.kind === kind);
        return track === undefined ? null : this.#find(track.key);
      },
      events: { onChange: () => events.onEgressChange(), onLeft: (session) => events.onViewerLeft(session) },
    });
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
    this.attach();
  }

  /** @throws ProblemError 404 without main tracks, 403 above the limit, 400 or 422 for the offer */
  override open(request: PlayRequest): NodeResult<'play'> {
    if (this.#tracks.length === 0) throw new ProblemError(404, 'no_main_track', 'nobody sends a main track');
    return super.open(request, this.#tracks);
  }
}
