/**
 * Everything that this process carries, and what the edge may ask of it. Requests are answered in one go: no promise is
 * awaited between reading a state and changing it, so requests cannot interleave.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  type DesiredLobby,
  type Hello,
  type IngressReport,
  type LobbyLoad,
  type NodeRequest,
  type NodeResult,
  type Report,
  type Welcome,
} from '../../shared/protocol/control.ts';
import type { LinkHandler } from '../control/link.ts';
import type { LoadMeter } from '../stats/load-meter.ts';
import { CarriedLobby } from './carried-lobby.ts';
import type { NodeContext } from './context.ts';
import type { EgressSession } from './egress-session.ts';
import type { IceResource } from './ice-resource.ts';
import type { IngressSession } from './ingress-session.ts';

/** Changes within this time go to the edge in one report. */
const REPORT_DELAY_MS = 50;
/** A report at least this often: it carries the load. */
const REPORT_INTERVAL_MS = 2_000;
/** Viewers remembered after they closed the connection. */
const MAX_LEFT = 1_000;

export interface MediaNodeOptions {
  context: NodeContext;
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
  readonly #lobbies = new Map<LobbyId, CarriedLobby>();
  /** Ingress sessions that changed since the last report that was sent, or since the hello. */
  readonly #changed = new Map<SessionId, IngressReport>();
  /** Viewers that closed the connection before they said DELETE, as many libraries do; oldest first. */
  readonly #left = new Set<SessionId>();
  #reportTimer: NodeJS.Timeout | null = null;
  readonly #intervalTimer: NodeJS.Timeout;

  constructor(options: MediaNodeOptions) {
    this.#options = options;
    this.#intervalTimer = setInterval(() => this.#sendReport(), REPORT_INTERVAL_MS);
  }

  get sessionCount(): number {
    let count = 0;
    for (const lobby of this.#lobbies.values()) count += lobby.viewerCount + (lobby.publisher === null ? 0 : 1);
    return count;
  }

  lobbies(): Iterable<CarriedLobby> {
    return this.#lobbies.values();
  }

  // ---- LinkHandler ------------------------------------------------------------------------------------------------

  hello(): Hello {
    const options = this.#options;
    this.#changed.clear();
    const ingress: IngressReport[] = [];
    for (const lobby of this.#lobbies.values()) {
      if (lobby.publisher !== null) ingress.push(lobby.publisher.report());
    }
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
      ingress,
      lobbies: this.#lobbyLoads(),
      load: options.load.sample(this.sessionCount),
    };
  }

  /** Closes what the edge does not want here, and leaves alone what it does. */
  welcome(welcome: Welcome): void {
    const desired = new Map(welcome.desired.map((lobby) => [lobby.lobby, lobby]));
    for (const lobby of [...this.#lobbies.values()]) {
      const wish = desired.get(lobby.id);
      if (wish === undefined) this.#end(lobby);
      else this.#apply(wish);
    }
    // What happened between the hello and now was not in either.
    this.#scheduleReport();
  }

  request(request: NodeRequest): NodeResult<NodeRequest['method']> {
    switch (request.method) {
      case 'publish':
        return this.#publish(request);
      case 'play':
        return this.#play(request);
      case 'answer':
        this.#viewer(request.session).acceptAnswer(request.answer);
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
      case 'join':
      case 'listen':
      case 'apply-stream':
        throw new ProblemError(501, 'unsupported', 'this media node carries no stream lobbies yet');
    }
  }

  /** Ends everything, telling the peers. Idempotent. */
  close(): void {
    clearInterval(this.#intervalTimer);
    if (this.#reportTimer !== null) clearTimeout(this.#reportTimer);
    this.#reportTimer = null;
    for (const lobby of this.#lobbies.values()) lobby.close();
    this.#lobbies.clear();
  }

  // ---- requests -----------------------------------------------------------------------------------------------------

  #publish(request: Extract<NodeRequest, { method: 'publish' }>): NodeResult<'publish'> {
    this.#refuseWhenFull();
    const known = this.#lobbies.get(request.lobby);
    if (known !== undefined && request.revision < known.revision) {
      throw new ProblemError(409, 'stale_revision', 'a newer state of this room is known');
    }
    const lobby =
      known ??
      new CarriedLobby(request.lobby, this.#options.context, {
        onIngressChange: (session) => this.#ingressChanged(session),
        onEgressChange: () => this.#scheduleReport(),
        onViewerLeft: (session) => this.#rememberLeft(session),
      });
    const result = lobby.publish(request);
    this.#lobbies.set(lobby.id, lobby);
    return result;
  }

  #play(request: Extract<NodeRequest, { method: 'play' }>): NodeResult<'play'> {
    this.#refuseWhenFull();
    const lobby = this.#lobbies.get(request.lobby);
    if (lobby === undefined) throw new ProblemError(404, 'no_publisher', 'no active publisher in room');
    return lobby.play(request);
  }

  #close(session: SessionId): void {
    for (const lobby of this.#lobbies.values()) {
      if (lobby.closeViewer(session)) return;
    }
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
    const lobby = this.#lobbies.get(desired.lobby);
    if (lobby === undefined || desired.revision < lobby.revision) return;
    lobby.revision = desired.revision;
    if (desired.publisher === null) this.#end(lobby);
    else lobby.keepPublisher(desired.publisher.session);
  }

  #end(lobby: CarriedLobby): void {
    lobby.close();
    this.#lobbies.delete(lobby.id);
    this.#scheduleReport();
  }

  #forgetWhenEmpty(lobby: CarriedLobby): void {
    if (lobby.empty) this.#lobbies.delete(lobby.id);
  }

  #refuseWhenFull(): void {
    if (this.sessionCount >= this.#options.capacity) {
      throw new ProblemError(503, 'node_full', 'the media node is full', { retryAfterSeconds: 5 });
    }
  }

  #viewer(session: SessionId): EgressSession {
    for (const lobby of this.#lobbies.values()) {
      const viewer = lobby.viewer(session);
      if (viewer !== undefined) return viewer;
    }
    throw noSession();
  }

  #ice(session: SessionId): IceResource {
    for (const lobby of this.#lobbies.values()) {
      if (lobby.publisher?.id === session) return lobby.publisher.ice;
    }
    return this.#viewer(session).ice;
  }

  // ---- reports ------------------------------------------------------------------------------------------------------

  #ingressChanged(session: IngressSession): void {
    const report = session.report();
    this.#changed.set(report.session, report);
    const lobby = this.#lobbies.get(report.lobby);
    if (lobby !== undefined) this.#forgetWhenEmpty(lobby);
    this.#scheduleReport();
  }

  #scheduleReport(): void {
    this.#reportTimer ??= setTimeout(() => this.#sendReport(), REPORT_DELAY_MS);
  }

  #sendReport(): void {
    if (this.#reportTimer !== null) clearTimeout(this.#reportTimer);
    this.#reportTimer = null;
    const sent = this.#options.report({
      type: 'report',
      ingress: [...this.#changed.values()],
      lobbies: this.#lobbyLoads(),
      load: this.#options.load.sample(this.sessionCount),
    });
    if (sent) this.#changed.clear();
  }

  #lobbyLoads(): LobbyLoad[] {
    return [...this.#lobbies.values()].map((lobby) => ({ lobby: lobby.id, subscribers: lobby.viewerCount }));
  }
}

function noSession(): ProblemError {
  return new ProblemError(404, 'no_session', 'no such session');
}
