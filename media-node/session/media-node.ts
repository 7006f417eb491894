/**
 * Everything that this process carries, and what the edge may ask of it. But for the wait for a signal channel, requests
 * are answered in one go: nothing is awaited between reading a state and changing it, so requests cannot interleave.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { BootId, NodeId, SessionId } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  type Coordinates,
  type DesiredLobby,
  type DesiredStream,
  type Hello,
  type NodeRequest,
  type NodeResult,
  type Report,
  type Welcome,
} from '../../shared/protocol/control.ts';
import type { LinkHandler } from '../control/link.ts';
import type { Recordings } from '../record/recordings.ts';
import { Snapshots } from '../record/snapshots.ts';
import type { LoadMeter } from '../stats/load-meter.ts';
import { hostAndPort } from '../transport/datagram-route.ts';
import { CarriedLobbies } from './carried-lobbies.ts';
import type { CarriedLobby } from './carried-lobby.ts';
import { CarriedRooms } from './carried-rooms.ts';
import type { CarriedStream } from './carried-stream.ts';
import { CarriedStreams } from './carried-streams.ts';
import type { NodeContext } from './context.ts';
import { Drain } from './drain.ts';
import { EventStreams } from './event-streams.ts';
import { LeftViewers } from './left-viewers.ts';
import type { Pushing } from './lobby-air.ts';
import { MoveRound } from './move-round.ts';
import { RecordedLobbies } from './recorded-lobbies.ts';
import { noSession } from './refusals.ts';
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
  readonly #rooms: CarriedRooms;
  readonly #streams: CarriedStreams;
  readonly #carried: CarriedLobbies;
  readonly #reports: ReportQueue;
  readonly #left = new LeftViewers();
  readonly #drain: Drain;
  #moving: MoveRound | null = null;
  readonly #recorded: RecordedLobbies;
  readonly #snapshots: Snapshots;
  readonly #events: EventStreams;

  constructor(options: MediaNodeOptions) {
    this.#options = options;
    this.#reports = new ReportQueue({
      lobbies: () => this.#carried.loads,
      load: () => options.load.sample(this.sessionCount),
      draining: () => this.#drain.active,
      send: (report) => options.report(report),
    });
    const { context, pushing } = options;
    this.#events = new EventStreams(() => context.now());
    this.#recorded = new RecordedLobbies(options.recordings ?? null);
    this.#snapshots = new Snapshots({ context, ffmpeg: () => pushing.ffmpeg() });
    this.#rooms = new CarriedRooms(context, {
      onIngressChange: (lobby, session) => {
        this.#reports.ingressChanged(session.report());
        this.#recorded.changed(lobby, this.#rooms.publishers(lobby));
      },
      onEgressChange: () => this.#reports.schedule(),
      onViewerLeft: (session) => this.#left.remember(session),
      onRelayChange: (report) => this.#reports.relayChanged(report),
    });
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
    this.#carried = new CarriedLobbies(this.#rooms, this.#streams);
    this.#drain = new Drain({
      now: () => context.now(),
      busy: () => this.#carried.busy || options.recordings?.busy === true,
      onBegin: (timeoutMs) => {
        this.#moving = new MoveRound(this.#carried.movers(), timeoutMs, () => context.now());
        this.#reports.schedule();
        options.recordings?.leave();
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
    return this.#carried.sessionCount;
  }

  /** Rooms. */
  lobbies(): Iterable<CarriedLobby> {
    return this.#rooms.all();
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
      addresses: options.context.endpoint.candidates.map(({ address, port }) => hostAndPort(address, port)),
      engine: options.context.forwarder.engine,
      capacity: {
        sessions: options.capacity,
        ...(options.packetsPerSecond === undefined ? {} : { packetsPerSecond: options.packetsPerSecond }),
        ...(options.bandwidthBps === undefined ? {} : { bandwidthBps: options.bandwidthBps }),
      },
      ...(options.coordinates === undefined ? {} : { coordinates: options.coordinates }),
      draining: this.#drain.active,
      ingress: this.#carried.ingressReports(),
      lobbies: this.#carried.loads,
      lives: [...this.#streams.all()].flatMap((stream) => stream.liveReports()),
      relays: this.#carried.relayReports(),
      load: options.load.sample(this.sessionCount),
    };
  }

  /** Closes what the edge does not want here, and leaves alone what it does. */
  welcome(welcome: Welcome): void {
    const rooms = new Map(welcome.desired.map((lobby) => [lobby.lobby, lobby]));
    for (const room of this.#rooms.keep(new Set(rooms.keys()))) {
      const wish = rooms.get(room);
      if (wish !== undefined) this.#apply(wish);
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
        if (!this.#carried.acceptAnswer(request.session, request.answer)) throw noSession();
        return {};
      case 'patch':
        return this.#carried.ice(request.session).patch(request);
      case 'probe':
        this.#carried.ice(request.session);
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
        return this.#snapshots.take(
          request.lobby,
          this.#carried.ofKind(request.lobby).publishers(request.lobby),
          request.session,
        );
      case 'layer':
        this.#carried.viewer(request.session).viewer.layers.choose(request);
        return {};
      case 'open-events': {
        const { viewer, lobby } = this.#carried.viewer(request.session);
        return this.#events.open(viewer, lobby, request.events);
      }
      case 'read-events':
        return this.#events.read(this.#carried.viewer(request.session).viewer, request.stream, request.fresh);
      case 'close-events':
        this.#events.close(this.#carried.viewer(request.session).viewer, request.stream);
        return {};
    }
  }

  /** Ends everything, telling the peers; resolves when the programs that it started are gone. Idempotent. */
  async close(): Promise<void> {
    this.#drain.close();
    this.#moving?.close();
    this.#rooms.close();
    const ended = this.#streams.close();
    this.#reports.close();
    await Promise.all([ended, this.#options.recordings?.close()]);
  }

  // ---- requests -----------------------------------------------------------------------------------------------------

  #publish(request: RequestOf<'publish'>): NodeResult<'publish'> {
    this.#refuseNew();
    const result = this.#rooms.publish(request);
    this.#recorded.published(request.lobby, request.session, request.replaces);
    return result;
  }

  #play(request: RequestOf<'play'>): NodeResult<'play'> {
    this.#refuseNew();
    return this.#carried.ofKind(request.lobby).play(request);
  }

  /** Also while draining: those who move away from here are served elsewhere by a relay from here. */
  #relayOffer(request: RequestOf<'relay-offer'>): NodeResult<'relay-offer'> {
    this.#refuseWhenFull();
    return this.#carried.ofKind(request.lobby).relayOffer(request);
  }

  /** Also while draining: when the publisher has moved, those who have not yet are served by a relay from there. */
  #relayPull(request: RequestOf<'relay-pull'>): NodeResult<'relay-pull'> {
    this.#refuseWhenFull();
    return this.#carried.ofKind(request.lobby).relayPull(request);
  }

  #close(session: SessionId): void {
    if (!this.#carried.closeSession(session) && !this.#left.take(session)) throw noSession();
  }

  #apply(desired: DesiredLobby): void {
    if (this.#rooms.isStale(desired)) return;
    // Also of a room whose publisher is awaited back, with nobody else here.
    this.#recorded.wish(desired, this.#rooms.publishers(desired.lobby));
    this.#rooms.apply(desired);
  }

  #applyStream(desired: DesiredStream): void {
    try {
      this.#streams.apply(desired);
    } finally {
      this.#recorded.wish(desired, this.#streams.publishers(desired.lobby));
    }
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
}
