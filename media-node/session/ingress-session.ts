/** One WHIP session on this node: a transport, and once that is up, the publisher's media. */
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { IngressReport, SessionState } from '../../shared/protocol/control.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import type { SessionDescription } from '../../shared/sdp/types.ts';
import type { IngressMedia, SourceTrack } from '../forward/types.ts';
import { answerPublish, type PublishAnswer } from '../negotiate/answer-publish.ts';
import type { IngressTrackPlan, LocalTransport, SourceTrackInfo } from '../negotiate/plan.ts';
import type { DataChannel, PeerTransport, TransportEnd } from '../transport/types.ts';
import type { NodeContext } from './context.ts';
import { EventChannel } from './event-channel.ts';
import { IceResource } from './ice-resource.ts';
import { receiveMedia, showsSomething } from './received-media.ts';
import { openTransport, type Patience } from './session-transport.ts';

/** Why a session ended, when it was not we or the edge who closed it. */
export type IngressEnd = TransportEnd | 'misconduct';

export interface IngressSessionOptions {
  context: NodeContext;
  lobby: LobbyId;
  session: SessionId;
  generation: number;
  offer: string;
  /** As for a room's publisher when not given. */
  patience?: Patience;
  /** How the offer is answered; as a room's publisher's by default. */
  negotiate?(offer: SessionDescription, local: LocalTransport): PublishAnswer;
  events: {
    /** Before anything can come from the peer. */
    onTransport?(transport: PeerTransport): void;
    /** State or tracks changed. */
    onChange(session: IngressSession): void;
    /** Media can flow: the source tracks exist from now on. */
    onMedia(session: IngressSession): void;
    /** The peer is gone for good; the session has closed itself. */
    onEnded(session: IngressSession, reason: IngressEnd): void;
  };
}

export class IngressSession {
  readonly id: SessionId;
  readonly generation: number;
  readonly answer: string;
  readonly ice: IceResource;
  /** What this session publishes, as viewers' negotiations see it. */
  readonly sources: readonly SourceTrackInfo[];
  readonly #context: NodeContext;
  readonly #lobby: LobbyId;
  readonly #plans: readonly IngressTrackPlan[];
  #media: IngressMedia | null = null;
  #state: SessionState = 'connecting';
  #endReason: IngressReport['reason'];
  readonly #events: IngressSessionOptions['events'];
  readonly #eventChannel = new EventChannel();

  /** @throws ProblemError 400 or 422 when the offer cannot be answered; nothing is left behind then. */
  constructor(options: IngressSessionOptions) {
    const { context, events, negotiate = answerPublish } = options;
    this.#context = context;
    this.#events = events;
    this.id = options.session;
    this.generation = options.generation;
    this.#lobby = options.lobby;
    const offer = parseSdp(options.offer);
    const local = IceResource.localTransport(context);
    const plan = negotiate(offer, local);
    this.answer = plan.answer;
    this.#plans = plan.tracks;
    this.sources = plan.tracks.map(({ mid, kind, codec, rids }) => ({ mid, kind, codec, rids }));
    const transport = openTransport(
      context,
      local,
      plan.remote,
      {
        onConnected: (keys) => {
          this.#media = receiveMedia(context, transport, { tracks: plan.tracks, keys });
          this.#state = 'connected';
          events.onMedia(this);
          events.onChange(this);
        },
        onMedia: (datagram, nowMs) => this.#media?.receive(datagram, nowMs),
        onSilence: (silent) => {
          this.#state = silent ? 'silent' : 'connected';
          events.onChange(this);
        },
        onEnded: (reason) => this.end(reason),
      },
      options.patience,
    );
    events.onTransport?.(transport);
    // A member's channels are its session's business.
    if (options.negotiate === undefined && plan.dataChannel !== null) {
      const onChannel = (channel: DataChannel): void => void this.#eventChannel.adopt(channel);
      transport.openDataChannels({ ...plan.dataChannel, events: { onChannel } });
    }
    this.ice = new IceResource({ context, transport, local, remote: plan.remote.ice, mids: plan.mids });
  }

  get state(): SessionState {
    return this.#state;
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  /** The forwarder's track for `mid`; null before the transport is up and after the end. */
  sourceTrack(mid: string): SourceTrack | null {
    return this.#media?.tracks.find((track) => track.mid === mid) ?? null;
  }

  /** Whoever gets its tracks now has something to see or hear at once. */
  get shows(): boolean {
    return this.#state === 'connected' && showsSomething(this.#media?.stats(this.#context.now()) ?? []);
  }

  report(): IngressReport {
    return {
      lobby: this.#lobby,
      session: this.id,
      generation: this.generation,
      state: this.#state,
      ...(this.#endReason === undefined ? {} : { reason: this.#endReason }),
      tracks: this.#plans.map((track) => ({
        mid: track.mid,
        kind: track.kind,
        codec: track.codec.name,
        rids: [...track.rids],
      })),
    };
  }

  /** Asks the publisher to make a new session and then leave this one. */
  askToMove(): void {
    this.#eventChannel.askToMove();
  }

  /** Closes for a reason that is reported. */
  end(reason: IngressEnd): void {
    if (this.#state === 'closed') return;
    this.#endReason = reason;
    this.close();
    this.#events.onChange(this);
    this.#events.onEnded(this, reason);
  }

  /** Idempotent. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#media?.close();
    this.#media = null;
    this.ice.close();
  }
}
