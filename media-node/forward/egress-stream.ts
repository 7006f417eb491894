/**
 * One track to one viewer: decides what of its source is sent (which layer, from the cache or from the next keyframe),
 * and answers the viewer's NACKs and keyframe requests.
 */
import type { EgressTrackPlan } from '../negotiate/plan.ts';
import type { KeyframeReason } from '../rtcp/keyframe-policy.ts';
import { RequestGate } from '../rtcp/request-gate.ts';
import { ViewerReport } from '../rtcp/viewer-report.ts';
import { type CachedStart, findCachedStart } from './cached-start.ts';
import type { FanoutEngine, PeerHandle, SinkHandle } from './fanout-engine.ts';
import { type IngressStream, removeFrom } from './ingress-stream.ts';
import { ViewerLayer } from './layer-choice.ts';
import { LineMeter } from './layer-line.ts';
import type { LayerStep } from './layer-step.ts';
import { RepairShare } from './repair-share.ts';
import { RetransmissionBudget } from './retransmission-budget.ts';
import { copiedExtensionIds, type SourcePacket } from './source-packet.ts';
import type { PublishedTrack, TrackSink } from './source-track.ts';
import { StreamRewriter } from './stream-rewriter.ts';
import type { LayerChoice } from './types.ts';

/** A GOP younger than this is the fastest start there is. */
const FRESH_GOP_MS = 3000;
/** An older one costs the viewer long decoding: a publisher that may answer requests gets this long to do better. */
const PREFER_KEYFRAME_MS = 300;
/** A stream without a packet for this long is worth no waiting for a clean switch. */
const STALL_MS = 500;
/** A switch of layers takes the cached packets of the new one when they are this few: the picture does not jump back. */
const SWITCH_GOP_MS = 300;
/** A node that relays says every second which layers it wants; after this without a word it wants none. */
const LEASE_MS = 5_000;

/** How often one viewer makes a publisher send everybody a keyframe. */
const ASKING = { free: 3, firstWaitMs: 2_000, longestWaitMs: 16_000, forgetMs: 10_000 };
/** How often one viewer is sent the group of pictures once more, which costs nobody else anything. */
const REPLAYING = { free: 1, firstWaitMs: 2_000, longestWaitMs: 32_000, forgetMs: 30_000 };

export class EgressStream implements TrackSink {
  readonly plan: EgressTrackPlan;
  readonly sink: SinkHandle;
  readonly report: ViewerReport;
  readonly rewriter: StreamRewriter;
  nacksReceived = 0;
  retransmitted = 0;
  plisReceived = 0;
  readonly #engine: FanoutEngine;
  readonly #budget = new RetransmissionBudget();
  readonly #asking = new RequestGate(ASKING);
  readonly #replaying = new RequestGate(REPLAYING);
  readonly #hasRtx: boolean;
  #track: PublishedTrack | null = null;
  /** What is waited for, in its list of waiting sinks. */
  #target: IngressStream | null = null;
  /** When to look at the cache (again); infinite: no more. */
  #tryCacheMs = Number.POSITIVE_INFINITY;
  /** The next look at the cache may prefer to ask for a keyframe. */
  #mayAsk = true;
  #hasAsked = false;
  readonly #cachedStart: boolean;
  readonly #keyframeReason: KeyframeReason;
  readonly #onLayers: (() => void) | undefined;
  readonly #layer = new ViewerLayer();
  readonly #line = new LineMeter();
  readonly #repairs: RepairShare;
  /** The layer that should be sent. */
  #step: LayerStep | null = null;
  /** Of one layer to a node that relays. */
  #leaseEndMs = Number.NEGATIVE_INFINITY;
  /** Of one layer: what flows here is sent in its place until it comes. */
  #hasStandIn = true;

  /**
   * @param cachedStart false: never begin with packets from the cache, which come in a burst
   * @param keyframeReason why a request that comes from the other side is passed on
   * @param onLayers the layers of the track are others than before
   */
  constructor(
    plan: EgressTrackPlan,
    engine: FanoutEngine,
    peer: PeerHandle,
    nowMs: number,
    cachedStart = true,
    keyframeReason: KeyframeReason = 'viewer-pli',
    onLayers?: () => void,
  ) {
    this.#onLayers = onLayers;
    this.#keyframeReason = keyframeReason;
    this.plan = plan;
    this.#engine = engine;
    this.#cachedStart = cachedStart;
    const { rtxSsrc, rtxPayloadType } = plan;
    const rtx = rtxSsrc === null || rtxPayloadType === null ? null : { ssrc: rtxSsrc, payloadType: rtxPayloadType };
    this.#hasRtx = rtx !== null;
    this.#repairs = new RepairShare(this.#hasRtx);
    this.sink = engine.openSink(peer, {
      ssrc: plan.ssrc,
      payloadType: plan.payloadType,
      rtx,
      midId: plan.extensions.mid ?? 0,
      mid: plan.mid,
      copiedIds: copiedExtensionIds(plan.extensions),
    });
    this.rewriter = new StreamRewriter(engine, this.sink, plan.codec.clockRate, nowMs);
    this.report = new ViewerReport(plan.codec.clockRate);
  }

  attach(track: PublishedTrack | null, nowMs: number): void {
    if (track === this.#track) return;
    this.#track?.detach(this);
    this.#stopWaiting();
    this.#leaveCurrent(nowMs);
    this.#step = null;
    this.#track = track;
    track?.attach(this, nowMs);
  }

  /** Sends this layer from its next keyframe on. */
  setLayer(choice: LayerChoice, nowMs: number): void {
    this.#layer.choice = choice;
    this.#aimAtChoice(nowMs);
  }

  onLayers(nowMs: number): void {
    this.#aimAtChoice(nowMs);
    this.#onLayers?.();
  }

  /** The viewer has reported on this stream. */
  onReport(nowMs: number): void {
    const { source } = this.rewriter;
    // A node that relays speaks for many.
    if (this.#track === null || source === null || !this.#isOneViewer) return;
    const { steps } = this.#track;
    if (!this.#line.note(source, this.report, nowMs)) return;
    if (this.#layer.noteReport(steps, this.#line, nowMs)) this.#aimAtChoice(nowMs);
    const hasWayOut = this.#layer.canGoDown(steps);
    this.#budget.share = this.#repairs.note(this.#line, source, this.retransmitted, hasWayOut, nowMs);
  }

  /** Not a node that relays, nor a tap of ours. */
  get #isOneViewer(): boolean {
    return this.#keyframeReason === 'viewer-pli' && this.#cachedStart;
  }

  #aimAtChoice(nowMs: number): void {
    const track = this.#track;
    if (track === null) return;
    this.#step = this.#chosenOf(track.steps, nowMs);
    if (this.#step === null && this.plan.layer !== undefined) {
      this.#stopWaiting();
      this.#leaveCurrent(nowMs);
      return;
    }
    const { source } = this.rewriter;
    const current = source !== null && nowMs - source.lastArrivalMs < STALL_MS ? source : null;
    const wanted = this.#step?.stream ?? null;
    // A layer that has to be fetched first is waited for; meanwhile there is what flows.
    const comes = wanted !== null && (current !== null || track.flows(wanted) || this.#isAwaited(wanted, nowMs));
    this.#aim(comes ? wanted : (current ?? (this.#hasStandIn ? track.best : null)), nowMs);
  }

  /** It has just come, and nothing stands in for it. */
  #isAwaited({ highest, lastArrivalMs }: IngressStream, nowMs: number): boolean {
    return !this.#hasStandIn && (highest < 0 || nowMs - lastArrivalMs < STALL_MS);
  }

  #chosenOf(steps: readonly LayerStep[], nowMs: number): LayerStep | null {
    const { layer } = this.plan;
    if (layer === undefined) return this.#layer.from(steps);
    if (nowMs >= this.#leaseEndMs) return null;
    const own = steps.find(({ rid }) => rid === layer.rid);
    if (own !== undefined || layer.all[0] !== layer.rid) return own ?? null;
    // The publisher came back without these layers: the first stands for whatever there is.
    return steps.some(({ rid }) => rid !== null && layer.all.includes(rid)) ? null : (steps[0] ?? null);
  }

  collectWanted(rids: Set<string>): void {
    const isSent = this.#step?.rid ?? null;
    const { rid = null } = this.rewriter.source ?? {};
    if (isSent !== null) rids.add(isSent);
    if (rid !== null) rids.add(rid);
  }

  /**
   * A node that relays says whether it wants this layer.
   * @param hasStandIn another layer may be sent in its place until it is here: that node has nothing to show otherwise
   */
  setWanted(wanted: boolean, hasStandIn: boolean, nowMs: number): void {
    this.#hasStandIn = hasStandIn;
    const before = nowMs < this.#leaseEndMs;
    this.#leaseEndMs = wanted ? nowMs + LEASE_MS : Number.NEGATIVE_INFINITY;
    if (wanted !== before) this.#aimAtChoice(nowMs);
  }

  /** Call it a few times a second. */
  checkLease(nowMs: number): void {
    if (this.#step !== null && this.plan.layer !== undefined && nowMs >= this.#leaseEndMs) this.#aimAtChoice(nowMs);
  }

  /** The layers that this stream is one of, best first. */
  get steps(): readonly LayerStep[] {
    return this.#track?.steps ?? [];
  }

  /** Sends this layer as soon as it can be decoded; null: none flows. */
  #aim(stream: IngressStream | null, nowMs: number): void {
    if (stream === this.#target) return;
    this.#stopWaiting();
    const current = this.rewriter.source;
    if (stream === null || (stream === current && this.rewriter.mode !== 'held')) return;
    this.#waitFor(stream);
    if (stream.plan.kind === 'audio') return; // starts with the next packet
    // A stream without a packet yet is about to deliver its first, which most likely is a keyframe.
    if (stream.highest < 0 && this.#cachedStart) {
      this.#mayAsk = true;
      this.#tryCacheMs = nowMs;
      return;
    }
    const flows = current !== null && nowMs - current.lastArrivalMs < STALL_MS;
    const isClose = this.#cachedStart && stream.gopAgeMs(nowMs) <= SWITCH_GOP_MS;
    if (flows && !isClose) {
      this.#ask(stream, 'layer-switch', nowMs);
      return;
    }
    if (!this.#cachedStart) {
      this.#ask(stream, 'new-viewer', nowMs);
      return;
    }
    this.#mayAsk = true;
    this.#startFromCache(stream, nowMs);
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
    if (this.rewriter.source === stream) this.#leaveCurrent(nowMs);
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

  #leaveCurrent(nowMs: number): void {
    const { source } = this.rewriter;
    if (source === null) return;
    removeFrom(source.catchingUp, this);
    this.rewriter.leave(nowMs);
  }

  #begin(stream: IngressStream, start: CachedStart, nowMs: number): void {
    this.#leaveCurrent(nowMs);
    this.rewriter.begin(stream, start, nowMs);
    stream.catchingUp.push(this);
    this.pump(nowMs);
  }

  pump(nowMs: number): void {
    const { rewriter } = this;
    rewriter.pump();
    if (rewriter.mode === 'catching-up' || rewriter.source === null) return;
    removeFrom(rewriter.source.catchingUp, this);
    // Another layer may be on its way already.
    if (rewriter.mode !== 'held' || this.#target !== null) return;
    this.#waitFor(rewriter.source);
    this.#ask(rewriter.source, 'new-viewer', nowMs);
  }

  onLatePacket(packet: SourcePacket): void {
    this.rewriter.sendLate(packet);
  }

  /** The viewer misses the packet with these 16 bits. */
  onNack(sequence: number, nowMs: number): void {
    this.nacksReceived++;
    if (!this.#budget.mayLookUp(nowMs)) return;
    const extended = this.rewriter.sentSequence(sequence);
    if (extended < 0) return;
    const { stream, bytes, ofKeyframe } = this.rewriter.stored(extended);
    if (stream === null || bytes === 0) return;
    // The layer was too much for the line, and the smaller one began with a keyframe: what is missing of it would be in its way.
    if (stream !== this.rewriter.source && this.#layer.isHeld) return;
    const streamBps = stream.meter.bitrateBps(nowMs);
    if (!this.#budget.take(extended, bytes, streamBps, this.report.roundTripMs, nowMs, ofKeyframe)) return;
    if (this.rewriter.resend(extended, this.#hasRtx)) this.retransmitted++;
  }

  /** PLI or FIR from the viewer, or from a node that relays. */
  onKeyframeRequest(nowMs: number): void {
    this.plisReceived++;
    const stream = this.#target ?? this.rewriter.source;
    if (stream === null) return;
    // A node that relays speaks for many, and a tap is ours: neither asks without need.
    // What is waited for anyway costs nothing more; the policy repeats it by itself.
    if (!this.#isOneViewer || stream.policy.wanted) stream.requestKeyframe(this.#keyframeReason, nowMs);
    else if (stream.answersRequests === false && this.#replay(stream, nowMs)) return;
    else if (this.#asking.take(nowMs)) stream.requestKeyframe(this.#keyframeReason, nowMs);
    else this.#replay(stream, nowMs);
  }

  /** Heals the picture of this viewer alone: starts it from the cached keyframe once more. False when that is not possible now. */
  #replay(stream: IngressStream, nowMs: number): boolean {
    const { rewriter } = this;
    if (rewriter.source !== stream || rewriter.mode !== 'live' || stream.plan.kind === 'audio') return false;
    if (stream.gopAgeMs(nowMs) > FRESH_GOP_MS) return false;
    const start = findCachedStart(stream, nowMs);
    if (start === null || start.end !== null || !this.#replaying.take(nowMs)) return false;
    this.#begin(stream, start, nowMs);
    return true;
  }

  /** Once: the sink handle is given back. */
  close(nowMs: number): void {
    this.attach(null, nowMs);
    this.#engine.closeSink(this.sink);
  }
}
