/** The packets of one WHEP session: the viewer's streams, its RTCP, and our sender reports. */

import { NOT_SCHEDULED, type Scheduled } from '../deadline-wheel.ts';
import type { EgressTrackPlan } from '../negotiate/plan.ts';
import { ntpHigh, ntpLow, ntpMiddle32 } from '../rtcp/ntp.ts';
import { parseRtcp, type RtcpVisitor } from '../rtcp/parse.ts';
import { RtcpWriter } from '../rtcp/write.ts';
import { INBOUND_RTCP } from '../transport/types.ts';
import { EgressStream } from './egress-stream.ts';
import type { PeerHandle } from './fanout-engine.ts';
import type { ForwarderContext } from './forwarder-context.ts';
import type { IngressStream } from './ingress-stream.ts';
import { RelayedLayers } from './relayed-layers.ts';
import { ReportTimes } from './report-times.ts';
import { isRtcp, MAX_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES } from './rtcp-mux.ts';
import { PublishedTrack } from './source-track.ts';
import { openInboundMedia } from './srtp/open-inbound.ts';
import type { SrtpReceiver } from './srtp/srtp-receiver.ts';
import { SRTP_OVERHEAD } from './srtp/srtp-sender.ts';
import type { EgressMedia, EgressMediaOptions, EgressTrackStats, LayerChoice, SourceTrack } from './types.ts';

/** How often a session looks whether there is something to report: at first, and later whether its source is another. */
const LOOK_SOON_MS = 50;
const LOOK_MS = 250;
/** How long the first report waits for the publisher's own, which tells the times better than arrival does. */
const PATIENCE_MS = 1000;
const MAX_RTCP_BYTES = 600;

/** Shared by all sessions: only in use within one call. */
const plaintext = Buffer.alloc(MAX_DATAGRAM_BYTES);
const writer = new RtcpWriter(MAX_RTCP_BYTES, SRTP_OVERHEAD);
const counters = { packets: 0, bytes: 0 };

interface Outgoing {
  readonly stream: EgressStream;
  readonly times: ReportTimes;
  /** Of the last look: whose times are reported, and whether the publisher's reports tell them. */
  source: IngressStream | null;
  isSynchronized: boolean;
}

export class EgressSession implements EgressMedia, RtcpVisitor, Scheduled {
  dueTurn = NOT_SCHEDULED;
  readonly #context: ForwarderContext;
  readonly #options: EgressMediaOptions;
  /** Null: a tap, which receives nothing, or the sockets open what comes. */
  readonly #srtp: SrtpReceiver | null;
  readonly #isTap: boolean;
  readonly #peer: PeerHandle;
  #outgoing: Outgoing[];
  /** Of all tracks, those that ended included: their ciphers have begun to count. */
  readonly #usedSsrcs = new Set<number>();
  /** Null: no other node gets layers from here. */
  #relayed: RelayedLayers | null;
  #nowMs = 0;
  #closed = false;

  constructor(options: EgressMediaOptions, context: ForwarderContext, nowMs: number) {
    const { keys, tracks, send, watchRoute } = options;
    this.#checkFresh(tracks);
    this.#context = context;
    this.#options = options;
    this.#isTap = keys === null;
    this.#srtp =
      keys === null
        ? null
        : openInboundMedia(keys, options.openInbound, (opened, length, index, wireBytes, now) => {
            // Viewers send no media.
            if (!this.#closed) this.#count(wireBytes, index === INBOUND_RTCP && this.#acceptRtcp(opened, length, now));
          });
    this.#peer = context.engine.openPeer(keys, send, watchRoute);
    this.#outgoing = tracks.map((plan) => this.#open(plan, nowMs));
    this.#relayed = RelayedLayers.of(this.#outgoing.map(({ stream }) => stream));
  }

  setTracks(tracks: readonly EgressTrackPlan[], nowMs: number): void {
    if (this.#closed) return;
    const known = new Map(this.#outgoing.map((outgoing) => [outgoing.stream.plan.ssrc, outgoing]));
    this.#checkFresh(tracks.filter(({ ssrc, mid }) => known.get(ssrc)?.stream.plan.mid !== mid));
    const kept = new Set(tracks.map(({ ssrc }) => ssrc));
    for (const { stream } of this.#outgoing) if (!kept.has(stream.plan.ssrc)) stream.close(nowMs);
    this.#outgoing = tracks.map((plan) => known.get(plan.ssrc) ?? this.#open(plan, nowMs));
    this.#relayed = RelayedLayers.of(this.#outgoing.map(({ stream }) => stream));
    this.#context.onEgressDue(this, nowMs);
  }

  #checkFresh(tracks: readonly EgressTrackPlan[]): void {
    const ssrcs = tracks.flatMap(({ ssrc, rtxSsrc }) => (rtxSsrc === null ? [ssrc] : [ssrc, rtxSsrc]));
    for (const [index, ssrc] of ssrcs.entries()) {
      if (this.#usedSsrcs.has(ssrc) || ssrcs.indexOf(ssrc) !== index) throw new RangeError(`SSRC ${ssrc} is in use`);
    }
  }

  #open(plan: EgressTrackPlan, nowMs: number): Outgoing {
    this.#usedSsrcs.add(plan.ssrc);
    if (plan.rtxSsrc !== null) this.#usedSsrcs.add(plan.rtxSsrc);
    const { keyframeReason, cachedStart = !this.#isTap, onLayers } = this.#options;
    const tell = onLayers === undefined || plan.kind === 'audio' ? undefined : () => onLayers(plan.mid);
    const { engine } = this.#context;
    const stream = new EgressStream(plan, engine, this.#peer, nowMs, cachedStart, keyframeReason, tell);
    return { stream, times: new ReportTimes(plan.ssrc), source: null, isSynchronized: false };
  }

  attach(mid: string, source: SourceTrack | null, nowMs: number): void {
    if (this.#closed) return;
    const streams = this.#streamsAt(mid);
    if (source !== null && !(source instanceof PublishedTrack)) throw new TypeError('not a track of this forwarder');
    for (const stream of streams) stream.attach(source, nowMs);
  }

  setLayer(mid: string, choice: LayerChoice, nowMs: number): void {
    if (this.#closed) return;
    for (const stream of this.#streamsAt(mid)) stream.setLayer(choice, nowMs);
  }

  /** One, or each layer of a track that is relayed. */
  #streamsAt(mid: string): EgressStream[] {
    const streams = this.#outgoing.flatMap(({ stream }) => (stream.plan.mid === mid ? [stream] : []));
    if (streams.length === 0) throw new RangeError(`no m-section ${mid} in this session`);
    return streams;
  }

  requestKeyframe(mid: string, nowMs: number): void {
    if (this.#closed) return;
    for (const { stream } of this.#outgoing) if (stream.plan.mid === mid) stream.onKeyframeRequest(nowMs);
  }

  receive(datagram: Buffer, nowMs: number): void {
    if (this.#closed) return;
    const isValid =
      datagram.length >= MIN_DATAGRAM_BYTES &&
      datagram.length <= MAX_DATAGRAM_BYTES &&
      isRtcp(datagram) && // viewers send no media
      this.#receiveRtcp(datagram, nowMs);
    this.#count(datagram.length, isValid);
  }

  #count(bytes: number, isValid: boolean): void {
    const { counters: incoming } = this.#context;
    if (isValid) {
      incoming.packetsIn++;
      incoming.bytesIn += bytes;
    } else {
      incoming.dropped++;
    }
  }

  #receiveRtcp(datagram: Buffer, nowMs: number): boolean {
    const length = this.#srtp?.unprotectRtcp(datagram, plaintext) ?? -1;
    return length >= 0 && this.#acceptRtcp(plaintext, length, nowMs);
  }

  /** A compound packet that authenticated. */
  #acceptRtcp(plain: Buffer, length: number, nowMs: number): boolean {
    this.#options.onAuthenticated(nowMs);
    this.#nowMs = nowMs;
    return parseRtcp(plain, length, this);
  }

  reportBlock(
    _reporterSsrc: number,
    ssrc: number,
    fractionLost: number,
    cumulativeLost: number,
    highestSequence: number,
    jitter: number,
    lastSr: number,
    delaySinceLastSr: number,
  ): void {
    const stream = this.#streamOf(ssrc);
    if (stream === null) return;
    stream.report.noteReportBlock(
      fractionLost,
      cumulativeLost,
      highestSequence,
      jitter,
      lastSr,
      delaySinceLastSr,
      this.#nowMs,
    );
    stream.onReport(this.#nowMs);
  }

  nack(_senderSsrc: number, mediaSsrc: number, sequence: number): void {
    this.#streamOf(mediaSsrc)?.onNack(sequence, this.#nowMs);
  }

  pli(_senderSsrc: number, mediaSsrc: number): void {
    this.#streamOf(mediaSsrc)?.onKeyframeRequest(this.#nowMs);
  }

  fir(_senderSsrc: number, mediaSsrc: number): void {
    this.#streamOf(mediaSsrc)?.onKeyframeRequest(this.#nowMs);
  }

  application(_senderSsrc: number, subtype: number, name: number, words: readonly number[]): void {
    this.#relayed?.read(subtype, name, words, this.#nowMs);
  }

  senderReport(): void {}
  /** Viewers are not asked for it: see `layer-machine.ts`. */
  remb(): void {}
  /** The end of a viewer shows by its transport, not by the SSRC that it reports with. */
  bye(): void {}

  #streamOf(ssrc: number): EgressStream | null {
    for (const { stream } of this.#outgoing) if (stream.plan.ssrc === ssrc) return stream;
    return null;
  }

  /** Sends the reports that are due; returns when to call again, at the latest. */
  tick(nowMs: number): number {
    let dueMs = nowMs + LOOK_MS;
    this.#tellLayers(nowMs);
    for (const outgoing of this.#outgoing) {
      const { stream, times } = outgoing;
      const { source } = stream.rewriter;
      const isSynchronized = source?.clock.synchronized ?? false;
      if (source !== outgoing.source || isSynchronized !== outgoing.isSynchronized) times.restart();
      outgoing.source = source;
      outgoing.isSynchronized = isSynchronized;
      if (nowMs >= times.nextMs && this.#sendReport(stream, nowMs)) times.sent(nowMs);
      dueMs = Math.min(dueMs, Math.max(times.nextMs, nowMs + LOOK_SOON_MS));
    }
    return dueMs;
  }

  #tellLayers(nowMs: number): void {
    this.#relayed?.write(writer, nowMs, () => {
      this.#context.engine.sendRtcp(this.#peer, writer.buffer, writer.length);
    });
  }

  /** False while there is nothing to say. */
  #sendReport(stream: EgressStream, nowMs: number): boolean {
    const { plan } = stream;
    // Who reads a tap places its streams by their first reports: they go ahead of the packets, by our own clock.
    if (!this.#isTap && !isWorthReporting(stream, nowMs)) return false;
    const high = ntpHigh(nowMs, this.#context.epochOffsetMs);
    const low = ntpLow(nowMs, this.#context.epochOffsetMs);
    const { engine } = this.#context;
    engine.sinkCounters(stream.sink, counters);
    writer.reset();
    writer.senderReport(plan.ssrc, high, low, stream.rewriter.rtpAt(nowMs), counters.packets, counters.bytes);
    writer.sdesCname(plan.ssrc, plan.cname);
    stream.report.noteSenderReport(ntpMiddle32(high, low), nowMs);
    engine.sendRtcp(this.#peer, writer.buffer, writer.length);
    return true;
  }

  stats(_nowMs: number): EgressTrackStats[] {
    return this.#outgoing.map(({ stream }) => {
      this.#context.engine.sinkCounters(stream.sink, counters);
      return {
        mid: stream.plan.mid,
        kind: stream.plan.kind,
        ssrc: stream.plan.ssrc,
        packets: counters.packets,
        bytes: counters.bytes,
        nacksReceived: stream.nacksReceived,
        retransmitted: stream.retransmitted,
        plisReceived: stream.plisReceived,
        fractionLost: stream.report.fractionLost,
        roundTripMs: stream.report.roundTripMs,
        jitterMs: stream.report.jitterMs,
        rid: stream.rewriter.source?.rid ?? null,
      };
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const nowMs = this.#context.now();
    for (const { stream } of this.#outgoing) stream.close(nowMs);
    this.#context.engine.closePeer(this.#peer);
    this.#context.onEgressClosed(this);
  }
}

function isWorthReporting({ rewriter }: EgressStream, nowMs: number): boolean {
  const { source, startedMs } = rewriter;
  if (source === null || Number.isNaN(startedMs)) return false;
  return source.clock.synchronized || nowMs - startedMs >= PATIENCE_MS;
}
