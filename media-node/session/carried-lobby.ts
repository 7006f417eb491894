/**
 * What this node carries of one room: where its tracks come from (a publisher, or a relay from the node that has one), its
 * viewers, and the nodes that relay from here. The edge decides who may be here; this class sees to it that everybody is
 * attached to the present tracks.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type {
  DesiredLobby,
  IngressReport,
  NodeRequest,
  NodeResult,
  RelayReport,
} from '../../shared/protocol/control.ts';
import type { SourceTrackInfo } from '../negotiate/plan.ts';
import { RelayIntake } from '../relay/relay-intake.ts';
import { ServedRelays } from '../relay/served-relays.ts';
import { canReplace } from './codec-match.ts';
import type { NodeContext } from './context.ts';
import type { EgressSession } from './egress-session.ts';
import type { IceResource } from './ice-resource.ts';
import { IngressSession } from './ingress-session.ts';
import type { Mover } from './move-round.ts';
import type { TrackSource } from './track-source.ts';
import { Viewers } from './viewers.ts';

type RequestOf<M extends NodeRequest['method']> = Extract<NodeRequest, { method: M }>;

export interface CarriedLobbyEvents {
  onIngressChange(session: IngressSession): void;
  /** The number of viewers, or of relays from here, changed. */
  onEgressChange(): void;
  /** A viewer closed the connection; its DELETE may still come. */
  onViewerLeft(session: SessionId): void;
  onRelayChange(report: RelayReport): void;
}

/** All tracks of a room are one MediaStream. */
const ROOM_STREAM = 'room';

export class CarriedLobby {
  readonly id: LobbyId;
  /** The highest revision of the edge's wishes that was seen. */
  revision = 0;
  readonly #context: NodeContext;
  readonly #events: CarriedLobbyEvents;
  #publisher: IngressSession | null = null;
  readonly #intake: RelayIntake;
  /** Of the present publisher or relay, or of the last one while its viewers are kept. */
  #sources: readonly SourceTrackInfo[] = [];
  readonly #viewers: Viewers;
  readonly #served: ServedRelays;

  constructor(id: LobbyId, context: NodeContext, events: CarriedLobbyEvents) {
    this.id = id;
    this.#context = context;
    this.#events = events;
    this.#intake = new RelayIntake({
      context,
      lobby: id,
      events: { onTracks: () => this.#attachAll(), onReport: (report) => events.onRelayChange(report) },
      wanted: () => this.#viewers.size > 0 || this.#served.size > 0,
    });
    this.#viewers = new Viewers({
      context,
      find: (kind) => {
        const origin = this.#origin;
        const source = origin?.sources.find((candidate) => candidate.kind === kind);
        return source === undefined ? null : (origin?.sourceTrack(source.mid) ?? null);
      },
      events: { onChange: () => this.#egressChanged(), onLeft: (session) => events.onViewerLeft(session) },
    });
    this.#served = new ServedRelays({ context, find: () => this.#origin, onChange: () => this.#egressChanged() });
  }

  get publisher(): IngressSession | null {
    return this.#publisher;
  }

  /** Viewers. */
  get subscriberCount(): number {
    return this.#viewers.size;
  }

  get sessionCount(): number {
    return this.#viewers.size + this.#served.size + this.#intake.sessionCount + (this.#publisher === null ? 0 : 1);
  }

  get empty(): boolean {
    return this.sessionCount === 0 && this.#intake.desired === null;
  }

  /** Somebody would miss this node. */
  get busy(): boolean {
    return this.#viewers.size + this.#served.size > 0 || this.#publisher !== null;
  }

  ingressReports(): IngressReport[] {
    return this.#publisher === null ? [] : [this.#publisher.report()];
  }

  relayReports(): RelayReport[] {
    return this.#intake.reports();
  }

  /** Nodes that tracks come from, one for each relay. */
  get upstreams(): NodeId[] {
    return this.#intake.upstreams;
  }

  /** Nodes that tracks go to, one for each relay. */
  get downstreams(): NodeId[] {
    return this.#served.downstreams;
  }

  /**
   * Opens the publisher's session in place of whatever was here. Viewers stay when `replaces` names the publisher they
   * came for and the codecs match.
   * @throws ProblemError 400 or 422; the lobby is as before then.
   */
  publish(request: RequestOf<'publish'>): NodeResult<'publish'> {
    const session = new IngressSession({
      context: this.#context,
      lobby: this.id,
      session: request.session,
      generation: request.generation,
      offer: request.offer,
      events: {
        onChange: (changed) => this.#events.onIngressChange(changed),
        onMedia: (publisher) => {
          if (publisher !== this.#publisher) return;
          // A relay of what it published elsewhere has served until now.
          this.#intake.close();
          this.#attachAll();
        },
        // The lobby and its viewers wait for what the edge decides: grace, a successor, or the end.
        onEnded: (ended) => {
          if (ended !== this.#publisher) return;
          this.#publisher = null;
          this.#attachAll();
        },
      },
    });
    const resumed = request.replaces !== null && canReplace(this.#sources, session.sources);
    this.#publisher?.close();
    if (!resumed) {
      this.#intake.close();
      this.#viewers.end();
      this.#served.end();
    }
    this.#publisher = session;
    this.#sources = session.sources;
    this.revision = Math.max(this.revision, request.revision);
    return { answer: session.answer, etag: session.ice.etag, tracks: session.report().tracks, resumed };
  }

  /** @throws ProblemError 404 without a publisher, 403 above the limit, 400 or 422 for the offer. */
  play(request: RequestOf<'play'>): NodeResult<'play'> {
    this.#refuseWithoutTracks();
    return this.#viewers.open(request, this.#sources);
  }

  /** Offers the tracks to another node. @throws ProblemError 404 without a publisher, 409 for a session that is here */
  relayOffer(request: RequestOf<'relay-offer'>): NodeResult<'relay-offer'> {
    this.#refuseWithoutTracks();
    const tracks = this.#sources.map((source) => ({ ...source, stream: ROOM_STREAM }));
    return { offer: this.#served.offer({ ...request, source: null }, tracks) };
  }

  /**
   * Gets the tracks from another node. Viewers, and the nodes that relay from here, stay when the codecs match.
   * @throws ProblemError 409 `publisher_here`, 409 `session_exists`, 400 or 422 for the offer; the lobby is as before then
   */
  relayPull(request: RequestOf<'relay-pull'>): NodeResult<'relay-pull'> {
    if (this.#publisher !== null) throw new ProblemError(409, 'publisher_here', 'the publisher is on this node');
    const before = this.#sources;
    const relay = this.#intake.pull(request.relay, request.offer, (sources) => canReplace(before, sources));
    const resumed = canReplace(before, relay.sources);
    if (!resumed) this.#viewers.end();
    this.#sources = relay.sources;
    this.revision = Math.max(this.revision, request.revision);
    this.#attachAll();
    return { answer: relay.answer, resumed };
  }

  /** False when the session is not here. @throws ProblemError 422 when no answer is awaited, 400 or 422 for a bad one */
  acceptAnswer(session: SessionId, answer: string): boolean {
    return this.#viewers.acceptAnswer(session, answer) || this.#served.acceptAnswer(session, answer);
  }

  /** Of the publisher, a viewer or a relay from here; null when the session is not here. */
  ice(session: SessionId): IceResource | null {
    if (this.#publisher?.id === session) return this.#publisher.ice;
    return this.#viewers.ice(session) ?? this.#served.ice(session);
  }

  /** Null when it is not here. */
  viewer(session: SessionId): EgressSession | null {
    return this.#viewers.find(session);
  }

  /** Closes a viewer or a relay from here; false when it is not here. Where tracks come from is said by `apply`. */
  closeSession(session: SessionId): boolean {
    return this.#viewers.close(session) || this.#served.close(session);
  }

  /**
   * Ends a publisher that is not the one the edge knows, and relays that it does not want; viewers wait for what it does.
   * @param desired with a publisher or a relay: one without is the end of the lobby here
   */
  apply({ publisher, relay = null, revision }: DesiredLobby): void {
    if (revision < this.revision) return;
    this.revision = revision;
    if (this.#publisher !== null && this.#publisher.id !== publisher?.session) {
      this.#publisher.close();
      this.#publisher = null;
      this.#attachAll();
    }
    // Beside a publisher that is just connecting a relay may serve on; its first media ends that.
    const awaited = this.#publisher !== null && this.#publisher.state === 'connecting';
    if (relay !== null || !awaited) this.#intake.want(relay);
  }

  /** All clients; those who understand it make a new session elsewhere when they are asked to. */
  *movers(): Iterable<Mover> {
    if (this.#publisher !== null) yield this.#publisher;
    yield* this.#viewers.movers();
  }

  /** Ends everything of this lobby here. Idempotent. */
  close(): void {
    this.#publisher?.close();
    this.#publisher = null;
    this.#intake.close();
    this.#sources = [];
    this.#viewers.end();
    this.#served.end();
  }

  /** What the tracks come from at present. A relay serves until the publisher that follows it is up. */
  get #origin(): TrackSource | null {
    if (this.#intake.connected) return this.#intake;
    const publisher = this.#publisher;
    return publisher === null || publisher.state === 'connecting' ? null : publisher;
  }

  #refuseWithoutTracks(): void {
    const expected = this.#publisher !== null || this.#intake.desired !== null;
    if (!expected || this.#sources.length === 0) {
      throw new ProblemError(404, 'no_publisher', 'no active publisher in room');
    }
  }

  #egressChanged(): void {
    this.#intake.noteDemand();
    this.#events.onEgressChange();
  }

  #attachAll(): void {
    this.#viewers.attach();
    this.#served.attach();
  }
}
