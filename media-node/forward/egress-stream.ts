/**
 * One track to one viewer: follows the source it is aimed at, keeps sequence numbers and timestamps continuous over
 * starts and switches, and answers the viewer's NACKs.
 */
import { randomInt } from 'node:crypto';
import type { EgressTrackPlan } from '../negotiate/plan.ts';
import type { KeyframeReason } from '../rtcp/keyframe-policy.ts';
import { ViewerReport } from '../rtcp/viewer-report.ts';
import { type CachedStart, findCachedStart } from './cached-start.ts';
import type { FanoutEngine, PeerHandle, SinkHandle } from './fanout-engine.ts';
import { type IngressStream, removeFrom } from './ingress-stream.ts';
import { OutClock } from './out-clock.ts';
import { RetransmissionBudget } from './retransmission-budget.ts';
import { SentSegments } from './sent-segments.ts';
import { extendSequence, timestampDifference } from './sequence.ts';
import { copiedExtensionIds, SourcePacket } from './source-packet.ts';
import type { PublishedTrack, TrackSink } from './source-track.ts';

/** Packets per turn (10 ms) while catching up: 64 of 1200 bytes fit the receive buffers of clients. */
const PACKETS_PER_TURN = 64;
/** Cached frames are this far apart in time stamps; about as fast as they are sent, so that no player plays them slowly. */
const CACHED_FRAME_MS = 1;
/** A GOP younger than this is the fastest start there is. */
const FRESH_GOP_MS = 3000;
/** An older one costs the viewer long decoding: a publisher that answers requests gets this long to do better. */
const PREFER_KEYFRAME_MS = 300;
/** A stream without a packet for this long is worth no waiting for a clean switch. */
const STALL_MS = 500;
/** Random starts stay below 2^15, so that a viewer that misses the first packets still guesses the rollover counter. */
const MAX_FIRST_SEQUENCE = 0x8000;
const MAX_INCOMING_BYTES = 2048;

/** Shared by all: only in use within a call. */
const replayBytes = Buffer.alloc(MAX_INCOMING_BYTES);
const replayPacket = new SourcePacket();

/**
 * - `idle`: nothing is sent;
 * - `catching-up`: packets come from the ring of the source, paced;
 * - `live`: in the group of the source, the engine sends each packet as it comes;
 * - `held`: what could be decoded was sent, a keyframe is waited for.
 */
type Mode = 'idle' | 'catching-up' | 'live' | 'held';

export class EgressStream implements TrackSink {
  readonly plan: EgressTrackPlan;
  readonly sink: SinkHandle;
  readonly report: ViewerReport;
  nacksReceived = 0;
  retransmitted = 0;
  plisReceived = 0;
  readonly #engine: FanoutEngine;
  readonly #clock: OutClock;
  readonly #segments = new SentSegments();
  readonly #budget = new RetransmissionBudget();
  readonly #frameUnits: number;
  #track: PublishedTrack | null = null;
  /** What is being sent. */
  #current: IngressStream | null = null;
  #mode: Mode = 'idle';
  /** What is waited for, in its list of waiting sinks. */
  #target: IngressStream | null = null;
  /** When to look at the cache (again); infinite: no more. */
  #tryCacheMs = Number.POSITIVE_INFINITY;
  /** The next look at the cache may prefer to ask for a keyframe. */
  #mayAsk = true;
  #hasAsked = false;
  #sequenceDelta = 0;
  #timestampDelta = 0;
  /** Next source packet to send while catching up. */
  #cursor = 0;
  #start: CachedStart = { first: 0, join: 0, frames: 0, end: null };
  #cachedTimestamp = 0;
  #cachedSourceTimestamp = 0;
  #cachedStep = 0;
  /** The stretch of true timestamps is in `#segments`. */
  #joinNoted = false;
  /** Newest number and timestamp sent; behind while live, see `#newestSequence`. */
  #lastSequence = randomInt(MAX_FIRST_SEQUENCE);
  #lastTimestamp = 0;
  #startedMs = Number.NaN;

  constructor(plan: EgressTrackPlan, engine: FanoutEngine, peer: PeerHandle, nowMs: number) {
    this.plan = plan;
    this.#engine = engine;
    this.#clock = new OutClock(plan.codec.clockRate, randomInt(2 ** 32), nowMs);
    this.#frameUnits = Math.max(1, Math.round((plan.codec.clockRate * CACHED_FRAME_MS) / 1000));
    this.report = new ViewerReport(plan.codec.clockRate);
    const { rtxSsrc, rtxPayloadType } = plan;
    this.sink = engine.openSink(peer, {
      ssrc: plan.ssrc,
      payloadType: plan.payloadType,
      rtx: rtxSsrc === null || rtxPayloadType === null ? null : { ssrc: rtxSsrc, payloadType: rtxPayloadType },
      midId: plan.extensions.mid ?? 0,
      mid: plan.mid,
      copiedIds: copiedExtensionIds(plan.extensions),
    });
  }

  /** When the first packet was sent; NaN before. */
  get startedMs(): number {
    return this.#startedMs;
  }

  /** The stream whose packets are sent now. */
  get source(): IngressStream | null {
    return this.#current;
  }

  /** The viewer's RTP timestamp at `nowMs`, for sender reports; meaningless without `source`. */
  rtpAt(nowMs: number): number {
    if (this.#current === null) return this.#clock.at(nowMs);
    return (this.#current.rtpAt(nowMs) + this.#timestampDelta) >>> 0;
  }

  attach(track: PublishedTrack | null, nowMs: number): void {
    if (track === this.#track) return;
    this.#track?.detach(this);
    this.#stopWaiting();
    this.#leaveCurrent(nowMs);
    this.#track = track;
    track?.attach(this, nowMs);
  }

  aim(stream: IngressStream | null, nowMs: number): void {
    if (stream === this.#target) return;
    this.#stopWaiting();
    if (stream === null || (stream === this.#current && this.#mode !== 'held')) return;
    this.#waitFor(stream);
    if (stream.plan.kind === 'audio') return; // starts with the next packet
    if (this.#current !== null && nowMs - this.#current.lastArrivalMs < STALL_MS) {
      this.#ask(stream, 'layer-switch', nowMs);
      return;
    }
    this.#mayAsk = true;
    // A stream without a packet yet is about to deliver its first, which most likely is a keyframe.
    if (stream.highest < 0) this.#tryCacheMs = nowMs;
    else this.#startFromCache(stream, nowMs);
  }

  #startFromCache(stream: IngressStream, nowMs: number): void {
    this.#tryCacheMs = Number.POSITIVE_INFINITY;
    const start = findCachedStart(stream, nowMs);
    const isFresh = stream.gopAgeMs(nowMs) <= FRESH_GOP_MS || stream.answersRequests === false;
    if (start !== null && (isFresh || !this.#mayAsk)) {
      this.#stopWaiting();
      this.#begin(stream, start, nowMs);
      return;
    }
    if (start !== null) this.#tryCacheMs = nowMs + PREFER_KEYFRAME_MS;
    this.#mayAsk = false;
    this.#ask(stream, 'new-viewer', nowMs);
  }

  whileWaiting(stream: IngressStream, nowMs: number): void {
    if (nowMs >= this.#tryCacheMs) this.#startFromCache(stream, nowMs);
  }

  #ask(stream: IngressStream, reason: KeyframeReason, nowMs: number): void {
    this.#hasAsked = true;
    stream.requestKeyframe(reason, nowMs);
  }

  onStart(stream: IngressStream, sequence: number, nowMs: number): void {
    this.#target = null;
    this.#hasAsked = false;
    this.#tryCacheMs = Number.POSITIVE_INFINITY;
    this.#begin(stream, { first: sequence, join: sequence, frames: 0, end: null }, nowMs);
  }

  onStreamClosed(stream: IngressStream, nowMs: number): void {
    if (this.#target === stream) this.#target = null;
    if (this.#current === stream) this.#leaveCurrent(nowMs);
  }

  #waitFor(stream: IngressStream): void {
    this.#target = stream;
    stream.waiting.push(this);
  }

  #stopWaiting(): void {
    this.#tryCacheMs = Number.POSITIVE_INFINITY;
    const target = this.#target;
    if (target === null) return;
    this.#target = null;
    removeFrom(target.waiting, this);
    if (this.#hasAsked && target.waiting.length === 0) target.policy.cancel();
    this.#hasAsked = false;
  }

  /** Stops sending; the timeline goes on. */
  #leaveCurrent(nowMs: number): void {
    const current = this.#current;
    if (current === null) return;
    this.#clock.set(this.rtpAt(nowMs), nowMs);
    if (this.#mode === 'live') {
      this.#lastSequence = this.#newestSequence();
      this.#lastTimestamp = (current.timestamp + this.#timestampDelta) >>> 0;
      this.#engine.leave(this.sink);
    } else if (this.#mode === 'catching-up') {
      removeFrom(current.catchingUp, this);
    }
    this.#mode = 'idle';
    this.#current = null;
  }

  /** Sends `stream` from `start` on, continuing sequence numbers and timestamps. */
  #begin(stream: IngressStream, start: CachedStart, nowMs: number): void {
    this.#leaveCurrent(nowMs);
    this.#current = stream;
    this.#start = start;
    this.#cursor = start.first;
    this.#sequenceDelta = this.#lastSequence + 1 - start.first;
    this.#alignTimestamps(stream, start, nowMs);
    if (Number.isNaN(this.#startedMs)) this.#startedMs = nowMs;
    this.#joinNoted = false;
    this.#mode = 'catching-up';
    stream.catchingUp.push(this);
    this.pump(nowMs);
  }

  /**
   * True timestamps continue the viewer's timeline; cached frames end right before that of `join`. Nothing may lie at or
   * before what was sent last.
   */
  #alignTimestamps(stream: IngressStream, start: CachedStart, nowMs: number): void {
    const now = this.#clock.at(nowMs);
    this.#timestampDelta = (now - stream.rtpAt(nowMs)) >>> 0;
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

  pump(nowMs: number): void {
    const stream = this.#current;
    if (stream === null) return;
    const { end } = this.#start;
    const last = end === null ? stream.highest : end - 1;
    for (let left = PACKETS_PER_TURN; left > 0 && this.#cursor <= last; this.#cursor++) {
      if (!stream.ring.load(this.#cursor, replayBytes)) continue;
      if (!replayPacket.read(replayBytes, stream.ring.loadedLength, stream.extensionIds)) continue;
      left--;
      this.#replay(stream, replayPacket);
    }
    if (this.#cursor <= last) return;
    removeFrom(stream.catchingUp, this);
    if (end === null) {
      this.#goLive(stream);
      return;
    }
    this.#mode = 'held';
    if (this.#target !== null) return; // another layer is on its way
    this.#waitFor(stream);
    this.#ask(stream, 'new-viewer', nowMs);
  }

  /** Sends the packet at the cursor. */
  #replay(stream: IngressStream, packet: SourcePacket): void {
    const sequence = this.#cursor + this.#sequenceDelta;
    const { timestamp } = packet.header;
    let delta = this.#timestampDelta;
    if (this.#cursor < this.#start.join) {
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
    this.#engine.sendOne(this.sink, packet, sequence, this.#lastTimestamp);
  }

  #goLive(stream: IngressStream): void {
    this.#mode = 'live';
    this.#engine.join(stream.group, this.sink, {
      fromSequence: this.#start.join,
      sequenceDelta: this.#sequenceDelta,
      timestampDelta: this.#timestampDelta,
    });
  }

  onLatePacket(packet: SourcePacket): void {
    if (packet.sequence >= this.#cursor || packet.sequence < this.#start.join) return;
    const timestamp = packet.header.timestamp + this.#timestampDelta;
    this.#engine.sendOne(this.sink, packet, packet.sequence + this.#sequenceDelta, timestamp);
  }

  /** Highest extended sequence number sent. */
  #newestSequence(): number {
    return this.#mode === 'live' && this.#current !== null
      ? this.#current.highest + this.#sequenceDelta
      : this.#lastSequence;
  }

  /** The viewer misses the packet with these 16 bits. */
  onNack(sequence: number, nowMs: number): void {
    this.nacksReceived++;
    const newest = this.#newestSequence();
    const extended = extendSequence(sequence, newest);
    if (extended < 0 || extended > newest || !this.#segments.find(extended)) return;
    const { stream, sourceSequence, timestampDelta } = this.#segments;
    if (stream === null || !stream.ring.load(sourceSequence, replayBytes)) return;
    if (!this.#budget.take(extended, this.report.roundTripMs, nowMs)) return;
    if (!replayPacket.read(replayBytes, stream.ring.loadedLength, stream.extensionIds)) return;
    const timestamp = replayPacket.header.timestamp + timestampDelta;
    if (this.plan.rtxSsrc !== null && this.plan.rtxPayloadType !== null) {
      this.#engine.sendRtx(this.sink, replayPacket, extended, timestamp);
    } else {
      this.#engine.sendOne(this.sink, replayPacket, extended, timestamp);
    }
    this.retransmitted++;
  }

  /** PLI or FIR from the viewer. */
  onKeyframeRequest(nowMs: number): void {
    this.plisReceived++;
    (this.#target ?? this.#current)?.requestKeyframe('viewer-pli', nowMs);
  }

  /** Idempotent only by its owner's care: the sink handle is given back. */
  close(nowMs: number): void {
    this.attach(null, nowMs);
    this.#engine.closeSink(this.sink);
  }
}
