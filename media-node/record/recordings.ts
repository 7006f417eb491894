/**
 * What this node records: one recording per publisher that it receives itself, as long as the edge wants it. The lobbies
 * say who is there and what is wanted; everything else happens here and in the recorder's thread.
 */
import { readdir } from 'node:fs/promises';
import { type LobbyId, roomOfLobby, type SessionId } from '../../shared/ids.ts';
import type { DesiredRecording } from '../../shared/protocol/control.ts';
import type { NodeContext } from '../session/context.ts';
import { RecorderThread, type RecorderThreadEvents } from './recorder-thread.ts';
import { type RecordedTrack, RecordingTap } from './recording-tap.ts';
import type { FromRecorder, RecorderSettings } from './worker-messages.ts';

const FLUSH_MS = 50;
/** A publisher that is gone may come back (the edge's grace is 15 s by default); after this its file is finished in any case. */
const MAX_PAUSE_MS = 60_000;
const MAX_FAILED = 10_000;
/** Whose recording failed is tried again after this, in another file: there may be room on the disk by then. */
const RETRY_MS = 600_000;
/** Whoever was recorded each time that the thread died so often is left alone: it may be what they send. */
const MAX_DEATHS = 3;
const NOTHING_SAID = { opened: -1, files: 0 };
/** To finish all files at the end of the process. */
const STOP_PATIENCE_MS = 4_000;

export interface RecordedPublisher {
  session: SessionId;
  /** The lost session that this one continues; null: none. */
  replaces: SessionId | null;
  tracks: readonly RecordedTrack[];
}

export interface RecordingsOptions {
  context: NodeContext;
  settings: RecorderSettings;
  /** For tests. */
  openThread?(settings: RecorderSettings, events: RecorderThreadEvents): RecordingsThread;
}

type RecordingsThread = Pick<RecorderThread, 'running' | 'send' | 'stop'>;

interface Running {
  readonly lobby: LobbyId;
  readonly format: DesiredRecording['format'];
  readonly tap: RecordingTap;
  /** Whose tracks are recorded. */
  session: SessionId;
  /** Since when nobody is there; null: somebody is. */
  pausedMs: number | null;
}

export class Recordings {
  readonly #options: RecordingsOptions;
  readonly #running = new Map<number, Running>();
  readonly #wishes = new Map<LobbyId, DesiredRecording>();
  readonly #present = new Map<LobbyId, readonly RecordedPublisher[]>();
  /** Publishers whose recording failed, and when (of the node's clock) they are tried again: media goes on without. */
  readonly #failed = new Map<SessionId, number>();
  #nextRetryMs = Number.POSITIVE_INFINITY;
  /** How often the thread died while they were recorded. */
  readonly #deaths = new Map<SessionId, number>();
  #thread: RecordingsThread | null = null;
  /** Recordings that this thread was told to open. */
  #opened = 0;
  /** What the thread has not finished, and when it said so. */
  #left = NOTHING_SAID;
  /** Who is gone does not come back to this node. */
  #leaving = false;
  /** Somebody waits for the thread to come back. */
  #waiting = false;
  #timer: NodeJS.Timeout | null = null;
  #next = 1;
  #closed = false;

  constructor(options: RecordingsOptions) {
    this.#options = options;
  }

  /** What an earlier process left is finished and uploaded. Without such there is no thread before it is needed. */
  recover(): void {
    readdir(this.#options.settings.folder).then(
      (entries) => {
        if (entries.length > 0) this.start();
      },
      () => {}, // there is none
    );
  }

  start(): void {
    const { settings, context } = this.#options;
    if (this.#thread !== null || this.#closed) return;
    const openThread = this.#options.openThread ?? ((...given) => new RecorderThread(...given));
    this.#thread = openThread(settings, {
      onMessage: (message) => this.#onMessage(message),
      onDied: () => this.#onDied(),
      log: (message) => context.log(message),
    });
    this.#timer = setInterval(() => this.#tick(), FLUSH_MS);
  }

  /** Recordings that are open. */
  get size(): number {
    return this.#running.size;
  }

  /** Something is being recorded, or on its way to the store: who can wait should. */
  get busy(): boolean {
    if (this.#thread === null) return false;
    return this.#running.size > 0 || this.#left.opened !== this.#opened || this.#left.files > 0;
  }

  /** The node takes nothing new: nobody comes back to go on in a file that was begun here. */
  leave(): void {
    this.#leaving = true;
    for (const [recording, running] of [...this.#running]) {
      if (running.pausedMs !== null) this.#close(recording, running);
    }
  }

  /** What the edge wants recorded of a lobby; null: nothing (any more). The same twice changes nothing. */
  want(lobby: LobbyId, wish: DesiredRecording | null | undefined): void {
    if (wish == null) {
      this.#wishes.delete(lobby);
      // Whoever switches it on again wants another try: there may be room on the disk now.
      for (const { session } of this.#present.get(lobby) ?? []) this.#failed.delete(session);
    } else {
      this.#wishes.set(lobby, wish);
    }
    this.#reconcile(lobby);
  }

  /**
   * Who publishes in a lobby, on this node itself, at present. Of a room, whoever is not listed any more may come back by a
   * session that replaces it and goes on in the same file; a member who is gone is gone.
   */
  present(lobby: LobbyId, publishers: readonly RecordedPublisher[]): void {
    if (publishers.length === 0) this.#present.delete(lobby);
    else this.#present.set(lobby, publishers);
    this.#reconcile(lobby);
  }

  /** The lobby is over here: its files are finished. */
  end(lobby: LobbyId): void {
    this.#wishes.delete(lobby);
    this.#present.delete(lobby);
    this.#reconcile(lobby);
  }

  /** `end` for all lobbies but these. */
  keep(lobbies: ReadonlySet<LobbyId>): void {
    const known = [...this.#wishes.keys(), ...this.#present.keys(), ...this.#lobbies()];
    for (const lobby of new Set(known)) if (!lobbies.has(lobby)) this.end(lobby);
  }

  #lobbies(): LobbyId[] {
    return [...this.#running.values()].map(({ lobby }) => lobby);
  }

  #reconcile(lobby: LobbyId): void {
    if (this.#closed) return;
    const wish = this.#wishes.get(lobby) ?? null;
    const publishers = this.#present.get(lobby) ?? [];
    if (wish !== null) for (const publisher of publishers) this.#record(lobby, wish, publisher);
    for (const [recording, running] of [...this.#running]) {
      if (running.lobby !== lobby) continue;
      const isThere = publishers.some(({ session }) => session === running.session);
      const mayComeBack = roomOfLobby(lobby) !== null && !this.#leaving;
      if (wish === null || wish.format !== running.format || (!isThere && !mayComeBack)) {
        this.#close(recording, running);
      } else if (!isThere && running.pausedMs === null) {
        running.tap.detach();
        running.pausedMs = this.#options.context.now();
      }
    }
  }

  #record(lobby: LobbyId, { format }: DesiredRecording, publisher: RecordedPublisher): void {
    const { session, replaces, tracks } = publisher;
    const publishers = this.#present.get(lobby) ?? [];
    if (tracks.length === 0 || this.#failed.has(session)) return;
    for (const [recording, running] of [...this.#running]) {
      if (running.lobby !== lobby || running.format !== format) continue;
      // A room has one publisher: who comes while the former one is missed goes on in its place, told so or not.
      const isMissed = roomOfLobby(lobby) !== null && !publishers.some((other) => other.session === running.session);
      if (running.session !== session && running.session !== replaces && !isMissed) continue;
      if (running.session !== session && !running.tap.matches(tracks)) {
        this.#close(recording, running);
        continue;
      }
      running.session = session;
      running.pausedMs = null;
      running.tap.attach(tracks);
      return;
    }
    // Not before there is media: a publisher that never connects leaves no file.
    if (tracks.every(({ track }) => track === null)) return;
    this.start();
    const { context } = this.#options;
    const thread = this.#thread;
    if (thread === null) return;
    if (!thread.running) {
      // What is sent to nobody is not recorded by the successor.
      this.#waiting = true;
      return;
    }
    this.#opened++;
    const recording = this.#next++;
    const tap = new RecordingTap({ context, thread, recording, lobby, session, format }, tracks);
    this.#running.set(recording, { lobby, format, tap, session, pausedMs: null });
  }

  #close(recording: number, { tap }: Running): void {
    this.#running.delete(recording);
    tap.close();
  }

  #onMessage(message: Exclude<FromRecorder, { type: 'log' | 'stopped' }>): void {
    if (message.type === 'left') {
      this.#left = message;
      return;
    }
    const running = this.#running.get(message.recording);
    if (running === undefined) return;
    if (message.type === 'taken') running.tap.taken(message.bytes);
    else if (message.type === 'keyframe') running.tap.requestKeyframe(message.track);
    else {
      // Why is in the log and at the edge.
      this.#fail(running.session, this.#options.context.now() + RETRY_MS);
      this.#close(message.recording, running);
    }
  }

  #fail(session: SessionId, retryMs: number): void {
    this.#failed.set(session, retryMs);
    this.#nextRetryMs = Math.min(this.#nextRetryMs, retryMs);
  }

  #retry(nowMs: number): void {
    this.#nextRetryMs = Number.POSITIVE_INFINITY;
    for (const [session, retryMs] of [...this.#failed]) {
      if (retryMs <= nowMs) this.#failed.delete(session);
      else this.#nextRetryMs = Math.min(this.#nextRetryMs, retryMs);
    }
    for (const lobby of [...this.#present.keys()]) this.#reconcile(lobby);
  }

  #onDied(): void {
    for (const [recording, running] of [...this.#running]) {
      const { session } = running;
      const deaths = (this.#deaths.get(session) ?? 0) + 1;
      this.#deaths.set(session, deaths);
      if (deaths >= MAX_DEATHS) this.#fail(session, Number.POSITIVE_INFINITY);
      this.#close(recording, running);
    }
    this.#waiting = true;
    this.#opened = 0;
    this.#left = NOTHING_SAID;
  }

  /** The thread is back: everybody is recorded again, in another file. */
  #resume(): void {
    this.#waiting = false;
    for (const lobby of [...this.#present.keys()]) this.#reconcile(lobby);
  }

  #tick(): void {
    const nowMs = this.#options.context.now();
    for (const [recording, running] of [...this.#running]) {
      running.tap.flush();
      if (running.pausedMs !== null && nowMs - running.pausedMs > MAX_PAUSE_MS) this.#close(recording, running);
    }
    if (this.#waiting && this.#thread?.running === true) this.#resume();
    if (nowMs >= this.#nextRetryMs) this.#retry(nowMs);
    // Sessions come and go for as long as the process runs.
    if (this.#failed.size > MAX_FAILED) this.#failed.clear();
    if (this.#deaths.size > MAX_FAILED) this.#deaths.clear();
  }

  /** Finishes all files; resolves when they are on the disk. Uploads that are under way go on in the next process. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const [recording, running] of [...this.#running]) this.#close(recording, running);
    await this.#thread?.stop(STOP_PATIENCE_MS);
  }
}
