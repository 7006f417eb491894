/** Rooms and stream lobbies, where the difference does not matter: found by lobby or by session, and counted. */
import { type LobbyId, type SessionId, streamOfLobby } from '../../shared/ids.ts';
import type { IngressReport, LobbyLoad, RelayReport } from '../../shared/protocol/control.ts';
import type { CarriedLobby } from './carried-lobby.ts';
import type { CarriedRooms } from './carried-rooms.ts';
import type { CarriedStream } from './carried-stream.ts';
import type { CarriedStreams } from './carried-streams.ts';
import type { EgressSession } from './egress-session.ts';
import type { IceResource } from './ice-resource.ts';
import type { Mover } from './move-round.ts';
import { noSession } from './refusals.ts';

export class CarriedLobbies {
  readonly #rooms: CarriedRooms;
  readonly #streams: CarriedStreams;

  constructor(rooms: CarriedRooms, streams: CarriedStreams) {
    this.#rooms = rooms;
    this.#streams = streams;
  }

  get sessionCount(): number {
    let count = 0;
    for (const lobby of this.#all()) count += lobby.sessionCount;
    return count;
  }

  /** Somebody would miss this node. */
  get busy(): boolean {
    return this.#some(({ busy }) => busy);
  }

  get loads(): LobbyLoad[] {
    return [...this.#all()].map(({ id, subscriberCount, upstreams: from, downstreams: to }) => ({
      lobby: id,
      subscribers: subscriberCount,
      ...(from.length + to.length === 0 ? {} : { relays: { from, to } }),
    }));
  }

  ingressReports(): IngressReport[] {
    return [...this.#all()].flatMap((lobby) => lobby.ingressReports());
  }

  relayReports(): RelayReport[] {
    return [...this.#all()].flatMap((lobby) => lobby.relayReports());
  }

  /** All clients; those who understand it make a new session elsewhere when they are asked to. */
  movers(): Mover[] {
    return [...this.#all()].flatMap((lobby) => [...lobby.movers()]);
  }

  /** Those of the kind of this lobby, be it here or not. */
  ofKind(lobby: LobbyId): CarriedRooms | CarriedStreams {
    return streamOfLobby(lobby) === null ? this.#rooms : this.#streams;
  }

  /** @throws ProblemError 404 `no_session` */
  ice(session: SessionId): IceResource {
    for (const lobby of this.#all()) {
      const ice = lobby.ice(session);
      if (ice !== null) return ice;
    }
    throw noSession();
  }

  /** One of those who watch. @throws ProblemError 404 `no_session` */
  viewer(session: SessionId): { viewer: EgressSession; lobby: LobbyId } {
    for (const lobby of this.#all()) {
      const viewer = lobby.viewer(session);
      if (viewer !== null) return { viewer, lobby: lobby.id };
    }
    throw noSession();
  }

  /** False when the session is not here. @throws ProblemError 422 when no answer is awaited, 400 or 422 for a bad one */
  acceptAnswer(session: SessionId, answer: string): boolean {
    return this.#some((lobby) => lobby.acceptAnswer(session, answer));
  }

  /** False when the session is not here. */
  closeSession(session: SessionId): boolean {
    return this.#some((lobby) => lobby.closeSession(session));
  }

  *#all(): Iterable<CarriedLobby | CarriedStream> {
    yield* this.#rooms.all();
    yield* this.#streams.all();
  }

  #some(test: (lobby: CarriedLobby | CarriedStream) => boolean): boolean {
    for (const lobby of this.#all()) if (test(lobby)) return true;
    return false;
  }
}
