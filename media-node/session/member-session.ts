/** A member of a stream lobby on this node: what it sends (WHIP), its signal channel, and its listener once it has one. */
import { ProblemError } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import type { IngressReport, Lineage } from '../../shared/protocol/control.ts';
import type { SourceTrack } from '../forward/types.ts';
import { answerJoin } from '../negotiate/answer-join.ts';
import type { Codec, DataChannelPlan, JoinedTrackPlan, WantedTrack } from '../negotiate/plan.ts';
import { SignalChannel } from '../signal/signal-channel.ts';
import type { DataChannel } from '../transport/types.ts';
import { MEMBER_SILENCE_MS } from './context.ts';
import { EventChannel } from './event-channel.ts';
import { type IngressEnd, IngressSession, type IngressSessionOptions } from './ingress-session.ts';
import { ListenerSession } from './listener-session.ts';
import type { MemberTrack } from './member-track.ts';
import { noSession } from './refusals.ts';
import { namesOf } from './track-key.ts';

/** How long a client may take from its answer to an open signal channel before it can listen. */
export const SIGNAL_TIMEOUT_MS = 10_000;

export interface MemberSessionOptions
  extends Pick<IngressSessionOptions, 'context' | 'lobby' | 'session' | 'generation' | 'offer'> {
  /** A client without a signal channel; its tracks are main. */
  fixed: boolean;
  /** Absent: it is the member's first session. */
  lineage?: Lineage | undefined;
  events: MemberEvents;
}

export interface MemberEvents {
  /** What is reported of it changed. */
  onChange(member: MemberSession): void;
  /** Its tracks exist, or do no more. */
  onTracks(member: MemberSession): void;
  /** It muted or unmuted a track. */
  onMute(member: MemberSession, track: MemberTrack): void;
  /** The peer is gone for good; the session has closed itself. */
  onEnded(member: MemberSession, reason: IngressEnd): void;
  /** What a listener of its own should get: the tracks of all others. */
  wanted(member: MemberSession): WantedTrack[];
  /** The forwarder's track by its key, if it has this codec. */
  find(key: string, codec: Codec): SourceTrack | null;
}

export class MemberSession {
  readonly ingress: IngressSession;
  readonly lineage: Lineage;
  readonly tracks: readonly MemberTrack[];
  readonly #context: IngressSessionOptions['context'];
  readonly #events: MemberEvents;
  readonly #fixed: boolean;
  readonly #signal: SignalChannel;
  readonly #eventChannel = new EventChannel();
  #listener: ListenerSession | null = null;
  /** A `listen` waits for the signal channel. */
  #opening = false;

  /** @throws ProblemError 400 or 422 when the offer cannot be answered; nothing is left behind then. */
  constructor(options: MemberSessionOptions) {
    const { context, events, session, fixed } = options;
    this.#context = context;
    this.#events = events;
    this.#fixed = fixed;
    this.lineage = options.lineage ?? { session, generation: options.generation };
    this.#signal = new SignalChannel({
      now: () => context.now(),
      makeOffer: () => this.#listener?.makeOffer() ?? null,
      acceptAnswer: (sdp) => this.#acceptChannelAnswer(sdp),
      repeatMutes: () => {
        for (const track of events.wanted(this)) this.tellMute(track);
      },
      onMute: (mid, muted) => this.#mute(mid, muted),
      onFlood: () => this.ingress.end('misconduct'),
    });
    let dataChannel: DataChannelPlan | null = null;
    let joined: readonly JoinedTrackPlan[] = [];
    this.ingress = new IngressSession({
      ...options,
      patience: { silenceMs: MEMBER_SILENCE_MS },
      negotiate: (offer, local) => {
        const plan = answerJoin(offer, local, { fixed });
        ({ tracks: joined, dataChannel } = plan);
        return plan;
      },
      events: {
        onTransport: (transport) => {
          if (dataChannel === null) return;
          const onChannel = (channel: DataChannel): void => {
            if (!this.#eventChannel.adopt(channel)) this.#signal.adopt(channel);
          };
          this.#signal.use(transport.openDataChannels({ ...dataChannel, events: { onChannel } }));
        },
        onChange: () => events.onChange(this),
        onMedia: () => events.onTracks(this),
        onEnded: (_, reason) => {
          this.#closeRest();
          events.onEnded(this, reason);
        },
      },
    });
    this.tracks = joined.map(({ mid, kind, codec, stream, info }) => ({
      ...namesOf(this.lineage, { mid, stream }),
      mid,
      kind,
      codec,
      info: fixed ? { ...info, purpose: 'main' } : info,
    }));
  }

  get id(): SessionId {
    return this.ingress.id;
  }

  get generation(): number {
    return this.ingress.generation;
  }

  get listener(): ListenerSession | null {
    return this.#listener;
  }

  /** The others can have its tracks. */
  get sending(): boolean {
    const { state } = this.ingress;
    return state === 'connected' || state === 'silent';
  }

  get shows(): boolean {
    return this.ingress.shows;
  }

  report(): IngressReport {
    const report = this.ingress.report();
    const listener = this.#listener;
    return {
      ...report,
      tracks: report.tracks.map((track) => {
        const info = this.tracks.find(({ mid }) => mid === track.mid)?.info;
        return info === undefined ? track : { ...track, info };
      }),
      ...(listener === null ? {} : { listener: { session: listener.id, state: listener.state } }),
    };
  }

  /**
   * Begins to receive the others. Waits for the signal channel.
   * @throws ProblemError 404 `no_session`, 409 `listener_exists`, 409 `signal_closed`; 400 or 422 for the offer
   */
  async listen(session: SessionId, offer: string | null): Promise<ListenerSession> {
    if (this.#listener !== null || this.#opening) {
      throw new ProblemError(409, 'listener_exists', 'this member receives already');
    }
    this.#opening = true;
    try {
      const open = !this.#fixed && (await this.#signal.whenOpen(SIGNAL_TIMEOUT_MS));
      if (this.ingress.closed) throw noSession();
      if (!open)
        throw new ProblemError(409, 'signal_closed', 'the signal channel is not open', { retryAfterSeconds: 1 });
      return this.#openListener(session, offer);
    } finally {
      this.#opening = false;
    }
  }

  #openListener(session: SessionId, offer: string | null): ListenerSession {
    const listener = new ListenerSession({
      context: this.#context,
      session,
      offer,
      events: {
        wanted: () => this.#events.wanted(this),
        find: (key, codec) => this.#events.find(key, codec),
        onChange: () => this.#events.onChange(this),
        onEnded: () => this.#forgetListener(),
      },
    });
    this.#listener = listener;
    this.#signal.noteListener(offer === null ? 'offered' : 'settled');
    this.#events.onChange(this);
    return listener;
  }

  /**
   * The answer to the offer that went out over HTTP.
   * @throws ProblemError 422 when none is awaited, 400 or 422 for a bad one (the offer stays pending)
   */
  acceptAnswer(sdp: string): void {
    if (this.#listener === null) throw noSession();
    this.#listener.acceptFirstAnswer(sdp);
    this.#signal.noteListener('settled');
  }

  closeListener(): void {
    this.#listener?.close();
    this.#forgetListener();
  }

  /** The tracks of the others changed. */
  noteTracks(): void {
    if (this.#listener === null) return;
    this.#signal.noteTracks();
    this.#listener.attach();
  }

  /** A track of another member was muted or unmuted. */
  tellMute(track: WantedTrack): void {
    const mid = this.#listener?.midOf(track.key) ?? null;
    if (mid !== null) this.#signal.tellMute(mid, track.info.muted);
  }

  /** Asks the member to come back elsewhere and then leave: on the signal channel, which all of them have. */
  askToMove(): void {
    this.#eventChannel.askToMove();
    this.#signal.askToMove();
  }

  /** Call it once a second. */
  tick(): void {
    this.#signal.tick();
  }

  /** Idempotent. */
  close(): void {
    this.ingress.close();
    this.#closeRest();
  }

  #closeRest(): void {
    this.#signal.close();
    this.#listener?.close();
    this.#listener = null;
  }

  #forgetListener(): void {
    if (this.#listener === null) return;
    this.#listener = null;
    this.#signal.noteListener('closed');
    this.#events.onChange(this);
  }

  #acceptChannelAnswer(sdp: string): boolean {
    try {
      this.#listener?.acceptAnswer(sdp);
      return true;
    } catch (error) {
      // A fault of ours that a client can provoke costs it its answer, not the node its life.
      if (!(error instanceof ProblemError)) this.#context.log(`an answer failed: ${String(error)}`);
      return false;
    }
  }

  #mute(mid: string, muted: boolean): void {
    const track = this.tracks.find((candidate) => candidate.mid === mid);
    if (track === undefined || track.info.muted === muted) return;
    track.info = { ...track.info, muted };
    this.#events.onChange(this);
    this.#events.onMute(this, track);
  }
}
