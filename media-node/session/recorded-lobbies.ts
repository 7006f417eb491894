/** What the recordings must know of the lobbies: what the edge wants of them, and who publishes in them here. */
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { DesiredLobby, DesiredStream } from '../../shared/protocol/control.ts';
import type { Recordings } from '../record/recordings.ts';
import type { IngressSession } from './ingress-session.ts';

export class RecordedLobbies {
  readonly #recordings: Recordings | null;
  /** The publisher of each room that goes on for a lost one. */
  readonly #continued = new Map<LobbyId, { session: SessionId; replaces: SessionId }>();

  /** @param recordings null: nothing is recorded here */
  constructor(recordings: Recordings | null) {
    this.#recordings = recordings;
  }

  /** A room's publisher was opened. */
  published(lobby: LobbyId, session: SessionId, replaces: SessionId | null): void {
    if (replaces === null) this.#continued.delete(lobby);
    else this.#continued.set(lobby, { session, replaces });
  }

  /** What the edge wants was applied; it is the newest that was heard. */
  wish(desired: DesiredLobby | DesiredStream, publishers: readonly IngressSession[]): void {
    const isOver = 'publisher' in desired ? desired.publisher === null : desired.members.length === 0;
    if (isOver) {
      this.#continued.delete(desired.lobby);
      this.#recordings?.end(desired.lobby);
      return;
    }
    this.changed(desired.lobby, publishers);
    this.#recordings?.want(desired.lobby, desired.recording);
  }

  /** Everything that is not listed is over. */
  keep(lobbies: readonly { lobby: LobbyId }[]): void {
    const kept = new Set(lobbies.map(({ lobby }) => lobby));
    for (const lobby of [...this.#continued.keys()]) if (!kept.has(lobby)) this.#continued.delete(lobby);
    this.#recordings?.keep(kept);
  }

  /** A publisher came, is up, or has gone. */
  changed(lobby: LobbyId, publishers: readonly IngressSession[]): void {
    const present = publishers.filter(({ closed }) => !closed);
    const continued = this.#continued.get(lobby);
    this.#recordings?.present(
      lobby,
      present.map((publisher) => ({
        session: publisher.id,
        replaces: continued?.session === publisher.id ? continued.replaces : null,
        tracks: publisher.sources.map(({ mid, codec }) => ({ mid, codec, track: publisher.sourceTrack(mid) })),
      })),
    );
  }
}
