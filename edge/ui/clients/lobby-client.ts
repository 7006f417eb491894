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
import { Membership, type MembershipOptions } from './membership.ts';
import { type LocalStream, OwnMedia } from './own-media.ts';
import type { PeerSession } from './peer-session.ts';
import { type PeerEvents, SessionRunner } from './session-runner.ts';
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
/** The others get our tracks by the old session until the new one's have reached their nodes. */
const MOVE_OVERLAP_MS = 2_000;
const SHOWN_CHECK_MS = 40;
/** With a listener that stands: a track may bring nothing, on either session. */
const SHOWN_PATIENCE_MS = 4_000;

export class LobbyClient extends TypedEventTarget<LobbyEvents> {
  readonly #options: LobbyOptions;
  /** `P`: `/space/{space}/stream/{stream}`. */
  readonly #path: string;
  #media = new OwnMedia([]);
  #runner: SessionRunner | null = null;
  #membership: Membership | null = null;
  /** The one in use, the one that is to take its place, and those that were moved away from. */
  readonly #memberships = new Map<PeerSession, Membership>();
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
    return this.#membership?.listener?.tracks ?? [];
  }

  /** What is being sent. */
  get streams(): readonly LocalStream[] {
    return this.#media.streams;
  }

  /** The connections in use, for `getStats()`; null when there is none. New sessions bring new ones. */
  get connections(): { send: RTCPeerConnection | null; receive: RTCPeerConnection | null } {
    const { peer, listener } = this.#membership ?? {};
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
    this.#media.setMuted(which, muted, this.#membership?.peer.connection ?? null);
    for (const membership of this.#memberships.values()) membership.announceMutes();
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
    const guard = this.#membership?.guard;
    if (!guard) throw new ClientError('Not in the lobby', { code: 'not_open' });
    return guard;
  }

  #start(): void {
    const runner = new SessionRunner({
      role: 'publish',
      createPeer: (events, replaces) => this.#createPeer(events, replaces),
      moving: {
        whenShown: (peer) => this.#whenShown(peer),
        onMoved: (peer) => this.#adopt(peer),
        onDropped: (peer) => this.#forget(peer),
        overlapMs: MOVE_OVERLAP_MS,
      },
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

  /** `replaces`: it goes on until the new one has taken its place. */
  #createPeer(events: PeerEvents, replaces: PeerSession | null): PeerSession {
    if (replaces === null) this.#endMembership();
    for (const { peer } of this.#memberships.values()) {
      if (peer.connection.connectionState === 'closed') this.#memberships.delete(peer);
    }
    const { token, iceServers = [] } = this.#options;
    // What the page hears of is what comes by the one in use.
    const told = (tell: () => void): void => {
      if (this.#membership === membership) tell();
    };
    const options: MembershipOptions = {
      path: this.#path,
      token,
      iceServers,
      replaces: replaces?.resourceUrl ?? undefined,
      onState: events.onState,
      onReconnect: () => events.onReconnect?.(),
      onTrack: (track) => told(() => this.emit('member-track', track)),
      onTrackEnded: (id) => told(() => this.emit('track-ended', { id })),
      onMute: (id, muted) => told(() => this.emit('mute', { id, muted })),
      onStatus: () => told(() => this.#updateState()),
      onError: (error, fatal) => {
        if (this.#membership === membership) this.#onListenError(error, fatal);
        else if (fatal && membership.running) events.onState('ended');
      },
    };
    const membership = new Membership(options, this.#media);
    this.#memberships.set(membership.peer, membership);
    if (replaces === null) this.#membership = membership;
    return membership.peer;
  }

  /** Resolves when what is being shown comes by the new session as well; rejects when it never will. */
  async #whenShown(peer: PeerSession): Promise<void> {
    const membership = this.#memberships.get(peer);
    let standsSince: number | null = null;
    while (membership?.running === true) {
      const { listener } = membership;
      const now = performance.now();
      if (listener?.status === 'live') standsSince ??= now;
      const isPatient = standsSince === null || now - standsSince < SHOWN_PATIENCE_MS;
      if (listener?.has(this.tracks, isPatient) === true) return;
      await new Promise((resolve) => setTimeout(resolve, SHOWN_CHECK_MS));
    }
    throw new ClientError('The session ended', { code: 'ended' });
  }

  /** It is the one in use from now on. Its tracks go on in the streams that the page has; only what is new is new to it. */
  #adopt(peer: PeerSession): void {
    const next = this.#memberships.get(peer) ?? null;
    const before = this.tracks;
    const old = this.#membership;
    this.#membership = next;
    next?.listener?.useStreamsOf(before);
    for (const track of this.tracks) this.emit('member-track', track);
    for (const { id, track, stream } of before) {
      stream.removeTrack(track);
      this.emit('track-ended', { id });
    }
    // What it receives is not needed any more; the others still need what it sends.
    old?.end();
    this.#updateState();
  }

  #forget(peer: PeerSession): void {
    this.#memberships.get(peer)?.end();
    this.#memberships.delete(peer);
  }

  #onListenError(error: ClientError, fatal: boolean): void {
    if (!fatal) {
      this.emit('error', { error, fatal });
    } else if (this.#wasJoined) {
      // A request token that was lost on the way, or the cookie of another tab: a new membership brings new ones.
      this.#runner?.dispatch({ kind: 'peer', state: 'ended' });
    } else {
      this.#fail(error);
    }
  }

  #onSendStatus(status: SessionStatus): void {
    if (status === 'stopped' || status === 'failed') {
      this.#runner = null;
      this.#endMembership();
      this.#setState(status === 'stopped' ? 'left' : 'failed');
      return;
    }
    this.#updateState();
  }

  #fail(error: ClientError): void {
    const runner = this.#runner;
    this.#runner = null;
    this.#endMembership();
    runner?.dispatch({ kind: 'stop' });
    this.#setState('failed');
    this.emit('error', { error, fatal: true });
  }

  #endMembership(): void {
    const all = [...this.#memberships.values()];
    const membership = this.#membership;
    this.#memberships.clear();
    // The page hears that its tracks have ended.
    membership?.end();
    this.#membership = null;
    for (const one of all) one.end();
  }

  #updateState(): void {
    const whole = this.#runner?.status === 'live' && this.#membership?.listener?.status === 'live';
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
