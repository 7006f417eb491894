/** The rooms of this node: opened by a publisher or a relay, ended by the edge, or with the last who is in them. */
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId } from '../../shared/ids.ts';
import type { DesiredLobby, NodeRequest, NodeResult } from '../../shared/protocol/control.ts';
import { CarriedLobby, type CarriedLobbyEvents } from './carried-lobby.ts';
import type { NodeContext } from './context.ts';
import type { IngressSession } from './ingress-session.ts';
import { refuseWhenStale } from './refusals.ts';

type RequestOf<M extends NodeRequest['method']> = Extract<NodeRequest, { method: M }>;

export interface CarriedRoomsEvents extends Omit<CarriedLobbyEvents, 'onIngressChange'> {
  onIngressChange(lobby: LobbyId, session: IngressSession): void;
}

export class CarriedRooms {
  readonly #context: NodeContext;
  readonly #events: CarriedRoomsEvents;
  readonly #rooms = new Map<LobbyId, CarriedLobby>();

  constructor(context: NodeContext, events: CarriedRoomsEvents) {
    this.#context = context;
    this.#events = events;
  }

  all(): Iterable<CarriedLobby> {
    return this.#rooms.values();
  }

  /** Who publishes in a room, on this node itself. */
  publishers(lobby: LobbyId): readonly IngressSession[] {
    const publisher = this.#rooms.get(lobby)?.publisher ?? null;
    return publisher === null ? [] : [publisher];
  }

  /** @throws ProblemError 409 `stale_revision`, and as `CarriedLobby.publish` */
  publish(request: RequestOf<'publish'>): NodeResult<'publish'> {
    return this.#inRoom(request, (room) => room.publish(request));
  }

  /** @throws ProblemError 404 `no_publisher`, and as `CarriedLobby.play` */
  play(request: RequestOf<'play'>): NodeResult<'play'> {
    return this.#known(request.lobby).play(request);
  }

  /** @throws ProblemError 404 `no_publisher`, and as `CarriedLobby.relayOffer` */
  relayOffer(request: RequestOf<'relay-offer'>): NodeResult<'relay-offer'> {
    return this.#known(request.lobby).relayOffer(request);
  }

  /** @throws ProblemError 409 `stale_revision`, and as `CarriedLobby.relayPull` */
  relayPull(request: RequestOf<'relay-pull'>): NodeResult<'relay-pull'> {
    return this.#inRoom(request, (room) => room.relayPull(request));
  }

  /** A newer state of the room is known. */
  isStale({ lobby, revision }: DesiredLobby): boolean {
    const room = this.#rooms.get(lobby);
    return room !== undefined && revision < room.revision;
  }

  /** What is not carried here is not begun here either. */
  apply(desired: DesiredLobby): void {
    const room = this.#rooms.get(desired.lobby);
    if (room === undefined || desired.revision < room.revision) return;
    if (desired.publisher === null && (desired.relay ?? null) === null) this.#end(room);
    else room.apply(desired);
  }

  /** Ends the rooms that are not listed; those that are left. */
  keep(lobbies: ReadonlySet<LobbyId>): LobbyId[] {
    for (const room of [...this.#rooms.values()]) if (!lobbies.has(room.id)) this.#end(room);
    return [...this.#rooms.keys()];
  }

  /** Ends all. */
  close(): void {
    this.keep(new Set());
  }

  /** @throws ProblemError 404 `no_publisher` */
  #known(lobby: LobbyId): CarriedLobby {
    const room = this.#rooms.get(lobby);
    if (room === undefined) throw new ProblemError(404, 'no_publisher', 'no active publisher in room');
    return room;
  }

  /** In the room, or in a new one, which is only kept when that succeeds. @throws ProblemError 409 `stale_revision` */
  #inRoom<T>({ lobby, revision }: { lobby: LobbyId; revision: number }, begin: (room: CarriedLobby) => T): T {
    const known = this.#rooms.get(lobby);
    refuseWhenStale(known, revision);
    const room = known ?? this.#open(lobby);
    const result = begin(room);
    this.#rooms.set(lobby, room);
    return result;
  }

  #open(lobby: LobbyId): CarriedLobby {
    const { onIngressChange, ...events } = this.#events;
    return new CarriedLobby(lobby, this.#context, {
      ...events,
      onIngressChange: (session) => {
        onIngressChange(lobby, session);
        if (this.#rooms.get(lobby)?.empty === true) this.#rooms.delete(lobby);
      },
    });
  }

  #end(room: CarriedLobby): void {
    room.close();
    this.#rooms.delete(room.id);
    this.#events.onEgressChange();
  }
}
