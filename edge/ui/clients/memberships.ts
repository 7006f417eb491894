/**
 * The sessions of one who is in a lobby: the membership in use, and while they move to another media node a second one beside
 * it, which takes its place when all that is being shown comes by it as well.
 */
import { ClientError } from './errors.ts';
import type { MemberTrack } from './member-listener.ts';
import { Membership, type MembershipOptions } from './membership.ts';
import type { OwnMedia } from './own-media.ts';
import type { PeerSession } from './peer-session.ts';
import type { PeerEvents, RunnerOptions } from './session-runner.ts';

/** The events are those of the membership in use. */
export type MembershipsOptions = Omit<MembershipOptions, 'replaces' | 'onState' | 'onReconnect'>;

/** Two sessions, and everybody's tracks, on a machine that may be busy. Sooner than the server ends the old session. */
const MOVE_TIMEOUT_MS = 15_000;
/** The others get our tracks by the old session until the new one's have reached their nodes. */
const MOVE_OVERLAP_MS = 2_000;
const SHOWN_CHECK_MS = 40;
/** With a listener that stands: a track may bring nothing, on either session. */
const SHOWN_PATIENCE_MS = 4_000;

export class Memberships {
  readonly #options: MembershipsOptions;
  readonly #media: OwnMedia;
  #present: Membership | null = null;
  /** The one in use, the one that is to take its place, and those that were moved away from. */
  readonly #all = new Map<PeerSession, Membership>();

  constructor(options: MembershipsOptions, media: OwnMedia) {
    this.#options = options;
    this.#media = media;
  }

  /** The one in use; null before the first and after the end. */
  get present(): Membership | null {
    return this.#present;
  }

  /** The others' tracks that are shown. */
  get tracks(): MemberTrack[] {
    return this.#present?.listener?.tracks ?? [];
  }

  /** How a `SessionRunner` moves from one to the other. */
  get moving(): NonNullable<RunnerOptions['moving']> {
    return {
      whenShown: (peer) => this.#whenShown(peer),
      onMoved: (peer) => this.#adopt(peer),
      onDropped: (peer) => {
        this.#all.get(peer)?.end();
        this.#all.delete(peer);
      },
      overlapMs: MOVE_OVERLAP_MS,
      timeoutMs: MOVE_TIMEOUT_MS,
    };
  }

  /** The sending half of another one. `replaces`: that of the one in use, which goes on meanwhile; null: nothing goes on. */
  createPeer(events: PeerEvents, replaces: PeerSession | null): PeerSession {
    if (replaces === null) this.end();
    for (const peer of [...this.#all.keys()]) if (peer.connection.connectionState === 'closed') this.#all.delete(peer);
    const { onTrack, onTrackEnded, onMute, onStatus, onError } = this.#options;
    const isInUse = (): boolean => this.#present === membership;
    const membership = new Membership(
      {
        ...this.#options,
        replaces: replaces?.resourceUrl ?? undefined,
        onState: events.onState,
        onReconnect: () => events.onReconnect?.(),
        onTrack: (track) => isInUse() && onTrack(track),
        onTrackEnded: (id) => isInUse() && onTrackEnded(id),
        onMute: (id, muted) => isInUse() && onMute(id, muted),
        onStatus: (status) => isInUse() && onStatus(status),
        onError: (error, fatal) => {
          if (isInUse()) onError(error, fatal);
          else if (fatal && membership.running) events.onState('ended');
        },
      },
      this.#media,
    );
    this.#all.set(membership.peer, membership);
    if (replaces === null) this.#present = membership;
    return membership.peer;
  }

  announceMutes(): void {
    for (const membership of this.#all.values()) membership.announceMutes();
  }

  /** Ends the receiving halves; the sending ones are their runner's. Idempotent. */
  end(): void {
    const all = [...this.#all.values()];
    this.#all.clear();
    // It is in use until it has said that its tracks have ended.
    this.#present?.end();
    this.#present = null;
    for (const membership of all) membership.end();
  }

  /** Resolves when what is being shown comes by the new session as well; rejects when it never will. */
  async #whenShown(peer: PeerSession): Promise<void> {
    const membership = this.#all.get(peer);
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

  /** It is the one in use from now on. What it has in common with the other goes on in the streams that are shown. */
  #adopt(peer: PeerSession): void {
    const { onTrack, onTrackEnded, onStatus } = this.#options;
    const before = this.tracks;
    const old = this.#present;
    const next = this.#all.get(peer) ?? null;
    this.#present = next;
    next?.listener?.useStreamsOf(before);
    for (const track of this.tracks) onTrack(track);
    for (const { id, track, stream } of before) {
      stream.removeTrack(track);
      onTrackEnded(id);
    }
    // What it receives is not needed any more; the others still need what it sends.
    old?.end();
    onStatus(next?.listener?.status ?? 'connecting');
  }
}
