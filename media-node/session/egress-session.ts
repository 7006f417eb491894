/** One WHEP session on this node: a transport, and once that is up, the viewer's media. */

import { ProblemError } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import type { EgressMedia, SourceTrack } from '../forward/types.ts';
import { answerPlay } from '../negotiate/answer-play.ts';
import { acceptPlayAnswer, offerPlay, type PendingPlayOffer } from '../negotiate/offer-play.ts';
import type { EgressTrackPlan, RemoteTransport, SourceTrackInfo } from '../negotiate/plan.ts';
import type { PeerTransport, TransportEnd } from '../transport/types.ts';
import type { NodeContext } from './context.ts';
import { IceResource } from './ice-resource.ts';
import { mintMediaIds } from './media-ids.ts';
import { openTransport } from './session-transport.ts';

/** An offer of ours that nobody answers is dropped after this (WHEP draft §4.3.2). */
export const ANSWER_TIMEOUT_MS = 30_000;

export interface EgressSessionOptions {
  context: NodeContext;
  session: SessionId;
  /** Null: we offer. */
  offer: string | null;
  sources: readonly SourceTrackInfo[];
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
  #tracks: readonly EgressTrackPlan[] = [];
  #pending: PendingPlayOffer | null = null;
  #answerTimer: NodeJS.Timeout | null = null;
  #media: EgressMedia | null = null;
  #closed = false;
  readonly #context: NodeContext;
  readonly #transport: PeerTransport;

  /** @throws ProblemError 400 or 422 when the offer cannot be answered; nothing is left behind then. */
  constructor(options: EgressSessionOptions) {
    const { context, events } = options;
    this.id = options.session;
    this.#context = context;
    const local = IceResource.localTransport(context);
    const ids = mintMediaIds();
    let remote: RemoteTransport | null = null;
    let mids: readonly string[];
    if (options.offer === null) {
      const offered = offerPlay(options.sources, local, ids);
      this.sdp = offered.offer;
      this.#pending = offered.pending;
      mids = offered.mids;
    } else {
      const plan = answerPlay(parseSdp(options.offer), local, options.sources, ids);
      this.sdp = plan.answer;
      this.#tracks = plan.tracks;
      remote = plan.remote;
      mids = plan.mids;
    }
    const transport = openTransport(context, local, remote, {
      onConnected: (keys) => {
        this.#media = context.forwarder.openEgress(
          {
            tracks: this.#tracks,
            keys,
            send: (datagram) => transport.send(datagram),
            watchRoute: (listener) => transport.watchRoute(listener),
            onAuthenticated: (nowMs) => transport.noteAuthenticated(nowMs),
          },
          context.now(),
        );
        events.onMedia(this);
      },
      onMedia: (datagram, nowMs) => this.#media?.receive(datagram, nowMs),
      onSilence: () => {},
      onEnded: (reason) => {
        this.close();
        events.onEnded(this, reason);
      },
    });
    this.#transport = transport;
    this.ice = new IceResource({ context, transport, local, remote: remote?.ice ?? null, mids });
    if (this.#pending !== null) {
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
   * The player's answer to our offer.
   * @throws ProblemError 422 when none is awaited, 400 or 422 for a bad one (the offer stays pending).
   */
  acceptAnswer(sdp: string): void {
    if (this.#pending === null) throw new ProblemError(422, 'no_offer_pending', 'no answer is awaited');
    const { remote, tracks } = acceptPlayAnswer(this.#pending, parseSdp(sdp));
    this.#pending = null;
    if (this.#answerTimer !== null) clearTimeout(this.#answerTimer);
    this.#tracks = tracks;
    this.ice.acceptRemote(remote);
  }

  /** Sends, on each m-section, the track that `find` gives for its kind; null: nothing for now. */
  attach(find: (kind: 'audio' | 'video') => SourceTrack | null): void {
    for (const track of this.#tracks) this.#media?.attach(track.mid, find(track.kind), this.#context.now());
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#answerTimer !== null) clearTimeout(this.#answerTimer);
    this.#media?.close();
    this.#media = null;
    this.ice.close();
  }
}
