/**
 * Everything that this process carries, and what the edge may ask of it. But for the wait for a signal channel, requests
 * are answered in one go: nothing is awaited between reading a state and changing it, so requests cannot interleave.
 */
import { ProblemError } from '../../shared/errors.ts';
import { type BootId, type LobbyId, type NodeId, type SessionId, streamOfLobby } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
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
import type { LoadMeter } from '../stats/load-meter.ts';
import { CarriedLobby } from './carried-lobby.ts';
import { CarriedStream } from './carried-stream.ts';
import type { NodeContext } from './context.ts';
import type { IceResource } from './ice-resource.ts';
import type { Pushing } from './lobby-air.ts';
import { ReportQueue } from './report-queue.ts';

/** Viewers remembered after they closed the connection. */
const MAX_LEFT = 1_000;

type RequestOf<M extends NodeRequest['method']> = Extract<NodeRequest, { method: M }>;

export interface MediaNodeOptions {
  context: NodeContext;
  pushing: Pushing;
  node: NodeId;
  boot: BootId;
  version: string;
  region: string;
  /** Sessions that this node takes. */
  capacity: number;
  load: LoadMeter;
  /** Sends a report to the edge; false when there is no link to send it on. */
  report(report: Report): boolean;
}

export class MediaNode implements LinkHandler {
  readonly #options: MediaNodeOptions;
  readonly #rooms = new Map<LobbyId, CarriedLobby>();
  readonly #streams = new Map<LobbyId, CarriedStream>();
  readonly #reports: ReportQueue;
  /** Viewers that closed the connection before they said DELETE, as many libraries do; oldest first. */
  readonly #left = new Set<SessionId>();
  /** Ends of streams that still wait for their ffmpeg to go. */
  readonly #endings = new Set<Promise<void>>();

  constructor(options: MediaNodeOptions) {
    this.#options = options;
    this.#reports = new ReportQueue({
      lobbies: () => this.#lobbyLoads(),
      load: () => options.load.sample(this.sessionCount),
      send: (report) => options.report(report),
    });
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
    return this.#streams.values();
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
      capacity: { sessions: options.capacity },
      ingress: [...this.#carried()].flatMap((lobby) => lobby.ingressReports()),
      lobbies: this.#lobbyLoads(),
      lives: [...this.#streams.values()].flatMap((stream) => stream.liveReports()),
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
    const streams = new Map((welcome.streams ?? []).map((stream) => [stream.lobby, stream]));
    for (const stream of [...this.#streams.values()]) {
      const wish = streams.get(stream.id);
      if (wish === undefined) this.#end(stream);
      else this.#reconcile(wish);
    }
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
        return this.#join(request);
      case 'listen':
        return this.#listen(request);
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
    }
  }

  /** Ends everything, telling the peers; resolves when the programs that it started are gone. Idempotent. */
  async close(): Promise<void> {
    this.#reports.close();
    for (const lobby of [...this.#carried()]) this.#end(lobby);
    this.#reports.close();
    await Promise.all(this.#endings);
  }

  // ---- requests -----------------------------------------------------------------------------------------------------

  #publish(request: RequestOf<'publish'>): NodeResult<'publish'> {
    this.#refuseWhenFull();
    const known = this.#rooms.get(request.lobby);
    refuseWhenStale(known, request.revision);
    const lobby =
      known ??
      new CarriedLobby(request.lobby, this.#options.context, {
        onIngressChange: (session) => {
          this.#reports.ingressChanged(session.report());
          this.#forgetWhenEmpty(request.lobby);
        },
        onEgressChange: () => this.#reports.schedule(),
        onViewerLeft: (session) => this.#rememberLeft(session),
      });
    const result = lobby.publish(request);
    this.#rooms.set(lobby.id, lobby);
    return result;
  }

  #join(request: RequestOf<'join'>): NodeResult<'join'> {
    this.#refuseWhenFull();
    const known = this.#streams.get(request.lobby);
    refuseWhenStale(known, request.revision);
    const stream = known ?? this.#openStream(request.lobby);
    try {
      return stream.join(request);
    } finally {
      this.#forgetWhenEmpty(request.lobby);
    }
  }

  #openStream(lobby: LobbyId): CarriedStream {
    const { context, pushing } = this.#options;
    const stream = new CarriedStream(lobby, {
      context,
      pushing,
      events: {
        onIngressChange: (report) => this.#reports.ingressChanged(report),
        onEgressChange: () => {
          this.#reports.schedule();
          this.#forgetWhenEmpty(lobby);
        },
        onViewerLeft: (session) => this.#rememberLeft(session),
        onLiveChange: (report) => this.#reports.liveChanged(report),
      },
    });
    this.#streams.set(lobby, stream);
    return stream;
  }

  async #listen(request: RequestOf<'listen'>): Promise<NodeResult<'listen'>> {
    this.#refuseWhenFull();
    const stream = this.#streams.get(request.lobby);
    if (stream === undefined) throw noSession();
    return await stream.listen(request);
  }

  #play(request: RequestOf<'play'>): NodeResult<'play'> {
    this.#refuseWhenFull();
    const isStream = streamOfLobby(request.lobby) !== null;
    const lobby = isStream ? this.#streams.get(request.lobby) : this.#rooms.get(request.lobby);
    if (lobby !== undefined) return lobby.play(request);
    if (isStream) throw new ProblemError(404, 'lobby_not_running', 'the lobby is not running');
    throw new ProblemError(404, 'no_publisher', 'no active publisher in room');
  }

  #close(session: SessionId): void {
    if (this.#some((lobby) => lobby.closeSession(session))) return;
    if (!this.#left.delete(session)) throw noSession();
  }

  #rememberLeft(session: SessionId): void {
    this.#left.add(session);
    for (const oldest of this.#left) {
      if (this.#left.size <= MAX_LEFT) return;
      this.#left.delete(oldest);
    }
  }

  #apply(desired: DesiredLobby): void {
    const lobby = this.#rooms.get(desired.lobby);
    if (lobby === undefined || desired.revision < lobby.revision) return;
    lobby.revision = desired.revision;
    if (desired.publisher === null) this.#end(lobby);
    else lobby.keepPublisher(desired.publisher.session);
  }

  /** @throws ProblemError 501 `no_ffmpeg`; everything else is done then */
  #applyStream(desired: DesiredStream): void {
    const stream = this.#streams.get(desired.lobby);
    if (stream === undefined || desired.revision < stream.revision) return;
    if (desired.members.length === 0) this.#end(stream);
    else stream.apply(desired);
    this.#forgetWhenEmpty(desired.lobby);
  }

  /** Nobody waits for the answer: what cannot be done is reported. */
  #reconcile(desired: DesiredStream): void {
    try {
      this.#applyStream(desired);
    } catch (error) {
      if (!(error instanceof ProblemError) || desired.live === null) throw error;
      const { lobby, live } = desired;
      this.#reports.liveChanged({ lobby, live: live.live, state: 'ended', error: error.detail });
    }
  }

  #end(lobby: CarriedLobby | CarriedStream): void {
    if (lobby instanceof CarriedStream) {
      this.#streams.delete(lobby.id);
      const ending: Promise<void> = lobby.close().finally(() => this.#endings.delete(ending));
      this.#endings.add(ending);
    } else {
      this.#rooms.delete(lobby.id);
      lobby.close();
    }
    this.#reports.schedule();
  }

  #forgetWhenEmpty(id: LobbyId): void {
    const lobby = this.#rooms.get(id) ?? this.#streams.get(id);
    if (lobby?.empty === true) this.#end(lobby);
  }

  #refuseWhenFull(): void {
    if (this.sessionCount >= this.#options.capacity) {
      throw new ProblemError(503, 'node_full', 'the media node is full', { retryAfterSeconds: 5 });
    }
  }

  *#carried(): Iterable<CarriedLobby | CarriedStream> {
    yield* this.#rooms.values();
    yield* this.#streams.values();
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
    return [...this.#carried()].map(({ id, subscriberCount }) => ({ lobby: id, subscribers: subscriberCount }));
  }
}

function refuseWhenStale(known: { revision: number } | undefined, revision: number): void {
  if (known !== undefined && revision < known.revision) {
    throw new ProblemError(409, 'stale_revision', 'a newer state of this lobby is known');
  }
}

function noSession(): ProblemError {
  return new ProblemError(404, 'no_session', 'no such session');
}
