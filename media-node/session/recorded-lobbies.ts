/** What the recordings must know of the lobbies: what the edge wants of them, and who publishes in them here. */
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { DesiredLobby, DesiredStream } from '../../shared/protocol/control.ts';
import type { Recordings } from '../record/recordings.ts';
import type { IngressSession } from './ingress-session.ts';

export class RecordedLobbies {
  readonly #recordings: Recordings | null;
  /** The lost session that each publisher continues. */
  readonly #replaced = new Map<SessionId, SessionId>();

  /** @param recordings null: nothing is recorded here */
  constructor(recordings: Recordings | null) {
    this.#recordings = recordings;
  }

  /** A publisher's session was opened. */
  published(session: SessionId, replaces: SessionId | null): void {
    if (replaces !== null) this.#replaced.set(session, replaces);
  }

  /** What the edge wants was applied; it is the newest that was heard. */
  wish(desired: DesiredLobby | DesiredStream, publishers: readonly IngressSession[]): void {
    const isOver = 'publisher' in desired ? desired.publisher === null : desired.members.length === 0;
    if (isOver) {
      this.#recordings?.end(desired.lobby);
      return;
    }
    this.changed(desired.lobby, publishers);
    this.#recordings?.want(desired.lobby, desired.recording);
  }

  /** Everything that is not listed is over. */
  keep(lobbies: readonly { lobby: LobbyId }[]): void {
    this.#recordings?.keep(new Set(lobbies.map(({ lobby }) => lobby)));
  }

  /** A publisher came, is up, or has gone. */
  changed(lobby: LobbyId, publishers: readonly IngressSession[]): void {
    const present = publishers.filter(({ closed }) => !closed);
    for (const { id, closed } of publishers) if (closed) this.#replaced.delete(id);
    this.#recordings?.present(
      lobby,
      present.map((publisher) => ({
        session: publisher.id,
        replaces: this.#replaced.get(publisher.id) ?? null,
        tracks: publisher.sources.map(({ mid, codec }) => ({ mid, codec, track: publisher.sourceTrack(mid) })),
      })),
    );
  }
}
