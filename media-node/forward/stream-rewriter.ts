/**
 * Sequence numbers and timestamps of one stream to a viewer: continuous over everything that is sent on it. Follows one
 * source stream at a time, first out of its ring (from a keyframe on, paced), then packet by packet through the engine.
 */
import { randomInt } from 'node:crypto';
import type { CachedStart } from './cached-start.ts';
import type { FanoutEngine, SinkHandle } from './fanout-engine.ts';
import type { IngressStream } from './ingress-stream.ts';
import { OutClock } from './out-clock.ts';
import { SentSegments } from './sent-segments.ts';
import { extendSequence, timestampDifference } from './sequence.ts';
import type { SourcePacket } from './source-packet.ts';
import { StoredBatch } from './stored-packets.ts';

/** Packets per turn (10 ms) while catching up: 64 of 1200 bytes fit the receive buffers of clients. */
const PACKETS_PER_TURN = StoredBatch.CAPACITY;
/** Cached frames are this far apart in timestamps; about as fast as they are sent, so that no player plays them slowly. */
const CACHED_FRAME_MS = 1;
/** Random starts stay below 2^15, so that a viewer that misses the first packets still guesses the rollover counter. */
const MAX_FIRST_SEQUENCE = 0x8000;

/** Shared by all: only in use within a call. */
const batch = new StoredBatch();

/**
 * - `idle`: nothing is sent;
 * - `catching-up`: packets come from the ring of the source, paced by `pump`;
 * - `live`: in the group of the source, the engine sends each packet as it comes;
 * - `held`: what could be decoded was sent; nothing more until the next `begin`.
 */
export type RewriterMode = 'idle' | 'catching-up' | 'live' | 'held';

export interface StoredPacket {
  /** Null: it is gone. */
  stream: IngressStream | null;
  bytes: number;
  /** It belongs to the newest keyframe. */
  ofKeyframe: boolean;
}

/** Shared: in use within one call only. */
const found: StoredPacket = { stream: null, bytes: 0, ofKeyframe: false };

export class StreamRewriter {
  readonly #engine: FanoutEngine;
  readonly #sink: SinkHandle;
  readonly #clock: OutClock;
  readonly #segments = new SentSegments();
  readonly #frameUnits: number;
  #source: IngressStream | null = null;
  #mode: RewriterMode = 'idle';
  #startedMs = Number.NaN;
  #sequenceDelta = 0;
  #timestampDelta = 0;
  #start: CachedStart = { first: 0, join: 0, frames: 0, end: null };
  /** Next source packet to send while catching up. */
  #cursor = 0;
  #cachedTimestamp = 0;
  #cachedSourceTimestamp = Number.NaN;
  #cachedStep = 0;
  /** The stretch of true timestamps is in `#segments`. */
  #joinNoted = false;
  /** Newest number and timestamp sent; behind while live, see `#newestSequence`. */
  #lastSequence = randomInt(MAX_FIRST_SEQUENCE);
  #lastTimestamp = 0;

  /** @param clockRate Hz */
  constructor(engine: FanoutEngine, sink: SinkHandle, clockRate: number, nowMs: number) {
    this.#engine = engine;
    this.#sink = sink;
    this.#clock = new OutClock(clockRate, randomInt(2 ** 32), nowMs);
    this.#frameUnits = Math.max(1, Math.round((clockRate * CACHED_FRAME_MS) / 1000));
  }

  /** The stream whose packets are sent now. */
  get source(): IngressStream | null {
    return this.#source;
  }

  get mode(): RewriterMode {
    return this.#mode;
  }

  /** When the first packet was sent; NaN before. */
  get startedMs(): number {
    return this.#startedMs;
  }

  /** The viewer's RTP timestamp of what is captured at `nowMs`, unsigned. */
  rtpAt(nowMs: number): number {
    if (this.#source === null) return this.#clock.at(nowMs);
    return (this.#source.clock.rtpAt(nowMs) + this.#timestampDelta) >>> 0;
  }

  /** Follows `stream` from `start` on; `pump` sends. */
  begin(stream: IngressStream, start: CachedStart, nowMs: number): void {
    this.leave(nowMs);
    this.#source = stream;
    this.#mode = 'catching-up';
    this.#start = start;
    this.#cursor = start.first;
    this.#joinNoted = false;
    this.#sequenceDelta = this.#lastSequence + 1 - start.first;
    this.#alignTimestamps(stream, start, nowMs);
    if (Number.isNaN(this.#startedMs)) this.#startedMs = nowMs;
  }

  /** Stops sending; the timeline goes on. */
  leave(nowMs: number): void {
    const source = this.#source;
    if (source === null) return;
    this.#clock.set(this.rtpAt(nowMs), nowMs);
    if (this.#mode === 'live') {
      this.#lastSequence = this.#newestSequence();
      this.#lastTimestamp = (source.clock.timestamp + this.#timestampDelta) >>> 0;
      this.#engine.leave(this.#sink);
    } else {
      // Late packets may have been sent under any number up to the cursor: none of them may be used again.
      this.#lastSequence = Math.max(this.#lastSequence, this.#cursor - 1 + this.#sequenceDelta);
    }
    this.#mode = 'idle';
    this.#source = null;
  }

  /**
   * True timestamps continue the viewer's timeline; cached frames end right before that of `join`. Nothing may lie at or
   * before what was sent last.
   */
  #alignTimestamps(stream: IngressStream, start: CachedStart, nowMs: number): void {
    const now = this.#clock.at(nowMs);
    this.#timestampDelta = (now - stream.clock.rtpAt(nowMs)) >>> 0;
    let join = start.end === null ? (stream.ring.timestampOf(start.join) + this.#timestampDelta) >>> 0 : now;
    this.#cachedStep = this.#frameUnits;
    if (!Number.isNaN(this.#startedMs)) {
      const room = timestampDifference(join, this.#lastTimestamp) - 1;
      if (start.frames > 0 && room > 0) {
        this.#cachedStep = Math.max(1, Math.min(this.#frameUnits, Math.floor(room / start.frames)));
      }
      const missing = start.frames * this.#cachedStep - room;
      if (missing > 0) {
        join = (join + missing) >>> 0;
        this.#timestampDelta = (this.#timestampDelta + missing) >>> 0;
      }
    }
    // One step before the first cached frame: `pump` adds a step for each frame.
    this.#cachedTimestamp = (join - (start.frames + 1) * this.#cachedStep) >>> 0;
    this.#cachedSourceTimestamp = Number.NaN;
  }

  /** Sends the next packets out of the ring; at the end of it goes `live` (or `held`). */
  pump(): void {
    const source = this.#source;
    if (source === null || this.#mode !== 'catching-up') return;
    const { end, join } = this.#start;
    const last = end === null ? source.highest : end - 1;
    batch.count = 0;
    const room = Math.min(PACKETS_PER_TURN, this.#engine.room);
    for (; batch.count < room && this.#cursor <= last; this.#cursor++) {
      if (source.ring.has(this.#cursor)) this.#replay(source, this.#cursor);
    }
    if (batch.count > 0) this.#engine.sendStored(this.#sink, source.group, batch, false);
    if (this.#cursor <= last) return;
    if (end !== null) {
      this.#mode = 'held';
      return;
    }
    this.#mode = 'live';
    this.#engine.join(source.group, this.#sink, {
      fromSequence: join,
      sequenceDelta: this.#sequenceDelta,
      timestampDelta: this.#timestampDelta,
    });
  }

  /** Adds the packet at the cursor to the batch. */
  #replay(stream: IngressStream, cursor: number): void {
    const sequence = cursor + this.#sequenceDelta;
    const timestamp = stream.ring.timestampOf(cursor);
    let delta = this.#timestampDelta;
    if (cursor < this.#start.join) {
      if (timestamp !== this.#cachedSourceTimestamp) {
        this.#cachedSourceTimestamp = timestamp;
        this.#cachedTimestamp = (this.#cachedTimestamp + this.#cachedStep) >>> 0;
        this.#segments.add(sequence, stream, this.#sequenceDelta, this.#cachedTimestamp - timestamp);
      }
      delta = this.#cachedTimestamp - timestamp;
    } else if (!this.#joinNoted) {
      this.#joinNoted = true;
      this.#segments.add(this.#start.join + this.#sequenceDelta, stream, this.#sequenceDelta, delta);
    }
    this.#lastSequence = sequence;
    this.#lastTimestamp = (timestamp + delta) >>> 0;
    batch.add(stream.ring.startOf(cursor), stream.ring.lengthOf(cursor), sequence, this.#lastTimestamp);
  }

  /** A packet that came out of order while catching up: sent when the cursor has passed its place. */
  sendLate(packet: SourcePacket): void {
    if (packet.sequence >= this.#cursor || packet.sequence < this.#start.join) return;
    const timestamp = packet.header.timestamp + this.#timestampDelta;
    this.#engine.sendOne(this.#sink, packet, packet.sequence + this.#sequenceDelta, timestamp);
  }

  /** Highest extended sequence number sent. */
  #newestSequence(): number {
    if (this.#mode !== 'live' || this.#source === null) return this.#lastSequence;
    return this.#source.highest + this.#sequenceDelta;
  }

  /** The extended number with these 16 bits; -1 when nothing was sent under it yet. */
  sentSequence(sequence: number): number {
    const newest = this.#newestSequence();
    const extended = extendSequence(sequence, newest);
    return extended <= newest && this.#segments.find(extended) ? extended : -1;
  }

  /** The packet that was sent under this extended number, if it is still there; valid until the next call. */
  stored(extSequence: number): Readonly<StoredPacket> {
    found.stream = null;
    found.bytes = 0;
    found.ofKeyframe = false;
    if (!this.#segments.find(extSequence)) return found;
    const { stream, sourceSequence } = this.#segments;
    if (stream === null || !stream.ring.has(sourceSequence)) return found;
    found.stream = stream;
    found.bytes = stream.ring.lengthOf(sourceSequence);
    found.ofKeyframe = stream.isOfKeyframe(stream.ring.timestampOf(sourceSequence));
    return found;
  }

  /** Sends again what was sent under this extended number; false when it is gone (or never came). */
  resend(extSequence: number, byRtx: boolean): boolean {
    if (!this.#segments.find(extSequence)) return false;
    const { stream, sourceSequence, timestampDelta } = this.#segments;
    if (stream === null || !stream.ring.has(sourceSequence)) return false;
    const { ring, group } = stream;
    const timestamp = ring.timestampOf(sourceSequence) + timestampDelta;
    batch.count = 0;
    batch.add(ring.startOf(sourceSequence), ring.lengthOf(sourceSequence), extSequence, timestamp);
    this.#engine.sendStored(this.#sink, group, batch, byRtx);
    return true;
  }
}
