/**
 * One incoming stream of packets (one SSRC: a track, or one simulcast layer of it). Numbers and keeps the packets, hands
 * them to the fan-out, knows the newest keyframe, and serves the viewers that wait for one or are catching up.
 */
import type { IngressTrackPlan } from '../negotiate/plan.ts';
import { BitrateMeter } from '../rtcp/bitrate-meter.ts';
import { KeyframePolicy, type KeyframeReason } from '../rtcp/keyframe-policy.ts';
import { NackGenerator } from '../rtcp/nack-generator.ts';
import { ReceptionStats } from '../rtcp/reception-stats.ts';
import type { PublisherClock } from '../rtcp/sender-clock.ts';
import { isKeyframeStart } from './codecs/keyframes.ts';
import { pictureSize } from './codecs/picture-size.ts';
import type { FanoutEngine, GroupHandle } from './fanout-engine.ts';
import type { LayerStep } from './layer-step.ts';
import { PacketRing } from './packet-ring.ts';
import { PaddingFilter } from './padding-filter.ts';
import { SourceClock } from './source-clock.ts';
import { copiedExtensionIds, type SourcePacket } from './source-packet.ts';
import type { ForwarderOptions } from './types.ts';

/** Retransmissions to viewers are answered from at least this much. */
const HISTORY_MS = 1000;
const AUDIO_RING = { initialBytes: 0x4000, maxBytes: 0x40000, historyMs: HISTORY_MS };
const VIDEO_RING_INITIAL_BYTES = 0x40000;
/** Enough for a second of 32 Mb/s. */
const VIDEO_RING_MIN_BOUND_BYTES = 0x400000;
/** A keyframe that comes this soon after a request was its answer. */
const ANSWER_MS = 1000;

/** A viewer's stream, as the source stream sees it. */
export interface StreamSink {
  /** A place to start at has come: the keyframe at `sequence` (video) or any packet (audio). Called while it waits. */
  onStart(stream: IngressStream, sequence: number, nowMs: number): void;
  /** A packet came out of order while this sink catches up. */
  onLatePacket(packet: SourcePacket): void;
  /** Called regularly while the sink waits. */
  whileWaiting(stream: IngressStream, nowMs: number): void;
  /** Called regularly while the sink catches up: sends the next packets. */
  pump(nowMs: number): void;
  onStreamClosed(stream: IngressStream, nowMs: number): void;
}

export interface IngressStreamOptions {
  ssrc: number;
  rid: string | null;
  plan: IngressTrackPlan;
  publisherClock: PublisherClock;
  engine: FanoutEngine;
  cache: ForwarderOptions;
  /** Sends a PLI (or FIR) for this stream to the publisher. */
  sendKeyframeRequest(stream: IngressStream): void;
}

export class IngressStream implements LayerStep {
  readonly ssrc: number;
  readonly rid: string | null;
  readonly plan: IngressTrackPlan;
  readonly group: GroupHandle;
  readonly ring: PacketRing;
  readonly policy = new KeyframePolicy();
  readonly reception: ReceptionStats;
  readonly nack: NackGenerator | null;
  readonly meter = new BitrateMeter();
  readonly clock: SourceClock;
  readonly extensionIds: Uint8Array;
  /** Sinks that wait for a place to start at. */
  readonly waiting: StreamSink[] = [];
  /** Sinks that are fed from the ring. */
  readonly catchingUp: StreamSink[] = [];
  /** Extended sequence number of the publisher, for what comes by RTX; -1 before the first packet. */
  highestReceived = -1;
  /** Newest number in our own numbering; -1 before the first packet. */
  highest = -1;
  /** Numbers below `highest` under which nothing has come yet: lost on the way here. */
  holes = 0;
  lastArrivalMs = Number.NEGATIVE_INFINITY;
  readonly openedMs: number;
  bytes = 0;
  /** First packet of the newest keyframe, in our numbering; -1 when there was none. */
  keyframeSequence = -1;
  keyframeMs = Number.NEGATIVE_INFINITY;
  /** Pixels of the newest keyframe that told; 0: not known. */
  width = 0;
  height = 0;
  sizeChanges = 0;
  /** Whether the publisher reacts to keyframe requests; null while nobody has asked. */
  answersRequests: boolean | null;
  closed = false;
  readonly #options: IngressStreamOptions;
  readonly #canAsk: boolean;
  readonly #padding = new PaddingFilter();
  #keyframeTimestamp = 0;
  #requestedMs = Number.NaN;
  #givenUpSeen = 0;

  constructor(options: IngressStreamOptions, nowMs: number) {
    const { plan, engine, cache } = options;
    this.#options = options;
    this.ssrc = options.ssrc;
    this.rid = options.rid;
    this.plan = plan;
    this.openedMs = nowMs;
    this.#canAsk = plan.kind === 'video' && (plan.feedback.pli || plan.feedback.fir);
    this.answersRequests = this.#canAsk ? null : false;
    this.extensionIds = copiedExtensionIds(plan.extensions);
    this.group = engine.openGroup({ sourceIds: this.extensionIds, framed: plan.kind === 'video' });
    this.ring = new PacketRing({
      ...(plan.kind === 'audio' ? AUDIO_RING : videoRing(cache)),
      allocate: (bytes) => engine.openLog(this.group, bytes),
    });
    this.reception = new ReceptionStats(plan.codec.clockRate);
    this.nack = plan.feedback.nack ? new NackGenerator() : null;
    this.clock = new SourceClock(plan.codec.clockRate, options.publisherClock);
  }

  /** As a step of the ladder it is its own stream. */
  get stream(): IngressStream {
    return this;
  }

  bitrateBps(nowMs: number): number {
    return this.meter.bitrateBps(nowMs);
  }

  /** Whether a packet belongs to the newest keyframe. @param timestamp of the packet, as the publisher sent it */
  isOfKeyframe(timestamp: number): boolean {
    return this.keyframeSequence >= 0 && timestamp === this.#keyframeTimestamp;
  }

  /** Milliseconds since the newest keyframe began. */
  gopAgeMs(nowMs: number): number {
    return nowMs - this.keyframeMs;
  }

  /** The cache holds at most this much of a GOP, bytes; 0 when it is off. */
  get cacheBytes(): number {
    return this.#options.cache.keyframeCache ? this.#options.cache.keyframeCacheBytes : 0;
  }

  /**
   * Takes a packet that authenticated. `extended` is the publisher's extended sequence number; `recovered` when it came
   * by RTX. False when it was here before, is too old, or is padding that nobody needs.
   */
  accept(packet: SourcePacket, extended: number, recovered: boolean, nowMs: number): boolean {
    this.#count(packet, extended, recovered, nowMs);
    const newest = extended > this.highestReceived;
    if (newest) this.highestReceived = extended;
    if (newest && packet.paddingOnly) {
      this.#padding.drop(extended);
      return false;
    }
    const sequence = this.#padding.number(extended);
    if (this.ring.wasStored(sequence)) return false;
    packet.sequence = sequence;
    const { timestamp } = packet.header;
    if (sequence > this.highest) {
      if (this.highest >= 0) this.holes += sequence - this.highest - 1;
      this.highest = sequence;
      this.clock.noteArrival(timestamp, nowMs);
    } else {
      this.holes--;
    }
    const isStart = this.#noteKeyframe(packet, nowMs);
    packet.logStart = this.ring.store(sequence, timestamp, packet.bytes, packet.length, nowMs, this.#keepFrom());
    this.#options.engine.fanout(this.group, packet);
    if (sequence < this.highest) for (const sink of this.catchingUp) sink.onLatePacket(packet);
    if (isStart && this.waiting.length > 0) this.#startWaiting(sequence, nowMs);
    return true;
  }

  #count(packet: SourcePacket, extended: number, recovered: boolean, nowMs: number): void {
    if (!recovered) this.reception.received(extended, packet.header.timestamp, nowMs);
    this.nack?.received(extended, nowMs);
    this.meter.add(packet.length, nowMs);
    this.bytes += packet.length;
    this.lastArrivalMs = nowMs;
  }

  /**
   * Notes where decoding can start; true when sinks that wait can start with this packet. Parameter sets and picture of
   * one keyframe share a timestamp; the first of them in sequence is the start, in whatever order they come.
   */
  #noteKeyframe(packet: SourcePacket, nowMs: number): boolean {
    if (this.plan.kind === 'audio') return true;
    if (packet.paddingOnly || !isKeyframeStart(this.plan.codec.name, packet.payload)) return false;
    this.#noteSize(packet);
    const { timestamp } = packet.header;
    if (this.keyframeSequence >= 0 && timestamp === this.#keyframeTimestamp) {
      if (packet.sequence > this.keyframeSequence) return false;
      this.keyframeSequence = packet.sequence;
      return true;
    }
    if (packet.sequence < this.keyframeSequence) return false;
    this.keyframeSequence = packet.sequence;
    this.#keyframeTimestamp = timestamp;
    this.keyframeMs = nowMs;
    this.policy.keyframeSeen(nowMs);
    if (nowMs - this.#requestedMs < ANSWER_MS) this.answersRequests = true;
    this.#requestedMs = Number.NaN;
    return true;
  }

  #noteSize({ payload }: SourcePacket): void {
    const size = pictureSize(this.plan.codec.name, payload);
    if (size === null || (size.width === this.width && size.height === this.height)) return;
    this.width = size.width;
    this.height = size.height;
    this.sizeChanges++;
  }

  /** What the ring should grow for. */
  #keepFrom(): number {
    if (this.keyframeSequence < 0 || this.cacheBytes === 0) return -1;
    return this.ring.bytesSince(this.keyframeSequence) <= this.cacheBytes ? this.keyframeSequence : -1;
  }

  #startWaiting(sequence: number, nowMs: number): void {
    const sinks = this.waiting.splice(0);
    for (const sink of sinks) sink.onStart(this, sequence, nowMs);
  }

  /** Asks the publisher for a keyframe as soon as the policy allows it: now, or in a later `tick`. */
  requestKeyframe(reason: KeyframeReason, nowMs: number): void {
    if (!this.#canAsk || this.closed) return;
    this.policy.request(reason, nowMs);
    this.#sendDueRequest(nowMs);
  }

  /** Drives the sinks that wait or catch up, and repeats keyframe requests that were not answered. */
  tick(nowMs: number): void {
    if (this.waiting.length > 0) for (const sink of [...this.waiting]) sink.whileWaiting(this, nowMs);
    if (this.catchingUp.length > 0) for (const sink of [...this.catchingUp]) sink.pump(nowMs);
    this.#repairPicture(nowMs);
  }

  /** Asks for a keyframe again when none came, and when packets are lost for good. */
  #repairPicture(nowMs: number): void {
    if (nowMs - this.#requestedMs > ANSWER_MS) {
      this.answersRequests = false;
      this.#requestedMs = Number.NaN;
    }
    const givenUp = this.nack?.givenUp ?? 0;
    if (givenUp > this.#givenUpSeen) {
      this.#givenUpSeen = givenUp;
      this.requestKeyframe('loss', nowMs);
    }
    this.#sendDueRequest(nowMs);
  }

  #sendDueRequest(nowMs: number): void {
    if (!this.policy.due(nowMs)) return;
    if (Number.isNaN(this.#requestedMs)) this.#requestedMs = nowMs;
    this.#options.sendKeyframeRequest(this);
  }

  /** The stream is over: its sinks are told, its memory is freed. Idempotent. */
  close(nowMs: number, sinks: Iterable<StreamSink>): void {
    if (this.closed) return;
    this.closed = true;
    for (const sink of sinks) sink.onStreamClosed(this, nowMs);
    this.waiting.length = 0;
    this.catchingUp.length = 0;
    this.#options.engine.closeGroup(this.group);
    this.ring.release();
  }
}

function videoRing({ keyframeCache, keyframeCacheBytes }: ForwarderOptions) {
  const wanted = Math.max(VIDEO_RING_MIN_BOUND_BYTES, keyframeCache ? keyframeCacheBytes : 0);
  const maxBytes = 2 ** Math.ceil(Math.log2(wanted));
  return { initialBytes: VIDEO_RING_INITIAL_BYTES, maxBytes, historyMs: HISTORY_MS };
}

/** Takes `item` out of an unordered list. */
export function removeFrom<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
