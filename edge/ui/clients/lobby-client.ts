/**
 * A member of a stream lobby: sends over WHIP, receives everybody else over WHEP, and follows the lobby on the signal
 * channel, so that nobody else has to.
 *
 *     const lobby = new LobbyClient({ space: 'demo', stream: '8f0e…', token: jwt });
 *     lobby.addEventListener('member-track', ({ detail }) => { tileOf(detail.stream).srcObject = detail.stream; });
 *     lobby.addEventListener('track-ended', ({ detail }) => dropTrack(detail.id));
 *     await lobby.join([{ stream: camera, info: { purpose: 'guest', label: 'Ada' } }]);
 *     lobby.setMuted('audio', true);
 *     …
 *     await lobby.leave();
 *
 * Once joined, it stays joined by itself: ICE restart when a path breaks, new sessions when the server has lost them, and a
 * move when the server asks for one: new sessions beside the running ones, whose place they take when all of it flows. The
 * session cookie is the browser's, so a page is one member of one lobby at a time; from another origin the server has to
 * name that origin in `ALLOWED_ORIGIN`.
 */
import { ClientError } from './errors.ts';
import type { GuardedRequests } from './guarded-requests.ts';
import { endLive, type LiveStatus, type LiveTarget, readLive, startLive } from './live-requests.ts';
import type { MemberTrack } from './member-listener.ts';
import { Memberships } from './memberships.ts';
import { type LocalStream, OwnMedia } from './own-media.ts';
import { SessionRunner } from './session-runner.ts';
import type { SessionStatus } from './session-state.ts';
import { receivedSigns } from './silence-watch.ts';
import { TypedEventTarget } from './typed-events.ts';

export interface LobbyOptions {
  /** Where the server is. Default: where the page came from. */
  baseUrl?: string | URL;
  space: string;
  /** UUID. */
  stream: string;
  /** Bearer token of the member. */
  token: string;
  /** ICE servers beside those that the server sends in `Link` headers. */
  iceServers?: RTCIceServer[];
}

/** `reconnecting`: was joined, and one of the two connections is being repaired. `failed`: given up, see the last `error`. */
export type LobbyState = 'idle' | 'joining' | 'joined' | 'reconnecting' | 'left' | 'failed';

export interface LobbyEvents {
  state: { state: LobbyState; previous: LobbyState };
  /** `stream` holds all tracks that the member sends together. */
  'member-track': MemberTrack;
  /** Its member left, removed it or has to be connected anew. */
  'track-ended': { id: string };
  /** The member muted or unmuted this track; its packets keep coming. */
  mute: { id: string; muted: boolean };
  /** `fatal`: the client has given up and rests in `failed`. */
  error: { error: ClientError; fatal: boolean };
}

/** Until both connections stand. */
const JOIN_LIMIT_MS = 30_000;

export class LobbyClient extends TypedEventTarget<LobbyEvents> {
  readonly #options: LobbyOptions;
  /** `P`: `/space/{space}/stream/{stream}`. */
  readonly #path: string;
  #media = new OwnMedia([]);
  #runner: SessionRunner | null = null;
  #memberships: Memberships | null = null;
  #wasJoined = false;
  #state: LobbyState = 'idle';

  constructor(options: LobbyOptions) {
    super();
    this.#options = options;
    const { baseUrl = location.href, space, stream } = options;
    this.#path = new URL(`/space/${encodeURIComponent(space)}/stream/${encodeURIComponent(stream)}`, baseUrl).href;
  }

  get state(): LobbyState {
    return this.#state;
  }

  /** The others' tracks that are there now. */
  get tracks(): MemberTrack[] {
    return this.#memberships?.tracks ?? [];
  }

  /** What is being sent. */
  get streams(): readonly LocalStream[] {
    return this.#media.streams;
  }

  /** The connections in use, for `getStats()`; null when there is none. New sessions bring new ones. */
  get connections(): { send: RTCPeerConnection | null; receive: RTCPeerConnection | null } {
    const { peer, listener } = this.#memberships?.present ?? {};
    return { send: peer?.connection ?? null, receive: listener?.connection ?? null };
  }

  /**
   * Enters the lobby, with tracks that are not `enabled` as muted ones; without streams, to look and listen. Resolves when both connections stand; rejects with `ClientError`
   * when the server refuses (401, 403 no member, 404 no such stream, 409 already here, 422, 503) or no path is found.
   */
  join(streams: readonly LocalStream[] = []): Promise<void> {
    if (this.#runner !== null) throw new ClientError('Already in the lobby', { code: 'busy' });
    this.#media = new OwnMedia(streams);
    this.#wasJoined = false;
    return new Promise((resolve, reject) => {
      const finish = (end: () => void) => {
        clearTimeout(limit);
        this.removeEventListener('state', onState);
        this.removeEventListener('error', onError);
        end();
      };
      const limit = setTimeout(() => {
        this.#fail(new ClientError('The lobby did not open its signal channel in time', { code: 'timeout' }));
      }, JOIN_LIMIT_MS);
      const onState = ({ detail: { state } }: CustomEvent<LobbyEvents['state']>) => {
        if (state === 'joined') finish(resolve);
        if (state === 'left') finish(() => reject(new ClientError('Left', { code: 'stopped' })));
      };
      const onError = ({ detail: { error, fatal } }: CustomEvent<LobbyEvents['error']>) => {
        if (fatal) finish(() => reject(error));
      };
      this.addEventListener('state', onState);
      this.addEventListener('error', onError);
      this.#start();
    });
  }

  /**
   * Sends something else: leaves and joins again with it, as a lobby wants it. A `MediaStream` takes the place of the first
   * stream and keeps its description. A track that is muted, or not `enabled`, is muted from the beginning.
   */
  async changeDevice(next: MediaStream | readonly LocalStream[]): Promise<void> {
    const [first, ...others] = this.#media.streams;
    const streams = next instanceof MediaStream ? [{ ...first, stream: next }, ...others] : next;
    await this.leave();
    await this.join(streams);
  }

  /** Leaves the lobby (DELETE). Safe to call at any time; also done by itself when the page goes away. */
  async leave(): Promise<void> {
    const runner = this.#runner;
    if (runner === null) return;
    runner.dispatch({ kind: 'stop' });
    await runner.settled();
  }

  /**
   * Mutes or unmutes own tracks and tells the others: all of a kind, one track, or the one with this mid on the sending
   * connection. A muted track sends silence or black. Lasts over reconnections.
   */
  setMuted(which: 'audio' | 'video' | MediaStreamTrack | string, muted: boolean): void {
    this.#media.setMuted(which, muted, this.#memberships?.present?.peer.connection ?? null);
    this.#memberships?.announceMutes();
  }

  isMuted(track: MediaStreamTrack): boolean {
    return this.#media.isMuted(track);
  }

  /** Sends the main tracks to an RTMP server. Owner only. Throws `ClientError`: 403, 400 for the target, 409 already live. */
  startLive(target: LiveTarget): Promise<{ resource: string }> {
    return startLive(this.#guard(), this.#path, target);
  }

  /** Throws `ClientError`. */
  liveStatus(): Promise<LiveStatus> {
    return readLive(this.#guard(), this.#path);
  }

  /** Owner only. Throws `ClientError`: 403, 404 when it is not live. */
  stopLive(): Promise<void> {
    return endLive(this.#guard(), this.#path);
  }

  #guard(): GuardedRequests {
    const guard = this.#memberships?.present?.guard;
    if (!guard) throw new ClientError('Not in the lobby', { code: 'not_open' });
    return guard;
  }

  #start(): void {
    const { token, iceServers = [] } = this.#options;
    const memberships = new Memberships(
      {
        path: this.#path,
        token,
        iceServers,
        onTrack: (track) => this.emit('member-track', track),
        onTrackEnded: (id) => this.emit('track-ended', { id }),
        onMute: (id, muted) => this.emit('mute', { id, muted }),
        onStatus: () => this.#updateState(),
        onError: (error, fatal) => this.#onListenError(error, fatal),
      },
      this.#media,
    );
    this.#memberships = memberships;
    const runner = new SessionRunner({
      role: 'publish',
      createPeer: (events, replaces) => memberships.createPeer(events, replaces),
      moving: memberships.moving,
      heard: receivedSigns,
      onStatus: (status) => {
        if (this.#runner === runner) this.#onSendStatus(status);
      },
      onError: (error, fatal) => {
        if (this.#runner !== runner) return;
        if (fatal) this.#fail(error);
        else this.emit('error', { error, fatal });
      },
    });
    this.#runner = runner;
    runner.dispatch({ kind: 'start' });
  }

  #onListenError(error: ClientError, fatal: boolean): void {
    if (!fatal) {
      this.emit('error', { error, fatal });
    } else if (this.#wasJoined) {
      // A request token that was lost on the way, the cookie of another tab, or a membership that has died with its node,
      // before the sending half noticed: a new one brings all of it. Who was sent out is refused again.
      this.#runner?.renew();
    } else {
      this.#fail(error);
    }
  }

  #onSendStatus(status: SessionStatus): void {
    if (status === 'stopped' || status === 'failed') {
      this.#runner = null;
      this.#memberships?.end();
      this.#setState(status === 'stopped' ? 'left' : 'failed');
      return;
    }
    this.#updateState();
  }

  #fail(error: ClientError): void {
    const runner = this.#runner;
    this.#runner = null;
    this.#memberships?.end();
    runner?.dispatch({ kind: 'stop' });
    this.#setState('failed');
    this.emit('error', { error, fatal: true });
  }

  #updateState(): void {
    const whole = this.#runner?.status === 'live' && this.#memberships?.present?.listener?.status === 'live';
    if (whole) this.#wasJoined = true;
    if (this.#runner !== null) this.#setState(whole ? 'joined' : this.#wasJoined ? 'reconnecting' : 'joining');
  }

  #setState(state: LobbyState): void {
    const previous = this.#state;
    if (state === previous) return;
    this.#state = state;
    this.emit('state', { state, previous });
  }
}
