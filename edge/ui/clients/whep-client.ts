/**
 * Plays a room over WHEP and keeps playing.
 *
 *     const client = new WhepClient({ url: 'https://example.org/api/whep/play/live' });
 *     client.addEventListener('stream', (event) => { video.srcObject = event.detail.stream; });
 *     client.addEventListener('state', (event) => console.log(event.detail.state));
 *     client.start();
 *     …
 *     await client.stop();
 *
 * It waits for a publisher that is not there yet, restarts ICE when the path breaks, opens a new session when the old one
 * is gone, and gives up only when the server says that it may not watch (401, 403) or cannot (422).
 */
import { ClientError } from './errors.ts';
import { PeerSession } from './peer-session.ts';
import { withOpusParameters } from './sdp.ts';
import type { VideoLayer } from './session-events.ts';
import { SessionRunner } from './session-runner.ts';
import type { SessionStatus } from './session-state.ts';
import { receivedPackets } from './silence-watch.ts';
import { TypedEventTarget } from './typed-events.ts';

export interface WhepOptions {
  url: string | URL;
  /** Bearer token. */
  token?: string | undefined;
  /** ICE servers beside those that the server sends in `Link` headers. */
  iceServers?: RTCIceServer[];
  /** Default true: candidates follow the offer by PATCH. false: gathered first (2 s at most), sent with the offer. */
  trickle?: boolean;
  /** Kinds to ask for. Default both. */
  kinds?: ('audio' | 'video')[];
  /** Milliseconds that receivers should buffer; 0, the default, is the least delay. */
  jitterBufferTargetMs?: number;
}

/**
 * `live`: connected and packets flow · `waiting`: nobody publishes, or the publisher's signal is interrupted ·
 * `reconnecting`: the path or the session was lost · `failed`: given up, see the last `error`.
 */
export type WhepState = SessionStatus;

/** One of `layers` by its rid, or the best within these pixels. */
export type LayerWish = { rid: string } | { maxWidth?: number; maxHeight?: number };

export interface WhepEvents {
  state: { state: WhepState; previous: WhepState };
  /** A new session brings a new stream; its tracks arrive muted and unmute with the first packets. */
  stream: { stream: MediaStream };
  /** The layers to choose from, best first, are others than before; one or none: there is nothing to choose. */
  layers: { layers: readonly VideoLayer[] };
  /** `fatal`: the client has given up and rests in `failed`; otherwise it tries again by itself. */
  error: { error: ClientError; fatal: boolean };
}

export class WhepClient extends TypedEventTarget<WhepEvents> {
  readonly #options: WhepOptions;
  readonly #runner: SessionRunner;
  #stream: MediaStream | null = null;
  readonly #streams = new WeakMap<RTCPeerConnection, MediaStream>();
  /** Of each session. */
  readonly #layers = new WeakMap<PeerSession, readonly VideoLayer[]>();
  #shownLayers: readonly VideoLayer[] = [];
  #wish: LayerWish | null = null;
  /** The session that has been told the wish. */
  #wishTold: PeerSession | null = null;
  #state: WhepState = 'idle';

  constructor(options: WhepOptions) {
    super();
    this.#options = options;
    this.#runner = new SessionRunner({
      role: 'play',
      createPeer: (events, replaces) => {
        const peer: PeerSession = new PeerSession({
          url: options.url,
          token: options.token,
          iceServers: options.iceServers ?? [],
          trickle: options.trickle ?? true,
          prepare: (connection) => this.#prepare(connection, replaces === null),
          // Without it browsers fold stereo Opus to one channel.
          mungeOffer: (sdp) => withOpusParameters(sdp, { stereo: '1' }),
          mungeAnswer: (sdp) => sdp,
          onLayers: (layers) => this.#hearLayers(peer, layers),
          ...events,
        });
        return peer;
      },
      moving: {
        whenShown: (peer) => whenDecoding(peer.connection),
        onMoved: (peer) => {
          const stream = this.#streams.get(peer.connection);
          if (stream !== undefined) this.#adopt(stream);
          this.#repeatWish();
          this.#showLayers();
        },
      },
      heard: receivedPackets,
      onStatus: (status) => this.#setState(status),
      onError: (error, fatal) => this.emit('error', { error, fatal }),
    });
  }

  get state(): WhepState {
    return this.#state;
  }

  /** The stream of the current or last session; null before the first. */
  get stream(): MediaStream | null {
    return this.#stream;
  }

  /** The connection in use, for `getStats()`; null when there is none. A new session brings a new one. */
  get connection(): RTCPeerConnection | null {
    return this.#runner.peer?.connection ?? null;
  }

  get resourceUrl(): string | null {
    return this.#runner.peer?.resourceUrl ?? null;
  }

  /** The layers of the video that is played, best first; empty while there is one only, or none. */
  get layers(): readonly VideoLayer[] {
    return this.#shownLayers;
  }

  /**
   * Asks for a layer from its next keyframe on; null: automatic, which is how every client begins. It stays chosen over
   * reconnects, as far as there is such a layer. Without a session it is only noted.
   * @throws ClientError `no_layer` when there is none of that rid; the choice is as before then
   */
  async setLayer(wish: LayerWish | null): Promise<void> {
    const { peer } = this.#runner;
    const resource = peer?.resource ?? null;
    await resource?.setLayer(wish);
    this.#wish = wish;
    this.#wishTold = resource === null ? null : peer;
    this.#repeatWish();
  }

  /** Chosen while the client was moving: the session in use has heard an older wish. */
  #repeatWish(): void {
    const { peer } = this.#runner;
    if (peer === null || this.#wishTold === null || this.#wishTold === peer || !this.#layers.has(peer)) return;
    this.#wishTold = peer;
    peer.resource?.setLayer(this.#wish).catch(() => undefined);
  }

  /** Starts, or starts again after `stop` or failure. Does nothing while running. */
  start(): void {
    this.#runner.dispatch({ kind: 'start' });
  }

  /** Ends the session (DELETE). Safe to call at any time; also done by itself when the page goes away. */
  async stop(): Promise<void> {
    this.#runner.dispatch({ kind: 'stop' });
    await this.#runner.settled();
  }

  /** `adopted`: its stream is shown as soon as there is one; otherwise when the session has taken the other's place. */
  #prepare(connection: RTCPeerConnection, adopted: boolean): void {
    const stream = new MediaStream();
    this.#streams.set(connection, stream);
    const targetMs = this.#options.jitterBufferTargetMs ?? 0;
    for (const kind of this.#options.kinds ?? ['audio', 'video']) {
      const { receiver } = connection.addTransceiver(kind, { direction: 'recvonly' });
      // Chromium and Firefox know it; others keep their own buffer.
      if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = targetMs;
    }
    connection.addEventListener('track', ({ track }) => {
      stream.addTrack(track);
      if (adopted && stream.getTracks().length === 1) this.#adopt(stream);
    });
  }

  #adopt(stream: MediaStream): void {
    this.#stream = stream;
    this.emit('stream', { stream });
  }

  #hearLayers(peer: PeerSession, layers: readonly VideoLayer[]): void {
    this.#layers.set(peer, layers);
    if (this.#wish !== null && this.#wishTold !== peer) {
      this.#wishTold = peer;
      // A publisher that came back may have other layers: then the choice is automatic.
      peer.resource?.setLayer(this.#wish).catch(() => undefined);
    }
    this.#showLayers();
  }

  #showLayers(): void {
    const { peer } = this.#runner;
    const layers = (peer === null ? null : this.#layers.get(peer)) ?? [];
    if (layers === this.#shownLayers || (layers.length === 0 && this.#shownLayers.length === 0)) return;
    this.#shownLayers = layers;
    this.emit('layers', { layers });
  }

  #setState(state: WhepState): void {
    const previous = this.#state;
    this.#state = state;
    if (state !== 'live') this.#showLayers();
    this.emit('state', { state, previous });
  }
}

/** A frame is looked for this often; without any, a connection that has been up for this long has to do. */
const FRAME_CHECK_MS = 40;
const FRAME_PATIENCE_MS = 3_000;

/** Resolves when the connection decodes pictures (or, without any, brings sound); rejects when it has ended. */
async function whenDecoding(connection: RTCPeerConnection): Promise<void> {
  let connectedSince: number | null = null;
  for (;;) {
    const state = connection.connectionState;
    if (state === 'closed' || state === 'failed') throw new ClientError('The connection ended', { code: 'ended' });
    const now = performance.now();
    if (state === 'connected') connectedSince ??= now;
    const stats = [...(await connection.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
    const video = stats.some(({ kind }) => kind === 'video');
    if (stats.some(({ framesDecoded, packetsReceived }) => (video ? framesDecoded : packetsReceived) > 0)) return;
    // A publisher that is away has nothing to show on either side.
    if (connectedSince !== null && now - connectedSince > FRAME_PATIENCE_MS) return;
    await new Promise((resolve) => setTimeout(resolve, FRAME_CHECK_MS));
  }
}
