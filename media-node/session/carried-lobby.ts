/**
 * What this node carries of one lobby: its publisher and its viewers. The edge decides who may be here; this class sees
 * to it that every viewer is attached to the tracks of the present publisher.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { IngressReport, NodeRequest, NodeResult } from '../../shared/protocol/control.ts';
import type { SourceTrackInfo } from '../negotiate/plan.ts';
import { canReplace } from './codec-match.ts';
import type { NodeContext } from './context.ts';
import { EgressSession } from './egress-session.ts';
import type { IceResource } from './ice-resource.ts';
import { IngressSession } from './ingress-session.ts';

type PublishRequest = Extract<NodeRequest, { method: 'publish' }>;
type PlayRequest = Extract<NodeRequest, { method: 'play' }>;

export interface CarriedLobbyEvents {
  onIngressChange(session: IngressSession): void;
  /** The number of viewers changed. */
  onEgressChange(): void;
  /** A viewer closed the connection; its DELETE may still come. */
  onViewerLeft(session: SessionId): void;
}

export class CarriedLobby {
  readonly id: LobbyId;
  /** The highest revision of the edge's wishes that was seen. */
  revision = 0;
  readonly #context: NodeContext;
  readonly #events: CarriedLobbyEvents;
  #publisher: IngressSession | null = null;
  /** Of the present publisher, or of the last one while its viewers are kept. */
  #sources: readonly SourceTrackInfo[] = [];
  readonly #viewers = new Map<SessionId, EgressSession>();

  constructor(id: LobbyId, context: NodeContext, events: CarriedLobbyEvents) {
    this.id = id;
    this.#context = context;
    this.#events = events;
  }

  get publisher(): IngressSession | null {
    return this.#publisher;
  }

  get subscriberCount(): number {
    return this.#viewers.size;
  }

  get sessionCount(): number {
    return this.#viewers.size + (this.#publisher === null ? 0 : 1);
  }

  get empty(): boolean {
    return this.sessionCount === 0;
  }

  ingressReports(): IngressReport[] {
    return this.#publisher === null ? [] : [this.#publisher.report()];
  }

  /**
   * Opens the publisher's session in place of whatever was here. Viewers stay when `replaces` names the publisher they
   * came for and the codecs match.
   * @throws ProblemError 400 or 422; the lobby is as before then.
   */
  publish(request: PublishRequest): NodeResult<'publish'> {
    const session = new IngressSession({
      context: this.#context,
      lobby: this.id,
      session: request.session,
      generation: request.generation,
      offer: request.offer,
      events: {
        onChange: (changed) => this.#events.onIngressChange(changed),
        onMedia: (publisher) => {
          if (publisher === this.#publisher) this.#attachAll();
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
    if (!resumed) this.#closeViewers();
    this.#publisher = session;
    this.#sources = session.sources;
    this.revision = Math.max(this.revision, request.revision);
    return { answer: session.answer, etag: session.ice.etag, tracks: session.report().tracks, resumed };
  }

  /** @throws ProblemError 404 without a publisher, 403 above the limit, 400 or 422 for the offer. */
  play(request: PlayRequest): NodeResult<'play'> {
    if (this.#publisher === null) throw new ProblemError(404, 'no_publisher', 'no active publisher in room');
    if (request.maxSubscribers > 0 && this.#viewers.size >= request.maxSubscribers) {
      throw new ProblemError(403, 'subscriber_limit', 'subscriber limit reached');
    }
    const viewer = new EgressSession({
      context: this.#context,
      session: request.session,
      offer: request.offer,
      sources: this.#sources,
      events: {
        onMedia: (connected) => this.#attach(connected),
        onEnded: (ended, reason) => {
          this.#viewers.delete(ended.id);
          if (reason === 'peer-closed') this.#events.onViewerLeft(ended.id);
          this.#events.onEgressChange();
        },
      },
    });
    this.#viewers.set(viewer.id, viewer);
    this.#events.onEgressChange();
    return { sdp: viewer.sdp, etag: viewer.ice.etag };
  }

  /** False when the session is not here. @throws ProblemError 422 when no answer is awaited, 400 or 422 for a bad one */
  acceptAnswer(session: SessionId, answer: string): boolean {
    const viewer = this.#viewers.get(session);
    viewer?.acceptAnswer(answer);
    return viewer !== undefined;
  }

  /** Of the publisher or of a viewer; null when the session is not here. */
  ice(session: SessionId): IceResource | null {
    if (this.#publisher?.id === session) return this.#publisher.ice;
    return this.#viewers.get(session)?.ice ?? null;
  }

  /** Closes a viewer; false when it is not here. A publisher leaves by `keepPublisher` and `close`. */
  closeSession(session: SessionId): boolean {
    const viewer = this.#viewers.get(session);
    if (viewer === undefined) return false;
    this.#viewers.delete(session);
    viewer.close();
    this.#events.onEgressChange();
    return true;
  }

  /** Ends a publisher that is not the one the edge knows; its viewers wait for the one that is. */
  keepPublisher(session: SessionId): void {
    if (this.#publisher === null || this.#publisher.id === session) return;
    this.#publisher.close();
    this.#publisher = null;
    this.#attachAll();
  }

  /** Ends everything of this lobby here. Idempotent. */
  close(): void {
    this.#publisher?.close();
    this.#publisher = null;
    this.#sources = [];
    this.#closeViewers();
  }

  #closeViewers(): void {
    if (this.#viewers.size === 0) return;
    for (const viewer of this.#viewers.values()) viewer.close();
    this.#viewers.clear();
    this.#events.onEgressChange();
  }

  #attachAll(): void {
    for (const viewer of this.#viewers.values()) this.#attach(viewer);
  }

  #attach(viewer: EgressSession): void {
    viewer.attach((kind) => {
      const source = this.#sources.find((candidate) => candidate.kind === kind);
      return source === undefined ? null : (this.#publisher?.sourceTrack(source.mid) ?? null);
    });
  }
}
