/**
 * Where the tracks of one publisher come in from another node: the relay that is in use, and the one that shall take its
 * place. The edge decides which is wanted; the intake sees to it that one follows the other without a gap.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId, NodeId } from '../../shared/ids.ts';
import type { DesiredRelay, RelayReport } from '../../shared/protocol/control.ts';
import type { SourceTrack } from '../forward/types.ts';
import type { RelayedTrackInfo } from '../negotiate/relay-formats.ts';
import type { NodeContext } from '../session/context.ts';
import { successorOf, type TrackSource } from '../session/track-source.ts';
import { PulledRelay } from './pulled-relay.ts';

/** A relay is `idle` when nobody wanted its tracks for this long. */
export const RELAY_IDLE_MS = 15_000;
/** A relay that is not desired any more serves on until its successor brings packets, or for this long. */
const HANDOVER_MS = 5_000;
const TICK_MS = 1_000;
/** How often a successor is looked at. */
const HANDOVER_TICK_MS = 20;

export interface RelayIntakeOptions {
  context: NodeContext;
  lobby: LobbyId;
  events: {
    /** The source tracks are there, are others, or are gone: attach anew. */
    onTracks(): void;
    onReport(report: RelayReport): void;
  };
  /** Somebody here gets the tracks. */
  wanted(): boolean;
}

export class RelayIntake implements TrackSource {
  readonly #options: RelayIntakeOptions;
  #desired: DesiredRelay | null = null;
  #current: PulledRelay | null = null;
  #next: PulledRelay | null = null;
  /** Of the newest relay; kept while none is up. */
  #sources: readonly RelayedTrackInfo[] = [];
  /** Since when the current relay is not the desired one. */
  #undesiredMs: number | null = null;
  #wantedMs = 0;
  #idle = false;
  #timer: NodeJS.Timeout | null = null;
  #handover: NodeJS.Timeout | null = null;

  constructor(options: RelayIntakeOptions) {
    this.#options = options;
  }

  get desired(): DesiredRelay | null {
    return this.#desired;
  }

  get sources(): readonly RelayedTrackInfo[] {
    return this.#sources;
  }

  /** Relays that are open. */
  get sessionCount(): number {
    return (this.#current === null ? 0 : 1) + (this.#next === null ? 0 : 1);
  }

  /** The nodes that they come from, one for each relay. */
  get upstreams(): NodeId[] {
    return [this.#current, this.#next].flatMap((relay) => (relay === null ? [] : [relay.upstream]));
  }

  /** The relay that is in use has media, or is about to. */
  get connected(): boolean {
    return this.#current?.state === 'connected' || this.#current?.state === 'silent';
  }

  /** Whoever gets the tracks now has something to see or hear at once. */
  get shows(): boolean {
    return this.#current?.shows ?? false;
  }

  sourceTrack(mid: string): SourceTrack | null {
    const track = this.#sources.find((source) => source.mid === mid);
    const current = this.#current;
    if (track === undefined || current === null) return null;
    const found = successorOf(track, this.#sources, current.sources);
    return found === null ? null : current.sourceTrack(found.mid);
  }

  reports(): RelayReport[] {
    return [this.#current, this.#next].flatMap((relay) => (relay === null ? [] : [relay.report(this.#idle)]));
  }

  /**
   * Dials the upstream. A relay that carries media serves on until the new one does.
   * @param keep the tracks are the same as before, for those who get them; a relay with others takes its place at once
   * @throws ProblemError 409 `session_exists`, 400 or 422 for the offer; everything is as before then
   */
  pull(wish: DesiredRelay, offer: string, keep: (sources: readonly RelayedTrackInfo[]) => boolean): PulledRelay {
    if (this.#current?.id === wish.session || this.#next?.id === wish.session) {
      throw new ProblemError(409, 'session_exists', 'this relay is here already');
    }
    const { context, lobby } = this.#options;
    const relay = new PulledRelay({
      context,
      lobby,
      relay: wish,
      offer,
      events: {
        onMedia: (connected) => {
          if (connected === this.#current) this.#options.events.onTracks();
        },
        onChange: (changed) => this.#options.events.onReport(changed.report(this.#idle)),
        onEnded: (ended) => this.#ended(ended),
      },
    });
    this.#desired = wish;
    this.#next?.close();
    this.#next = null;
    const served = this.#current?.state === 'connected' && keep(relay.sources);
    this.#sources = relay.sources;
    if (served) {
      this.#next = relay;
      this.#undesiredMs ??= context.now();
    } else {
      this.#current?.close();
      this.#use(relay);
    }
    this.#startTimers();
    this.noteDemand();
    return relay;
  }

  /** Null: no relay is wanted. Another one than is here: it begins with `pull`. */
  want(desired: DesiredRelay | null): void {
    this.#desired = desired;
    if (desired === null) {
      this.close();
      return;
    }
    if (this.#next !== null && this.#next.id !== desired.session) {
      this.#next.close();
      this.#next = null;
    }
    if (this.#current?.id === desired.session) {
      this.#undesiredMs = null;
    } else if (this.#current !== null) {
      this.#undesiredMs ??= this.#options.context.now();
    }
  }

  /** Call it when somebody began to get the tracks, or stopped. */
  noteDemand(): void {
    if (this.sessionCount === 0) return;
    const nowMs = this.#options.context.now();
    if (this.#options.wanted()) this.#wantedMs = nowMs;
    const idle = nowMs - this.#wantedMs >= RELAY_IDLE_MS;
    if (idle === this.#idle) return;
    this.#idle = idle;
    for (const report of this.reports()) this.#options.events.onReport(report);
  }

  /** Ends the relays. Idempotent. */
  close(): void {
    this.#current?.close();
    this.#current = null;
    this.#next?.close();
    this.#next = null;
    this.#desired = null;
    this.#undesiredMs = null;
    this.#stopTimers();
  }

  #use(relay: PulledRelay | null): void {
    this.#current = relay;
    this.#undesiredMs = null;
    this.#options.events.onTracks();
  }

  #ended(relay: PulledRelay): void {
    if (relay === this.#next) {
      this.#next = null;
    } else if (relay === this.#current) {
      const next = this.#next;
      this.#next = null;
      this.#use(next);
    }
    if (this.sessionCount === 0) this.#stopTimers();
  }

  #tick(): void {
    this.noteDemand();
    const nowMs = this.#options.context.now();
    // Its successor may be on its way still; what the edge does not know any more must not go round in circles.
    if (this.#undesiredMs === null || nowMs - this.#undesiredMs < HANDOVER_MS) return;
    const late = this.#current;
    const next = this.#next;
    this.#next = null;
    this.#use(next);
    late?.close();
    if (this.sessionCount === 0) this.#stopTimers();
  }

  /** The successor takes over with its first packet: until then its tracks have nothing to show. */
  #lookAtNext(): void {
    const next = this.#next;
    if (next === null) {
      this.#stopHandover();
    } else if (next.flows) {
      const replaced = this.#current;
      this.#next = null;
      this.#use(next);
      replaced?.close();
      this.#stopHandover();
    }
  }

  #startTimers(): void {
    if (this.#timer === null) this.#wantedMs = this.#options.context.now();
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    if (this.#next !== null) this.#handover ??= setInterval(() => this.#lookAtNext(), HANDOVER_TICK_MS);
  }

  #stopTimers(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#stopHandover();
    this.#idle = false;
  }

  #stopHandover(): void {
    if (this.#handover !== null) clearInterval(this.#handover);
    this.#handover = null;
  }
}
