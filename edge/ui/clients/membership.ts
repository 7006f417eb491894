/** One WHIP session of a member and all that depends on it: the signal channel, the guard of its cookie, the receiving half. */
import { GuardedRequests } from './guarded-requests.ts';
import { type ListenerOptions, MemberListener } from './member-listener.ts';
import type { OwnMedia } from './own-media.ts';
import { PeerSession, type PeerSessionOptions } from './peer-session.ts';
import { withVideoStartBitrate } from './sdp.ts';
import { readSignalFrame } from './signal-frames.ts';

export interface MembershipOptions
  extends Pick<ListenerOptions, 'onTrack' | 'onTrackEnded' | 'onMute' | 'onStatus' | 'onError'> {
  /** `P`: `{origin}/space/{space}/stream/{stream}`. */
  path: string;
  token: string;
  iceServers: RTCIceServer[];
  /** URL of the session whose place this one is to take. */
  replaces?: string | undefined;
  onState: PeerSessionOptions['onState'];
  /** The server asks to come back by a new session, and then leave this one. */
  onReconnect(): void;
}

/** Of the channel on the WHIP connection. */
const SIGNAL_LABEL = 'whip';
/** Enough for a good first picture in a tile. */
const START_BITRATE_BPS = 800_000;

export class Membership {
  readonly peer: PeerSession;
  readonly #options: MembershipOptions;
  readonly #media: OwnMedia;
  #channel: RTCDataChannel | null = null;
  #guard: GuardedRequests | null = null;
  #listener: MemberListener | null = null;
  #ended = false;

  constructor(options: MembershipOptions, media: OwnMedia) {
    this.#options = options;
    this.#media = media;
    this.peer = new PeerSession({
      url: `${options.path}/whip`,
      replaces: options.replaces,
      token: options.token,
      iceServers: options.iceServers,
      credentials: 'include',
      trickle: true,
      prepare: (connection) => {
        media.prepare(connection);
        this.#openChannel(connection);
      },
      mungeOffer: (sdp) => sdp,
      annotateOffer: (sdp) => media.annotate(sdp, this.peer.connection),
      mungeAnswer: (sdp) => withVideoStartBitrate(sdp, START_BITRATE_BPS),
      onState: options.onState,
    });
  }

  /** For requests in the name of this session; null until the signal channel is open. */
  get guard(): GuardedRequests | null {
    return this.#guard;
  }

  /** Null until the signal channel is open. */
  get listener(): MemberListener | null {
    return this.#listener;
  }

  /** Tells the server which tracks were muted or unmuted since it was told last. */
  announceMutes(): void {
    const channel = this.#channel;
    if (channel?.readyState !== 'open') return;
    for (const frame of this.#media.muteFrames(this.peer.connection)) channel.send(frame);
  }

  /** False once it is ended. */
  get running(): boolean {
    return !this.#ended;
  }

  /** Ends the receiving half; the sending one is its runner's. */
  end(): void {
    this.#ended = true;
    void this.#listener?.stop();
  }

  #openChannel(connection: RTCPeerConnection): void {
    const channel = connection.createDataChannel(SIGNAL_LABEL);
    this.#channel = channel;
    channel.binaryType = 'arraybuffer';
    channel.addEventListener('open', () => this.#listen(channel));
    channel.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer | string>) => {
      const frame = readSignalFrame(data);
      if (frame?.kind === 'reconnect') this.#options.onReconnect();
      else if (frame !== null) this.#listener?.receive(frame);
    });
    // Without it nobody's coming or going is heard of.
    channel.addEventListener('close', () => this.#options.onState('ended'));
  }

  #listen(channel: RTCDataChannel): void {
    const { resource } = this.peer;
    if (this.#ended || resource === null) return;
    const { path, token, iceServers, onTrack, onTrackEnded, onMute, onStatus, onError } = this.#options;
    const guard = new GuardedRequests(resource.requestToken ?? '');
    this.#guard = guard;
    this.#listener = new MemberListener({
      url: `${path}/whep`,
      token,
      iceServers: [...iceServers, ...resource.iceServers],
      guard,
      send: (frame) => {
        if (channel.readyState === 'open') channel.send(frame);
      },
      onTrack,
      onTrackEnded,
      onMute,
      onStatus,
      onError,
    });
    this.announceMutes();
    this.#listener.start();
  }
}
