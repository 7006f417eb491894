/**
 * What this node carries of one stream lobby: its members, each of whom gets the tracks of all others; an audience that
 * gets the main tracks; and what goes on the air. The edge decides who may be here.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type {
  DesiredStream,
  IngressReport,
  LiveReport,
  NodeRequest,
  NodeResult,
} from '../../shared/protocol/control.ts';
import type { SourceTrack } from '../forward/types.ts';
import type { NodeContext } from './context.ts';
import type { IceResource } from './ice-resource.ts';
import { LobbyAir, type Pushing } from './lobby-air.ts';
import { MainAudience } from './main-audience.ts';
import { MemberSession } from './member-session.ts';
import { noSession } from './refusals.ts';

type RequestOf<M extends NodeRequest['method']> = Extract<NodeRequest, { method: M }>;

const TICK_MS = 1_000;

export interface CarriedStreamEvents {
  onIngressChange(report: IngressReport): void;
  /** The number of subscribers changed. */
  onEgressChange(): void;
  /** One of the audience closed the connection; its DELETE may still come. */
  onViewerLeft(session: SessionId): void;
  onLiveChange(report: LiveReport): void;
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
  readonly #audience: MainAudience;
  readonly #air: LobbyAir;
  readonly #timer: NodeJS.Timeout;

  constructor(id: LobbyId, options: CarriedStreamOptions) {
    this.id = id;
    this.#options = options;
    const { context, pushing, events } = options;
    this.#audience = new MainAudience(context, events);
    this.#air = new LobbyAir({ context, lobby: id, pushing, onChange: (report) => events.onLiveChange(report) });
    this.#timer = setInterval(() => {
      for (const member of [...this.#members.values()]) member.tick();
    }, TICK_MS);
  }

  get empty(): boolean {
    return this.#members.size === 0 && this.#audience.size === 0 && !this.#air.busy;
  }

  /** Members, their listeners and the audience. */
  get sessionCount(): number {
    return this.#members.size + this.subscriberCount;
  }

  /** Egress sessions. */
  get subscriberCount(): number {
    let count = this.#audience.size;
    for (const { listener } of this.#members.values()) if (listener !== null) count += 1;
    return count;
  }

  ingressReports(): IngressReport[] {
    return [...this.#members.values()].map((member) => member.report());
  }

  liveReports(): LiveReport[] {
    return this.#air.reports();
  }

  /** @throws ProblemError 409 for a session that is here already, 400 or 422 for the offer; the lobby is as before then. */
  join(request: RequestOf<'join'>): NodeResult<'join'> {
    const { session, generation, offer, fixed } = request;
    if (this.#members.has(session)) throw new ProblemError(409, 'session_exists', 'this session is here already');
    const member = new MemberSession({
      context: this.#options.context,
      lobby: this.id,
      session,
      generation,
      offer,
      fixed,
      events: {
        onChange: (changed) => this.#memberChanged(changed),
        onTracks: () => this.#tracksChanged(),
        onMute: (muting, track) => {
          for (const other of this.#members.values()) if (other !== muting) other.tellMute(track);
        },
        onEnded: (ended) => this.#remove(ended),
        wanted: (listening) => this.#tracksFor(listening),
        find: (key) => this.#find(key),
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

  /** One of the audience. @throws ProblemError 404 without main tracks, 403 above the limit, 400 or 422 for the offer */
  play(request: RequestOf<'play'>): NodeResult<'play'> {
    return this.#audience.open(request);
  }

  /** False when the session is not here. @throws ProblemError 422 when no answer is awaited, 400 or 422 for a bad one */
  acceptAnswer(session: SessionId, answer: string): boolean {
    const member = this.#listening(session);
    if (member !== undefined) member.acceptAnswer(answer);
    return member !== undefined || this.#audience.acceptAnswer(session, answer);
  }

  /** Of any session that is here; null when it is not. */
  ice(session: SessionId): IceResource | null {
    const member = this.#members.get(session);
    return member?.ingress.ice ?? this.#listening(session)?.listener?.ice ?? this.#audience.ice(session);
  }

  /** Closes a listener or one of the audience; false when it is not here. Members leave by `apply`. */
  closeSession(session: SessionId): boolean {
    const member = this.#listening(session);
    member?.closeListener();
    return member !== undefined || this.#audience.close(session);
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
    this.#air.apply(desired.live);
  }

  /** Ends everything of this lobby here; resolves when nothing is on the air any more. Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const member of this.#members.values()) member.close();
    this.#members.clear();
    this.#audience.end();
    await this.#air.close();
  }

  #close(member: MemberSession): void {
    member.close();
    this.#remove(member);
  }

  #remove(member: MemberSession): void {
    if (!this.#members.delete(member.id)) return;
    this.#tracksChanged();
    this.#options.events.onEgressChange();
  }

  #memberChanged(member: MemberSession): void {
    // Also at its end, when it is not among the members any more for whoever asks next.
    this.#options.events.onIngressChange(member.report());
    this.#options.events.onEgressChange();
  }

  #tracksChanged(): void {
    for (const member of this.#members.values()) member.noteTracks();
    const senders = [...this.#members.values()].filter(({ sending }) => sending);
    const main = senders.flatMap(({ tracks }) => tracks).filter(({ info }) => info.purpose === 'main');
    const find = (key: string): SourceTrack | null => this.#find(key);
    this.#audience.setTracks(main, find);
    this.#air.setTracks(main, find);
  }

  #tracksFor(listening: MemberSession) {
    return [...this.#members.values()]
      .filter((member) => member !== listening && member.sending)
      .flatMap(({ tracks }) => tracks);
  }

  #find(key: string): SourceTrack | null {
    const [session, mid] = splitKey(key);
    return this.#members.get(session)?.ingress.sourceTrack(mid) ?? null;
  }

  #listening(session: SessionId): MemberSession | undefined {
    return [...this.#members.values()].find(({ listener }) => listener?.id === session);
  }
}

function splitKey(key: string): [SessionId, string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash) as SessionId, key.slice(slash + 1)];
}
