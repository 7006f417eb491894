/** What a member of a stream lobby receives: one WHEP session whose tracks come and go, offered anew each time. */
import { ProblemError } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import type { SessionState } from '../../shared/protocol/control.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import type { EgressMedia, SourceTrack } from '../forward/types.ts';
import { answerListen } from '../negotiate/answer-listen.ts';
import { acceptAnswer, type ListenerAnswer, printOffer } from '../negotiate/listener-offer.ts';
import { emptyListener, type ListenerSdp, listenerMids, midOfTrack, needsOffer } from '../negotiate/listener-sdp.ts';
import { withTracks } from '../negotiate/listener-tracks.ts';
import type { Codec, DataChannelPlan, ListenedTrackPlan, RemoteTransport, WantedTrack } from '../negotiate/plan.ts';
import type { PeerTransport } from '../transport/types.ts';
import type { NodeContext } from './context.ts';
import { ANSWER_TIMEOUT_MS } from './egress-session.ts';
import { IceResource } from './ice-resource.ts';
import { type MediaIds, mintMediaIds } from './media-ids.ts';
import { openTransport } from './session-transport.ts';

export interface ListenerSessionOptions {
  context: NodeContext;
  session: SessionId;
  /** Null: we offer. */
  offer: string | null;
  events: {
    /** The tracks of all others. */
    wanted(): readonly WantedTrack[];
    /** The forwarder's track by its key; null while it is not there, or has another codec than was negotiated. */
    find(key: string, codec: Codec): SourceTrack | null;
    /** Its state changed. */
    onChange(): void;
    /** The peer is gone for good, or did not answer; the session has closed itself. */
    onEnded(): void;
  };
}

export class ListenerSession {
  readonly id: SessionId;
  /** Our first offer, or our answer. */
  readonly sdp: string;
  readonly ice: IceResource;
  readonly #context: NodeContext;
  readonly #events: ListenerSessionOptions['events'];
  readonly #ids: MediaIds = mintMediaIds();
  readonly #transport: PeerTransport;
  /** What the peer answered last. */
  #settled: ListenerSdp;
  /** What it was offered since; null: nothing. */
  #offered: ListenerSdp | null = null;
  /** Of the description that went out last. */
  #version = 1;
  #tracks: readonly ListenedTrackPlan[] = [];
  #media: EgressMedia | null = null;
  #state: SessionState = 'connecting';
  /** While offer 0 is unanswered. */
  #answerTimer: NodeJS.Timeout | null = null;

  /** @throws ProblemError 400 or 422 when the offer cannot be answered; nothing is left behind then. */
  constructor(options: ListenerSessionOptions) {
    const { context, events } = options;
    this.id = options.session;
    this.#context = context;
    this.#events = events;
    const local = IceResource.localTransport(context);
    let remote: RemoteTransport | null = null;
    let dataChannel: DataChannelPlan | null = null;
    if (options.offer === null) {
      this.#settled = emptyListener(local, this.#ids.cname);
      this.#offered = this.#settled;
      this.sdp = printOffer(this.#settled, local, { version: this.#version });
    } else {
      const offer = parseSdp(options.offer);
      const answered = answerListen(offer, local, events.wanted(), this.#ids, this.#ids.cname);
      ({ state: this.#settled, answer: this.sdp, remote, tracks: this.#tracks, dataChannel } = answered);
    }
    this.#transport = openTransport(context, local, remote, {
      onConnected: (keys) => {
        this.#media = context.forwarder.openEgress(
          {
            tracks: this.#tracks,
            keys,
            send: (datagram) => this.#transport.send(datagram),
            watchRoute: (listener) => this.#transport.watchRoute(listener),
            openInbound: (inbound, listener) => this.#transport.openInbound?.(inbound, listener) ?? false,
            onAuthenticated: (nowMs) => this.#transport.noteAuthenticated(nowMs),
          },
          context.now(),
        );
        this.attach();
        this.#become('connected');
      },
      onMedia: (datagram, nowMs) => this.#media?.receive(datagram, nowMs),
      onSilence: (silent) => this.#become(silent ? 'silent' : 'connected'),
      onEnded: () => this.#end(),
    });
    this.#openDataChannels(dataChannel);
    this.ice = new IceResource({
      context,
      transport: this.#transport,
      local,
      remote: remote?.ice ?? null,
      mids: listenerMids(this.#settled),
    });
    if (remote === null) this.#answerTimer = setTimeout(() => this.#end(), ANSWER_TIMEOUT_MS);
  }

  get state(): SessionState {
    return this.#state;
  }

  /**
   * The answer to our first offer.
   * @throws ProblemError 422 when none is awaited, 400 or 422 for a bad one (the offer stays pending)
   */
  acceptFirstAnswer(sdp: string): void {
    if (this.#answerTimer === null) throw new ProblemError(422, 'no_offer_pending', 'no answer is awaited');
    const { remote, dataChannel } = this.#accept(sdp);
    clearTimeout(this.#answerTimer);
    this.#answerTimer = null;
    this.ice.acceptRemote(remote);
    this.#openDataChannels(dataChannel);
  }

  /** @throws ProblemError 400 or 422 for an answer that does not fit the newest offer, which then stays pending */
  acceptAnswer(sdp: string): void {
    const { tracks } = this.#accept(sdp);
    this.#tracks = tracks;
    this.#media?.setTracks(tracks, this.#context.now());
    this.attach();
  }

  /** The next offer: the tracks of all others, in the m-lines that there are. Null when it has just these tracks. */
  makeOffer(): string | null {
    const next = withTracks(this.#settled, this.#events.wanted(), this.#ids);
    if (!needsOffer(this.#settled, next)) return null;
    this.#offered = next;
    this.#version += 1;
    return printOffer(next, this.ice.local, { version: this.#version });
  }

  /** The mid of a track in the newest offer. */
  midOf(key: string): string | null {
    return midOfTrack(this.#offered ?? this.#settled, key);
  }

  /** Sends each track that was accepted, as far as it is there. */
  attach(): void {
    const nowMs = this.#context.now();
    for (const { mid, key, codec } of this.#tracks) this.#media?.attach(mid, this.#events.find(key, codec), nowMs);
  }

  /** Idempotent. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    if (this.#answerTimer !== null) clearTimeout(this.#answerTimer);
    this.#media?.close();
    this.#media = null;
    this.ice.close();
  }

  #accept(sdp: string): ListenerAnswer {
    const answer = acceptAnswer(this.#offered ?? this.#settled, parseSdp(sdp));
    this.#settled = answer.state;
    this.#offered = null;
    return answer;
  }

  /** Nothing is said on them: an offer without tracks has nothing else to connect for. */
  #openDataChannels(plan: DataChannelPlan | null): void {
    if (plan !== null) this.#transport.openDataChannels({ ...plan, events: { onChannel: () => {} } });
  }

  #end(): void {
    if (this.#state === 'closed') return;
    this.close();
    this.#events.onEnded();
  }

  #become(state: SessionState): void {
    this.#state = state;
    this.#events.onChange();
  }
}
