/** The downstream end of a relay: one session that this node dialled, by which it gets the tracks of one publisher. */
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type { DesiredRelay, RelayReport, SessionState } from '../../shared/protocol/control.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import type { IngressMedia, SourceTrack } from '../forward/types.ts';
import { answerRelay } from '../negotiate/relay-answer.ts';
import type { RelayedTrackInfo } from '../negotiate/relay-formats.ts';
import type { NodeContext } from '../session/context.ts';
import { receiveMedia, showsSomething } from '../session/received-media.ts';
import type { TrackSource } from '../session/track-source.ts';
import { mintIceCredentials } from '../transport/ice-credentials.ts';
import type { PeerTransport, TransportEnd } from '../transport/types.ts';

/** Both ends are there and wait for nothing but each other. */
export const RELAY_CONNECT_TIMEOUT_MS = 10_000;
/**
 * An upstream without any sign of life for this long is `silent`, so that the edge can open another. It sends media and
 * reports all the time, and answers the checks that ask it in a pause, so this is no pause.
 */
export const RELAY_SILENCE_MS = 2_500;
/** After this it is gone. */
export const RELAY_EXPIRY_MS = 10_000;

export interface PulledRelayOptions {
  context: NodeContext;
  lobby: LobbyId;
  relay: DesiredRelay;
  /** The upstream's. */
  offer: string;
  events: {
    /** Media can flow: the source tracks exist from now on. */
    onMedia(relay: PulledRelay): void;
    /** Its state changed. */
    onChange(relay: PulledRelay): void;
    /** It is over for good, and has closed itself. */
    onEnded(relay: PulledRelay): void;
  };
}

export class PulledRelay implements TrackSource {
  readonly id: SessionId;
  readonly generation: number;
  readonly upstream: NodeId;
  readonly answer: string;
  readonly sources: readonly RelayedTrackInfo[];
  readonly #options: PulledRelayOptions;
  readonly #transport: PeerTransport;
  #media: IngressMedia | null = null;
  #state: SessionState = 'connecting';
  #endReason: TransportEnd | undefined;

  /** @throws ProblemError 400 or 422 when the offer cannot be answered; nothing is left behind then */
  constructor(options: PulledRelayOptions) {
    const { context, relay, events } = options;
    this.#options = options;
    this.id = relay.session;
    this.generation = relay.generation;
    this.upstream = relay.upstream;
    const ice = mintIceCredentials();
    const local = { ice, fingerprint: context.endpoint.fingerprint, candidates: [] };
    const plan = answerRelay(parseSdp(options.offer), local);
    this.answer = plan.answer;
    this.sources = plan.tracks.map(({ mid, kind, codec, stream, rids }) => ({ mid, kind, codec, stream, rids }));
    const transport = context.endpoint.dialTransport({
      local: ice,
      remote: plan.remote,
      candidates: plan.candidates,
      connectTimeoutMs: RELAY_CONNECT_TIMEOUT_MS,
      silenceMs: RELAY_SILENCE_MS,
      expiryMs: RELAY_EXPIRY_MS,
      events: {
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
        onEnded: (reason) => {
          this.#endReason = reason;
          this.close();
          events.onChange(this);
          events.onEnded(this);
        },
      },
    });
    this.#transport = transport;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** `ip:port` of the upstream, or null. */
  get remoteAddress(): string | null {
    return this.#transport.remoteAddress;
  }

  sourceTrack(mid: string): SourceTrack | null {
    return this.#media?.tracks.find((track) => track.mid === mid) ?? null;
  }

  /** A packet of any track came. */
  get flows(): boolean {
    const tracks = this.#media?.stats(this.#options.context.now()) ?? [];
    return tracks.some(({ layers }) => layers.some(({ packets }) => packets > 0));
  }

  /** Whoever gets its tracks now has something to see or hear at once. */
  get shows(): boolean {
    return this.#state === 'connected' && showsSomething(this.#media?.stats(this.#options.context.now()) ?? []);
  }

  /** @param idle nobody here has wanted the tracks for a while */
  report(idle: boolean): RelayReport {
    return {
      lobby: this.#options.lobby,
      session: this.id,
      generation: this.generation,
      state: this.#state,
      ...(this.#endReason === undefined ? {} : { reason: this.#endReason }),
      idle,
    };
  }

  /** Idempotent. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#media?.close();
    this.#media = null;
    this.#transport.close();
  }
}
