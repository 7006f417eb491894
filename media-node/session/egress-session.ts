/** One WHEP session on this node, be it a player's or a relay's: a transport, and once that is up, the media. */
import { ProblemError } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import type { EgressMedia, SourceTrack } from '../forward/types.ts';
import type { EgressTrackPlan } from '../negotiate/plan.ts';
import type { DataChannel, PeerTransport, PeerTransportEvents, TransportEnd } from '../transport/types.ts';
import type { NodeContext } from './context.ts';
import type { EgressNegotiation, EgressStart } from './egress-negotiation.ts';
import { EventChannel } from './event-channel.ts';
import { IceResource } from './ice-resource.ts';
import { mintMediaIds } from './media-ids.ts';
import { openTransport, type Patience } from './session-transport.ts';
import { WatchedLayers } from './watched-layers.ts';

/** An offer of ours that nobody answers is dropped after this (WHEP draft §4.3.2). */
export const ANSWER_TIMEOUT_MS = 30_000;

export interface EgressSessionOptions {
  context: NodeContext;
  session: SessionId;
  negotiation: EgressNegotiation;
  /** What a request for a keyframe that comes from there is counted as. */
  keyframeReason?: 'viewer-pli' | 'relay';
  /** With a peer that says nothing; as with everybody when not given. */
  patience?: Patience;
  events: {
    /** Media can flow: attach the source tracks. */
    onMedia(session: EgressSession): void;
    onEnded(session: EgressSession, reason: TransportEnd | 'unanswered'): void;
  };
}

export class EgressSession {
  readonly id: SessionId;
  /** Our answer, or our offer when the player sent none. */
  readonly sdp: string;
  readonly ice: IceResource;
  readonly layers: WatchedLayers;
  #tracks: readonly EgressTrackPlan[] = [];
  /** While our offer is unanswered. */
  #accept: EgressStart['accept'];
  readonly #eventChannel = new EventChannel();
  #answerTimer: NodeJS.Timeout | null = null;
  #media: EgressMedia | null = null;
  #closed = false;
  readonly #context: NodeContext;
  readonly #transport: PeerTransport;
  #moving = false;

  /** @throws ProblemError 400 or 422 when the offer cannot be answered; nothing is left behind then. */
  constructor(options: EgressSessionOptions) {
    const { context, events } = options;
    this.id = options.session;
    this.#context = context;
    const local = IceResource.localTransport(context);
    const start = options.negotiation(local, mintMediaIds());
    this.sdp = start.sdp;
    this.#accept = start.accept;
    this.#tracks = start.settled?.tracks ?? [];
    const remote = start.settled?.remote ?? null;
    const transportEvents: PeerTransportEvents = {
      onConnected: (keys) => {
        this.#media = context.forwarder.openEgress(
          {
            tracks: this.#tracks,
            keys,
            send: (datagram) => transport.send(datagram),
            watchRoute: (listener) => transport.watchRoute(listener),
            openInbound: (inbound, listener) => transport.openInbound?.(inbound, listener) ?? false,
            onAuthenticated: (nowMs) => transport.noteAuthenticated(nowMs),
            onLayers: () => this.layers.changed(),
            ...(options.keyframeReason === undefined ? {} : { keyframeReason: options.keyframeReason }),
          },
          context.now(),
        );
        this.layers.open(this.#media);
        events.onMedia(this);
      },
      onMedia: (datagram, nowMs) => this.#media?.receive(datagram, nowMs),
      onSilence: () => {},
      onEnded: (reason) => {
        this.close();
        events.onEnded(this, reason);
      },
    };
    const transport = openTransport(context, local, remote, transportEvents, options.patience);
    this.#transport = transport;
    const { dataChannel, mids } = start;
    this.layers = new WatchedLayers({
      mids,
      now: () => context.now(),
      tell: (layers) => this.#eventChannel.tell('layers', layers),
    });
    this.layers.setTracks(this.#tracks);
    if (dataChannel !== null) {
      const onChannel = (channel: DataChannel): void => void this.#eventChannel.adopt(channel);
      transport.openDataChannels({ ...dataChannel, events: { onChannel } });
    }
    this.ice = new IceResource({ context, transport, local, remote: remote?.ice ?? null, mids });
    if (this.#accept !== null) {
      this.#answerTimer = setTimeout(() => {
        this.close();
        events.onEnded(this, 'unanswered');
      }, ANSWER_TIMEOUT_MS);
    }
  }

  get connected(): boolean {
    return this.#media !== null;
  }

  get remoteAddress(): string | null {
    return this.#transport.remoteAddress;
  }

  /**
   * The answer to our offer.
   * @throws ProblemError 422 when none is awaited, 400 or 422 for a bad one (the offer stays pending).
   */
  acceptAnswer(sdp: string): void {
    if (this.#accept === null) throw new ProblemError(422, 'no_offer_pending', 'no answer is awaited');
    const { remote, tracks } = this.#accept(parseSdp(sdp));
    this.#accept = null;
    if (this.#answerTimer !== null) clearTimeout(this.#answerTimer);
    this.#tracks = tracks;
    this.layers.setTracks(tracks);
    this.ice.acceptRemote(remote);
  }

  /** Sends, on each m-section, the track that `find` gives for it; null: nothing for now. Also before it is connected. */
  attach(find: (track: EgressTrackPlan) => SourceTrack | null): void {
    for (const track of this.#tracks) {
      const source = find(track);
      this.layers.attached(track.mid, source);
      this.#media?.attach(track.mid, source, this.#context.now());
    }
  }

  /** Asks the client to make a new session and then leave this one. */
  askToMove(): void {
    this.#moving = true;
    this.#eventChannel.askToMove();
  }

  /** The client was asked to move. */
  get moving(): boolean {
    return this.#moving;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#answerTimer !== null) clearTimeout(this.#answerTimer);
    this.layers.close();
    this.#media?.close();
    this.#media = null;
    this.ice.close();
  }
}
