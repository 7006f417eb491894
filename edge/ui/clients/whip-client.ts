/**
 * Publishes a `MediaStream` over WHIP (RFC 9725).
 *
 *     const client = new WhipClient({ url: 'https://example.org/api/whip/publish/live', token: 'secret' });
 *     client.addEventListener('state', (event) => console.log(event.detail.state));
 *     await client.publish(await navigator.mediaDevices.getUserMedia({ audio: true, video: true }));
 *     …
 *     await client.stop();
 *
 * Once live, it stays live by itself: ICE restart when the path breaks or the network changes, a new session when the
 * server has lost the old one.
 */
import { ClientError } from './errors.ts';
import { PeerSession } from './peer-session.ts';
import { withOpusParameters, withVideoStartBitrate } from './sdp.ts';
import { SessionRunner } from './session-runner.ts';
import type { SessionStatus } from './session-state.ts';
import { receivedSigns } from './silence-watch.ts';
import { TypedEventTarget } from './typed-events.ts';

export interface WhipOptions {
  url: string | URL;
  /** Bearer token. */
  token?: string | undefined;
  /** ICE servers beside those that the server sends in `Link` headers. */
  iceServers?: RTCIceServer[];
  /** Default true: candidates follow the offer by PATCH. false: gathered first (2 s at most), sent with the offer. */
  trickle?: boolean;
}

export interface PublishOptions {
  /** Video codecs to offer, best first, e.g. `['AV1', 'H264']`; all others are left out. Default: the browser's list. */
  codecPreferences?: string[];
  /** Three encodings (`l`, `m`, `h`) at a quarter, half and full size. Default false. */
  simulcast?: boolean;
  /** Ceiling for the video, all encodings together, in bits per second. */
  maxBitrateBps?: number;
}

export type WhipState = Exclude<SessionStatus, 'waiting'>;

export interface WhipEvents {
  state: { state: WhipState; previous: WhipState };
  /** `fatal`: the client has given up and rests in `failed`. */
  error: { error: ClientError; fatal: boolean };
}

/** Enough for a first picture in 720p, little enough for most uplinks; congestion control takes over from there. */
const START_BITRATE_BPS = 1_500_000;
/** Shares of the bitrate ceiling, lowest layer first. */
const SIMULCAST_LAYERS = [
  { rid: 'l', scale: 4, share: 0.08 },
  { rid: 'm', scale: 2, share: 0.24 },
  { rid: 'h', scale: 1, share: 0.68 },
] as const;

export class WhipClient extends TypedEventTarget<WhipEvents> {
  readonly #options: WhipOptions;
  #runner: SessionRunner | null = null;
  #state: WhipState = 'idle';
  /** What is being sent now: a new session after a loss continues with the tracks that were swapped in meanwhile. */
  readonly #tracks: { audio?: MediaStreamTrack | undefined; video?: MediaStreamTrack | undefined } = {};

  constructor(options: WhipOptions) {
    super();
    this.#options = options;
  }

  get state(): WhipState {
    return this.#state;
  }

  /** The connection in use, for `getStats()`; null when there is none. A new session brings a new one. */
  get connection(): RTCPeerConnection | null {
    return this.#runner?.peer?.connection ?? null;
  }

  get resourceUrl(): string | null {
    return this.#runner?.peer?.resourceUrl ?? null;
  }

  /**
   * Publishes the first audio and the first video track of `stream`. Resolves when media flows; rejects with
   * `ClientError` when the server refuses (401, 403, 409 somebody is live, 422, 503) or no path is found.
   */
  publish(stream: MediaStream, options: PublishOptions = {}): Promise<void> {
    if (this.#runner !== null) throw new ClientError('Already publishing', { code: 'busy' });
    this.#tracks.audio = stream.getAudioTracks()[0];
    this.#tracks.video = stream.getVideoTracks()[0];
    if (stream.getTracks().length === 0) {
      throw new ClientError('The stream has no tracks', { code: 'no_tracks' });
    }
    const codecs = options.codecPreferences === undefined ? null : pickCodecs(options.codecPreferences);
    const stereo = this.#tracks.audio?.getSettings().channelCount === 2;
    return new Promise((resolve, reject) => {
      const runner = new SessionRunner({
        role: 'publish',
        moving: { whenShown: (peer) => whenConnected(peer.connection) },
        heard: receivedSigns,
        createPeer: (events, replaces) =>
          new PeerSession({
            url: this.#options.url,
            replaces: replaces?.resourceUrl ?? undefined,
            token: this.#options.token,
            iceServers: this.#options.iceServers ?? [],
            trickle: this.#options.trickle ?? true,
            prepare: (connection) => {
              const { audio, video } = this.#tracks;
              if (audio !== undefined) connection.addTransceiver(audio, { direction: 'sendonly', streams: [stream] });
              if (video === undefined) return;
              const transceiver = connection.addTransceiver(video, {
                direction: 'sendonly',
                streams: [stream],
                sendEncodings: encodings(options),
              });
              if (codecs !== null) transceiver.setCodecPreferences(codecs);
            },
            mungeOffer: (sdp) => (stereo ? withOpusParameters(sdp, { stereo: '1', 'sprop-stereo': '1' }) : sdp),
            mungeAnswer: (sdp) => {
              const started = withVideoStartBitrate(
                sdp,
                Math.min(options.maxBitrateBps ?? START_BITRATE_BPS, START_BITRATE_BPS),
              );
              // The browser sends two channels only to a receiver that says it wants them.
              return stereo ? withOpusParameters(started, { stereo: '1' }) : started;
            },
            ...events,
          }),
        onStatus: (status) => {
          if (this.#runner !== runner || status === 'waiting') return;
          if (status === 'live') resolve();
          if (status === 'stopped') reject(new ClientError('Stopped', { code: 'stopped' }));
          if (status === 'stopped' || status === 'failed') this.#runner = null;
          this.#setState(status);
        },
        onError: (error, fatal) => {
          if (fatal) reject(error);
          this.emit('error', { error, fatal });
        },
      });
      this.#runner = runner;
      runner.dispatch({ kind: 'start' });
    });
  }

  /** Swaps a track without renegotiation, e.g. another camera or microphone. Same kind as the one it replaces. */
  async replaceTrack(track: MediaStreamTrack): Promise<void> {
    this.#tracks[track.kind === 'audio' ? 'audio' : 'video'] = track;
    const sender = this.connection?.getSenders().find((candidate) => candidate.track?.kind === track.kind);
    await sender?.replaceTrack(track);
  }

  /** Ends the session (DELETE). Safe to call at any time; also done by itself when the page goes away. */
  async stop(): Promise<void> {
    const runner = this.#runner;
    runner?.dispatch({ kind: 'stop' });
    await runner?.settled();
  }

  #setState(state: WhipState): void {
    const previous = this.#state;
    this.#state = state;
    this.emit('state', { state, previous });
  }
}

/** Resolves when media can flow; rejects when it never will. */
function whenConnected(connection: RTCPeerConnection): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const state = connection.connectionState;
      if (state === 'connected') resolve();
      if (state === 'failed' || state === 'closed') reject(new ClientError('No media path', { code: 'no_path' }));
    };
    connection.addEventListener('connectionstatechange', look);
    look();
  });
}

function encodings({ simulcast, maxBitrateBps }: PublishOptions): RTCRtpEncodingParameters[] {
  if (simulcast !== true) return [maxBitrateBps === undefined ? {} : { maxBitrate: maxBitrateBps }];
  return SIMULCAST_LAYERS.map(({ rid, scale, share }) => ({
    rid,
    scaleResolutionDownBy: scale,
    ...(maxBitrateBps === undefined ? {} : { maxBitrate: Math.round(maxBitrateBps * share) }),
  }));
}

/** The browser's entries for the named codecs in the given order, with the repair formats that belong to any codec. */
export function pickCodecs(names: readonly string[]): RTCRtpCodec[] {
  const all = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  const named = (name: string) => all.filter((codec) => codec.mimeType.toLowerCase() === `video/${name.toLowerCase()}`);
  const wanted = names.flatMap(named);
  if (wanted.length === 0) {
    throw new ClientError(`This browser cannot encode ${names.join(' or ')}`, { code: 'unsupported' });
  }
  return [...wanted, ...['rtx', 'red', 'ulpfec'].flatMap(named)];
}
