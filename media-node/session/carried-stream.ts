/**
 * What this node carries of one stream lobby: its members, each of whom gets the tracks of all others, those of members on
 * other nodes included; an audience that gets the main tracks; and what goes on the air. The edge decides who may be here.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type {
  DesiredStream,
  IngressReport,
  LiveReport,
  NodeRequest,
  NodeResult,
  RelayReport,
} from '../../shared/protocol/control.ts';
import type { SourceTrack } from '../forward/types.ts';
import type { Codec } from '../negotiate/plan.ts';
import type { RemoteMember } from '../relay/remote-member.ts';
import { RemoteMembers } from '../relay/remote-members.ts';
import { ServedRelays } from '../relay/served-relays.ts';
import type { NodeContext } from './context.ts';
import type { EgressSession } from './egress-session.ts';
import type { IceResource } from './ice-resource.ts';
import type { IngressSession } from './ingress-session.ts';
import { LobbyAir, type Pushing } from './lobby-air.ts';
import { MainAudience } from './main-audience.ts';
import { MemberSession } from './member-session.ts';
import type { MemberTrack } from './member-track.ts';
import type { Mover } from './move-round.ts';
import { isSameMember, PresentSenders } from './present-senders.ts';
import { noSession } from './refusals.ts';
import { splitKey } from './track-key.ts';
import type { TrackSource } from './track-source.ts';

type RequestOf<M extends NodeRequest['method']> = Extract<NodeRequest, { method: M }>;

const TICK_MS = 1_000;

export interface CarriedStreamEvents {
  onIngressChange(report: IngressReport): void;
  /** The number of subscribers changed. */
  onEgressChange(): void;
  /** One of the audience closed the connection; its DELETE may still come. */
  onViewerLeft(session: SessionId): void;
  onLiveChange(report: LiveReport): void;
  onRelayChange(report: RelayReport): void;
}

export interface CarriedStreamOptions {
  context: NodeContext;
  pushing: Pushing;
  events: CarriedStreamEvents;
}

export class CarriedStream {
  readonly id: LobbyId;
  /** The highest revision of the edge's wishes that was seen. */
  revision = 0;
  readonly #options: CarriedStreamOptions;
  /** In the order in which they came. */
  readonly #members = new Map<SessionId, MemberSession>();
  readonly #remotes: RemoteMembers;
  readonly #served: ServedRelays;
  readonly #audience: MainAudience;
  readonly #air: LobbyAir;
  readonly #timer: NodeJS.Timeout;
  /** Those of them whose tracks the others get: one session of each, also while they move. */
  readonly #present: PresentSenders<MemberSession | RemoteMember>;

  constructor(id: LobbyId, options: CarriedStreamOptions) {
    this.id = id;
    this.#options = options;
    const { context, pushing, events } = options;
    this.#audience = new MainAudience(context, {
      ...events,
      onEgressChange: () => this.#egressChanged(),
    });
    this.#served = new ServedRelays({
      context,
      find: (source) => this.#trackSource(source),
      onChange: () => this.#egressChanged(),
    });
    this.#remotes = new RemoteMembers({
      context,
      lobby: id,
      events: {
        onTracks: () => this.#tracksChanged(),
        onMute: (remote, track) => this.#tellMute(remote, track),
        onDropped: ({ id }) => this.#ended(id),
        onReport: (report) => events.onRelayChange(report),
      },
      wanted: (session) => this.subscriberCount > 0 || this.#air.busy || this.#served.serves(session),
    });
    this.#air = new LobbyAir({ context, lobby: id, pushing, onChange: (report) => events.onLiveChange(report) });
    this.#present = new PresentSenders({ all: () => this.#senders(), onChange: () => this.#tracksChanged() });
    this.#timer = setInterval(() => {
      for (const member of [...this.#members.values()]) member.tick();
      this.#present.look();
    }, TICK_MS);
  }

  get empty(): boolean {
    return !this.busy && this.#remotes.size === 0;
  }

  /** Somebody would miss this node. */
  get busy(): boolean {
    return this.#members.size + this.#audience.size + this.#served.size > 0 || this.#air.busy;
  }

  /** Members, their listeners, the audience, and relays in both directions. */
  get sessionCount(): number {
    return this.#members.size + this.subscriberCount + this.#served.size + this.#remotes.sessionCount;
  }

  /** Egress sessions. */
  get subscriberCount(): number {
    let count = this.#audience.size;
    for (const { listener } of this.#members.values()) if (listener !== null) count += 1;
    return count;
  }

  get publishers(): readonly IngressSession[] {
    return [...this.#members.values()].map(({ ingress }) => ingress);
  }

  ingressReports(): IngressReport[] {
    return [...this.#members.values()].map((member) => member.report());
  }

  relayReports(): RelayReport[] {
    return this.#remotes.reports();
  }

  /** Nodes that tracks come from, one for each relay. */
  get upstreams(): NodeId[] {
    return this.#remotes.upstreams;
  }

  /** Nodes that tracks go to, one for each relay. */
  get downstreams(): NodeId[] {
    return this.#served.downstreams;
  }

  liveReports(): LiveReport[] {
    return this.#air.reports();
  }

  /** @throws ProblemError 409 for a session that is here already, 400 or 422 for the offer; the lobby is as before then. */
  join(request: RequestOf<'join'>): NodeResult<'join'> {
    const { session, generation, offer, fixed, lineage } = request;
    if (this.#members.has(session)) throw new ProblemError(409, 'session_exists', 'this session is here already');
    const member = new MemberSession({
      context: this.#options.context,
      lobby: this.id,
      session,
      generation,
      offer,
      fixed,
      lineage,
      events: {
        onChange: (changed) => this.#memberChanged(changed),
        onTracks: () => this.#tracksChanged(),
        onMute: (muting, track) => this.#tellMute(muting, track),
        onEnded: (ended) => this.#remove(ended),
        wanted: (listening) => this.#tracksFor(listening),
        find: (key, codec) => this.#find(key, codec),
      },
    });
    this.#members.set(session, member);
    this.revision = Math.max(this.revision, request.revision);
    return { answer: member.ingress.answer, etag: member.ingress.ice.etag, tracks: member.report().tracks };
  }

  /** @throws ProblemError as `MemberSession.listen` */
  async listen(request: RequestOf<'listen'>): Promise<NodeResult<'listen'>> {
    const member = this.#members.get(request.member);
    if (member === undefined) throw noSession();
    const listener = await member.listen(request.session, request.offer);
    return { sdp: listener.sdp, etag: listener.ice.etag };
  }

  /** Offers a member's tracks to another node. @throws ProblemError 404 `no_session` without that member, 422 without tracks */
  relayOffer(request: RequestOf<'relay-offer'>): NodeResult<'relay-offer'> {
    const { source } = request;
    const member = source === null ? undefined : (this.#members.get(source) ?? this.#remotes.find(source));
    if (member === undefined) throw noSession();
    return { offer: this.#served.offer(request, member.tracks) };
  }

  /**
   * Gets a member's tracks from another node.
   * @throws ProblemError 404 `no_session` without a source, 409 `publisher_here`, 409 `session_exists`, 400 or 422
   */
  relayPull(request: RequestOf<'relay-pull'>): NodeResult<'relay-pull'> {
    const { source, revision } = request;
    if (source === null) throw noSession();
    if (this.#members.has(source.session)) {
      throw new ProblemError(409, 'publisher_here', 'this member is on this node');
    }
    const wasHere = this.#remotes.find(source.session) !== undefined;
    const result = this.#remotes.pull(source, request);
    this.revision = Math.max(this.revision, revision);
    if (wasHere) this.#tracksChanged();
    return result;
  }

  /** One of the audience. @throws ProblemError 404 without main tracks, 403 above the limit, 400 or 422 for the offer */
  play(request: RequestOf<'play'>): NodeResult<'play'> {
    return this.#audience.open(request);
  }

  /** False when the session is not here. @throws ProblemError 422 when no answer is awaited, 400 or 422 for a bad one */
  acceptAnswer(session: SessionId, answer: string): boolean {
    const member = this.#listening(session);
    if (member !== undefined) member.acceptAnswer(answer);
    if (member !== undefined) return true;
    return this.#audience.acceptAnswer(session, answer) || this.#served.acceptAnswer(session, answer);
  }

  /** Of any session that is here; null when it is not. */
  ice(session: SessionId): IceResource | null {
    const member = this.#members.get(session);
    const own = member?.ingress.ice ?? this.#listening(session)?.listener?.ice;
    return own ?? this.#audience.ice(session) ?? this.#served.ice(session);
  }

  /** One of the audience; null when it is not here. */
  viewer(session: SessionId): EgressSession | null {
    return this.#audience.find(session);
  }

  /** Closes a listener, one of the audience or a relay from here; false when it is not here. Members leave by `apply`. */
  closeSession(session: SessionId): boolean {
    const member = this.#listening(session);
    member?.closeListener();
    return member !== undefined || this.#audience.close(session) || this.#served.close(session);
  }

  /**
   * Closes whom the edge does not want here, and puts on the air what it does.
   * @throws ProblemError 501 `no_ffmpeg`; everything else is done then
   */
  apply(desired: DesiredStream): void {
    if (desired.revision < this.revision) return;
    this.revision = desired.revision;
    const wanted = new Map(desired.members.map((member) => [member.session, member]));
    for (const member of [...this.#members.values()]) {
      const wish = wanted.get(member.id);
      if (wish === undefined || wish.generation !== member.ingress.generation) this.#close(member);
      else if (member.listener !== null && member.listener.id !== wish.listener) member.closeListener();
    }
    this.#remotes.apply(desired.remotes ?? []);
    this.#air.apply(desired.live);
  }

  /** All clients; those who understand it make a new session elsewhere when they are asked to. */
  *movers(): Iterable<Mover> {
    yield* this.#members.values();
    yield* this.#audience.movers();
  }

  /** Ends everything of this lobby here; resolves when nothing is on the air any more. Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#present.close();
    for (const member of this.#members.values()) member.close();
    this.#members.clear();
    this.#remotes.close();
    this.#served.end();
    this.#audience.end();
    await this.#air.close();
  }

  #close(member: MemberSession): void {
    member.close();
    this.#remove(member);
  }

  #remove(member: MemberSession): void {
    if (this.#members.delete(member.id)) this.#ended(member.id);
  }

  /** A member is not here any more, from this node or another. */
  #ended(session: SessionId): void {
    this.#served.end(session);
    this.#tracksChanged();
    this.#options.events.onEgressChange();
  }

  #memberChanged(member: MemberSession): void {
    // Also at its end, when it is not among the members any more for whoever asks next.
    this.#options.events.onIngressChange(member.report());
    this.#egressChanged();
  }

  #egressChanged(): void {
    this.#remotes.noteDemand();
    this.#options.events.onEgressChange();
  }

  /** Of who moves, that session says it whose tracks the others have. */
  #tellMute(muting: MemberSession | RemoteMember, track: MemberTrack): void {
    if (!this.#present.noteMute(muting, track)) return;
    for (const other of this.#members.values()) if (!isSameMember(other, muting)) other.tellMute(track);
  }

  #tracksChanged(): void {
    const muted = this.#present.settle();
    for (const member of this.#members.values()) member.noteTracks();
    for (const { sender, track } of muted) this.#tellMute(sender, track);
    const main = this.#present.all.flatMap(({ tracks }) => tracks).filter(({ info }) => info.purpose === 'main');
    const find = (key: string): SourceTrack | null => this.#find(key);
    this.#audience.setTracks(main, find);
    this.#air.setTracks(main, find);
    this.#served.attach();
  }

  #senders(): (MemberSession | RemoteMember)[] {
    return [...this.#members.values(), ...this.#remotes.all];
  }

  #tracksFor(listening: MemberSession): MemberTrack[] {
    return this.#present.all.filter((member) => !isSameMember(member, listening)).flatMap(({ tracks }) => tracks);
  }

  /** `codec`: that of a listener, whose next offer has another when the track has it now. */
  #find(key: string, codec: Codec | null = null): SourceTrack | null {
    const [first, mid] = splitKey(key);
    const sender = this.#present.all.find(({ lineage }) => lineage.session === first);
    const track = sender?.tracks.find((one) => one.mid === mid);
    if (sender === undefined || (codec !== null && track?.codec.name !== codec.name)) return null;
    return this.#trackSource(sender.id)?.sourceTrack(mid) ?? null;
  }

  /** Null while its tracks do not flow. */
  #trackSource(session: SessionId | null): TrackSource | null {
    if (session === null) return null;
    const member = this.#members.get(session);
    if (member !== undefined) return member.sending ? member.ingress : null;
    const remote = this.#remotes.find(session);
    return remote?.intake.connected ? remote.intake : null;
  }

  #listening(session: SessionId): MemberSession | undefined {
    return [...this.#members.values()].find(({ listener }) => listener?.id === session);
  }
}
