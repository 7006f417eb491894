/**
 * Everything that this process carries, and what the edge may ask of it. But for the wait for a signal channel, requests
 * are answered in one go: nothing is awaited between reading a state and changing it, so requests cannot interleave.
 */
import { ProblemError } from '../../shared/errors.ts';
import { type BootId, type LobbyId, type NodeId, type SessionId, streamOfLobby } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  type Coordinates,
  type DesiredLobby,
  type DesiredStream,
  type Hello,
  type LobbyLoad,
  type NodeRequest,
  type NodeResult,
  type Report,
  type Welcome,
} from '../../shared/protocol/control.ts';
import type { LinkHandler } from '../control/link.ts';
import type { Recordings } from '../record/recordings.ts';
import { Snapshots } from '../record/snapshots.ts';
import type { LoadMeter } from '../stats/load-meter.ts';
import { CarriedLobby } from './carried-lobby.ts';
import type { CarriedStream } from './carried-stream.ts';
import { CarriedStreams } from './carried-streams.ts';
import type { NodeContext } from './context.ts';
import { Drain } from './drain.ts';
import type { IceResource } from './ice-resource.ts';
import type { IngressSession } from './ingress-session.ts';
import { LeftViewers } from './left-viewers.ts';
import type { Pushing } from './lobby-air.ts';
import { MoveRound } from './move-round.ts';
import { RecordedLobbies } from './recorded-lobbies.ts';
import { noSession, refuseWhenStale } from './refusals.ts';
import { ReportQueue } from './report-queue.ts';

type RequestOf<M extends NodeRequest['method']> = Extract<NodeRequest, { method: M }>;

export interface MediaNodeOptions {
  context: NodeContext;
  pushing: Pushing;
  /** Nothing is recorded without. */
  recordings?: Recordings | undefined;
  node: NodeId;
  boot: BootId;
  version: string;
  region: string;
  coordinates?: Coordinates | undefined;
  /** Sessions that this node takes. */
  capacity: number;
  /** What the machine can send; not said when absent. */
  packetsPerSecond?: number | undefined;
  bandwidthBps?: number | undefined;
  load: LoadMeter;
  /** Sends a report to the edge; false when there is no link to send it on. */
  report(report: Report): boolean;
  /** It takes nothing new from now on. */
  onDraining?(): void;
  /** A drain is over: close the node and leave. */
  onDrained?(): void;
}

export class MediaNode implements LinkHandler {
  readonly #options: MediaNodeOptions;
  readonly #rooms = new Map<LobbyId, CarriedLobby>();
  readonly #streams: CarriedStreams;
  readonly #reports: ReportQueue;
  readonly #left = new LeftViewers();
  readonly #drain: Drain;
  #moving: MoveRound | null = null;
  readonly #recorded: RecordedLobbies;
  readonly #snapshots: Snapshots;

  constructor(options: MediaNodeOptions) {
    this.#options = options;
    this.#reports = new ReportQueue({
      lobbies: () => this.#lobbyLoads(),
      load: () => options.load.sample(this.sessionCount),
      draining: () => this.#drain.active,
      send: (report) => options.report(report),
    });
    const { context, pushing } = options;
    this.#recorded = new RecordedLobbies(options.recordings ?? null);
    this.#snapshots = new Snapshots({ context, ffmpeg: () => pushing.ffmpeg() });
    this.#streams = new CarriedStreams({
      context,
      pushing,
      events: {
        onIngressChange: (report) => {
          this.#reports.ingressChanged(report);
          this.#recorded.changed(report.lobby, this.#streams.publishers(report.lobby));
        },
        onEgressChange: () => this.#reports.schedule(),
        onViewerLeft: (session) => this.#left.remember(session),
        onLiveChange: (report) => this.#reports.liveChanged(report),
        onRelayChange: (report) => this.#reports.relayChanged(report),
      },
    });
    this.#drain = new Drain({
      now: () => context.now(),
      busy: () => [...this.#carried()].some(({ busy }) => busy),
      onBegin: (timeoutMs) => {
        const movers = [...this.#carried()].flatMap((lobby) => [...lobby.movers()]);
        this.#moving = new MoveRound(movers, timeoutMs, () => context.now());
        this.#reports.schedule();
        options.onDraining?.();
      },
      onDone: () => options.onDrained?.(),
    });
  }

  /** Takes nothing new, asks clients to move, and says `onDrained` when all are gone or the time is over. */
  drain(timeoutMs: number): void {
    this.#moving?.hurry(timeoutMs);
    this.#drain.begin(timeoutMs);
  }

  get sessionCount(): number {
    let count = 0;
    for (const lobby of this.#carried()) count += lobby.sessionCount;
    return count;
  }

  /** Rooms. */
  lobbies(): Iterable<CarriedLobby> {
    return this.#rooms.values();
  }

  streams(): Iterable<CarriedStream> {
    return this.#streams.all();
  }

  // ---- LinkHandler ------------------------------------------------------------------------------------------------

  hello(): Hello {
    const options = this.#options;
    this.#reports.clear();
    return {
      type: 'hello',
      protocol: CONTROL_PROTOCOL_VERSION,
      node: options.node,
      boot: options.boot,
      version: options.version,
      region: options.region,
      addresses: options.context.endpoint.candidates.map(({ address, port, family }) =>
        family === 6 ? `[${address}]:${port}` : `${address}:${port}`,
      ),
      engine: options.context.forwarder.engine,
      capacity: {
        sessions: options.capacity,
        ...(options.packetsPerSecond === undefined ? {} : { packetsPerSecond: options.packetsPerSecond }),
        ...(options.bandwidthBps === undefined ? {} : { bandwidthBps: options.bandwidthBps }),
      },
      ...(options.coordinates === undefined ? {} : { coordinates: options.coordinates }),
      draining: this.#drain.active,
      ingress: [...this.#carried()].flatMap((lobby) => lobby.ingressReports()),
      lobbies: this.#lobbyLoads(),
      lives: [...this.#streams.all()].flatMap((stream) => stream.liveReports()),
      relays: [...this.#carried()].flatMap((lobby) => lobby.relayReports()),
      load: options.load.sample(this.sessionCount),
    };
  }

  /** Closes what the edge does not want here, and leaves alone what it does. */
  welcome(welcome: Welcome): void {
    const rooms = new Map(welcome.desired.map((lobby) => [lobby.lobby, lobby]));
    for (const room of [...this.#rooms.values()]) {
      const wish = rooms.get(room.id);
      if (wish === undefined) this.#end(room);
      else this.#apply(wish);
    }
    this.#streams.reconcile(welcome.streams ?? []);
    for (const stream of welcome.streams ?? []) this.#recorded.wish(stream, this.#streams.publishers(stream.lobby));
    this.#recorded.keep([...welcome.desired, ...(welcome.streams ?? [])]);
    // What happened between the hello and now was not in either.
    this.#reports.schedule();
  }

  request(request: NodeRequest): NodeResult<NodeRequest['method']> | Promise<NodeResult<NodeRequest['method']>> {
    switch (request.method) {
      case 'publish':
        return this.#publish(request);
      case 'play':
        return this.#play(request);
      case 'join':
        this.#refuseNew();
        return this.#streams.join(request);
      case 'listen':
        this.#refuseNew();
        return this.#streams.listen(request);
      case 'answer':
        if (!this.#some((lobby) => lobby.acceptAnswer(request.session, request.answer))) throw noSession();
        return {};
      case 'patch':
        return this.#ice(request.session).patch(request);
      case 'probe':
        this.#ice(request.session);
        return {};
      case 'close':
        this.#close(request.session);
        return {};
      case 'apply':
        this.#apply(request.desired);
        return {};
      case 'apply-stream':
        this.#applyStream(request.desired);
        return {};
      case 'relay-offer':
        return this.#relayOffer(request);
      case 'relay-pull':
        return this.#relayPull(request);
      case 'drain':
        this.drain(request.timeoutMs);
        return {};
      case 'snapshot':
        return this.#snapshots.take(request.lobby, this.#publishers(request.lobby), request.session);
    }
  }

  /** Ends everything, telling the peers; resolves when the programs that it started are gone. Idempotent. */
  async close(): Promise<void> {
    this.#drain.close();
    this.#moving?.close();
    for (const room of [...this.#rooms.values()]) this.#end(room);
    const ended = this.#streams.close();
    this.#reports.close();
    await Promise.all([ended, this.#options.recordings?.close()]);
  }

  // ---- requests -----------------------------------------------------------------------------------------------------

  #publish(request: RequestOf<'publish'>): NodeResult<'publish'> {
    this.#refuseNew();
    const lobby = this.#roomFor(request);
    const result = lobby.publish(request);
    this.#recorded.published(request.lobby, request.session, request.replaces);
    this.#rooms.set(lobby.id, lobby);
    return result;
  }

  /** Also while draining: those who move away from here are served elsewhere by a relay from here. */
  #relayOffer(request: RequestOf<'relay-offer'>): NodeResult<'relay-offer'> {
    this.#refuseWhenFull();
    if (streamOfLobby(request.lobby) !== null) return this.#streams.relayOffer(request);
    const room = this.#rooms.get(request.lobby);
    if (room === undefined) throw new ProblemError(404, 'no_publisher', 'no active publisher in room');
    return room.relayOffer(request);
  }

  /** Also while draining: when the publisher has moved, those who have not yet are served by a relay from there. */
  #relayPull(request: RequestOf<'relay-pull'>): NodeResult<'relay-pull'> {
    this.#refuseWhenFull();
    if (streamOfLobby(request.lobby) !== null) return this.#streams.relayPull(request);
    const lobby = this.#roomFor(request);
    const result = lobby.relayPull(request);
    this.#rooms.set(lobby.id, lobby);
    return result;
  }

  /** The room, or a new one that is not kept yet. @throws ProblemError 409 `stale_revision` */
  #roomFor({ lobby, revision }: { lobby: LobbyId; revision: number }): CarriedLobby {
    const known = this.#rooms.get(lobby);
    refuseWhenStale(known, revision);
    return (
      known ??
      new CarriedLobby(lobby, this.#options.context, {
        onIngressChange: (session) => {
          this.#reports.ingressChanged(session.report());
          this.#recorded.changed(lobby, this.#publishers(lobby));
          this.#forgetWhenEmpty(lobby);
        },
        onEgressChange: () => this.#reports.schedule(),
        onViewerLeft: (session) => this.#left.remember(session),
        onRelayChange: (report) => this.#reports.relayChanged(report),
      })
    );
  }

  #play(request: RequestOf<'play'>): NodeResult<'play'> {
    this.#refuseNew();
    if (streamOfLobby(request.lobby) !== null) return this.#streams.play(request);
    const room = this.#rooms.get(request.lobby);
    if (room === undefined) throw new ProblemError(404, 'no_publisher', 'no active publisher in room');
    return room.play(request);
  }

  #close(session: SessionId): void {
    if (this.#some((lobby) => lobby.closeSession(session))) return;
    if (!this.#left.take(session)) throw noSession();
  }

  #apply(desired: DesiredLobby): void {
    const lobby = this.#rooms.get(desired.lobby);
    if (lobby !== undefined && desired.revision < lobby.revision) return;
    // Also of a room whose publisher is awaited back, with nobody else here.
    this.#recorded.wish(desired, this.#publishers(desired.lobby));
    if (lobby === undefined) return;
    if (desired.publisher === null && (desired.relay ?? null) === null) this.#end(lobby);
    else lobby.apply(desired);
  }

  #applyStream(desired: DesiredStream): void {
    try {
      this.#streams.apply(desired);
    } finally {
      this.#recorded.wish(desired, this.#streams.publishers(desired.lobby));
    }
  }

  /** Who publishes in a lobby, on this node itself. */
  #publishers(lobby: LobbyId): readonly IngressSession[] {
    if (streamOfLobby(lobby) !== null) return this.#streams.publishers(lobby);
    const publisher = this.#rooms.get(lobby)?.publisher ?? null;
    return publisher === null ? [] : [publisher];
  }

  #end(room: CarriedLobby): void {
    room.close();
    this.#rooms.delete(room.id);
    this.#reports.schedule();
  }

  #forgetWhenEmpty(id: LobbyId): void {
    if (this.#rooms.get(id)?.empty === true) this.#rooms.delete(id);
  }

  #refuseNew(): void {
    this.#drain.refuseNew();
    this.#refuseWhenFull();
  }

  #refuseWhenFull(): void {
    if (this.sessionCount >= this.#options.capacity) {
      throw new ProblemError(503, 'node_full', 'the media node is full', { retryAfterSeconds: 5 });
    }
  }

  *#carried(): Iterable<CarriedLobby | CarriedStream> {
    yield* this.#rooms.values();
    yield* this.#streams.all();
  }

  #some(test: (lobby: CarriedLobby | CarriedStream) => boolean): boolean {
    for (const lobby of this.#carried()) if (test(lobby)) return true;
    return false;
  }

  #ice(session: SessionId): IceResource {
    for (const lobby of this.#carried()) {
      const ice = lobby.ice(session);
      if (ice !== null) return ice;
    }
    throw noSession();
  }

  #lobbyLoads(): LobbyLoad[] {
    return [...this.#carried()].map(({ id, subscriberCount, upstreams: from, downstreams: to }) => ({
      lobby: id,
      subscribers: subscriberCount,
      ...(from.length + to.length === 0 ? {} : { relays: { from, to } }),
    }));
  }
}
