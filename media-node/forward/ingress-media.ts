/** The packets of one WHIP session: opens them, finds their stream, and talks RTCP with the publisher. */

import { ntpMiddle32 } from '../rtcp/ntp.ts';
import type { RtcpVisitor } from '../rtcp/parse.ts';
import { parseRtcp } from '../rtcp/parse.ts';
import { PublisherClock } from '../rtcp/sender-clock.ts';
import { TransportCcRecorder } from '../rtcp/transport-cc.ts';
import { INBOUND_REFUSED, INBOUND_RTCP } from '../transport/types.ts';
import type { ForwarderContext } from './forwarder-context.ts';
import { IngressDemux, type Route } from './ingress-demux.ts';
import { IngressReports } from './ingress-reports.ts';
import { IngressStream } from './ingress-stream.ts';
import { readOffered } from './relay-messages.ts';
import { isRtcp, MAX_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES } from './rtcp-mux.ts';
import { findExtension, parseRtpHeader, RtpHeader } from './rtp-header.ts';
import { recoverOriginal } from './rtx.ts';
import { extendSequence } from './sequence.ts';
import { SourcePacket } from './source-packet.ts';
import { PublishedTrack } from './source-track.ts';
import { openInboundMedia } from './srtp/open-inbound.ts';
import type { SrtpReceiver } from './srtp/srtp-receiver.ts';
import type { IngressMedia, IngressMediaOptions, IngressTrackStats } from './types.ts';

/** Layers of one track that may exist at a time. */
const MAX_LAYERS = 8;
/** A new SSRC may take over a layer (or a place among them) not more often than this. */
const MIN_REOPEN_MS = 500;
/** Without rids: a stream that was silent for this long has been replaced by one with another SSRC. */
const REPLACED_AFTER_MS = 2000;
const CHOOSE_INTERVAL_MS = 100;

/** Shared by all sessions: only in use within one call of `receive`. */
const header = new RtpHeader();
const plaintext = Buffer.alloc(MAX_DATAGRAM_BYTES);
const packet = new SourcePacket();

export class IngressSession implements IngressMedia, RtcpVisitor {
  readonly tracks: readonly PublishedTrack[];
  readonly #context: ForwarderContext;
  readonly #options: IngressMediaOptions;
  /** Null: the sockets open what comes. */
  readonly #srtp: SrtpReceiver | null;
  readonly #demux: IngressDemux;
  readonly #clock = new PublisherClock();
  readonly #transportCc: TransportCcRecorder | null;
  readonly #transportCcId: number;
  readonly #reports: IngressReports;
  #lastOpenMs = Number.NEGATIVE_INFINITY;
  #nextChoiceMs = 0;
  #nowMs = 0;
  #closed = false;

  constructor(options: IngressMediaOptions, context: ForwarderContext) {
    const { keys, tracks } = options;
    this.#context = context;
    this.#options = options;
    this.tracks = tracks.map((plan) => new PublishedTrack(plan));
    this.#demux = new IngressDemux(this.tracks);
    // One numbering per transport, so one id for all m-sections (they are bundled).
    this.#transportCcId = tracks.find((plan) => plan.feedback.transportCc)?.extensions.transportCc ?? 0;
    this.#transportCc = this.#transportCcId === 0 ? null : new TransportCcRecorder();
    this.#reports = new IngressReports({
      tracks: this.tracks,
      keys,
      send: options.send,
      transportCc: this.#transportCc,
    });
    this.#srtp = openInboundMedia(keys, options.openInbound, (opened, length, index, wireBytes, nowMs) =>
      this.#count(wireBytes, this.#acceptOpened(opened, length, index, nowMs)),
    );
  }

  receive(datagram: Buffer, nowMs: number): void {
    if (this.#closed) return;
    const isValid =
      datagram.length >= MIN_DATAGRAM_BYTES &&
      datagram.length <= MAX_DATAGRAM_BYTES &&
      (isRtcp(datagram) ? this.#receiveRtcp(datagram, nowMs) : this.#receiveRtp(datagram, nowMs));
    this.#count(datagram.length, isValid);
  }

  #count(bytes: number, isValid: boolean): void {
    const counters = this.#context.counters;
    if (isValid) {
      counters.packetsIn++;
      counters.bytesIn += bytes;
    } else {
      counters.dropped++;
    }
  }

  #acceptOpened(opened: Buffer, length: number, index: number, nowMs: number): boolean {
    if (this.#closed || index === INBOUND_REFUSED) return false;
    if (index === INBOUND_RTCP) return this.#acceptRtcp(opened, length, nowMs);
    return parseRtpHeader(opened, length, header) && this.#acceptRtp(opened, length, index, nowMs);
  }

  #receiveRtp(datagram: Buffer, nowMs: number): boolean {
    if (this.#srtp === null || !parseRtpHeader(datagram, datagram.length, header)) return false;
    const length = this.#srtp.unprotectRtp(datagram, header, plaintext);
    return length >= 0 && this.#acceptRtp(plaintext, length, this.#srtp.index, nowMs);
  }

  /** A packet that authenticated, whose header has been parsed. */
  #acceptRtp(plain: Buffer, length: number, index: number, nowMs: number): boolean {
    this.#options.onAuthenticated(nowMs);
    this.#recordTransportCc(plain, nowMs);
    const route = this.#demux.resolve(plain, header);
    if (route === null) return false;
    return route.rtx
      ? this.#acceptRepaired(route, plain, length, nowMs)
      : this.#acceptOriginal(route, plain, length, index, nowMs);
  }

  #recordTransportCc(plain: Buffer, nowMs: number): void {
    if (this.#transportCc === null) return;
    const offset = findExtension(plain, header, this.#transportCcId);
    if (offset >= 0 && header.foundLength >= 2) this.#transportCc.record(plain.readUInt16BE(offset), nowMs);
  }

  #acceptOriginal(route: Route, plain: Buffer, length: number, extended: number, nowMs: number): boolean {
    // Another payload type on a media SSRC: comfort noise, redundancy, a codec that was not agreed on.
    if (header.payloadType !== route.track.plan.payloadType) return false;
    const stream = route.stream ?? this.#openStream(route, header.ssrc, nowMs);
    if (stream === null || !packet.read(plain, length, stream.extensionIds)) return false;
    stream.accept(packet, extended, false, nowMs);
    return true;
  }

  #acceptRepaired(route: Route, plain: Buffer, length: number, nowMs: number): boolean {
    const stream = repairedStream(route);
    if (stream === null || stream.highestReceived < 0) return false;
    const recovered = recoverOriginal(plain, length, header, stream.ssrc, stream.plan.payloadType);
    // Padding on the RTX stream probes the network; there is no packet in it.
    if (recovered === 0 || !packet.read(plain, recovered, stream.extensionIds)) return true;
    stream.accept(packet, extendSequence(packet.header.sequence, stream.highestReceived), true, nowMs);
    return true;
  }

  #openStream(route: Route, ssrc: number, nowMs: number): IngressStream | null {
    const { track, rid } = route;
    const replaced = track.layers.find((layer) =>
      rid === null ? !route.announced && nowMs - layer.lastArrivalMs > REPLACED_AFTER_MS : layer.rid === rid,
    );
    const isFirst = track.layers.length === 0 || route.announced;
    if (!isFirst && nowMs - this.#lastOpenMs < MIN_REOPEN_MS && replaced !== undefined) return null;
    if (replaced === undefined && track.layers.length >= MAX_LAYERS) return null;
    this.#lastOpenMs = nowMs;
    const { engine, cache } = this.#context;
    const stream = new IngressStream(
      {
        ssrc,
        rid,
        plan: track.plan,
        publisherClock: this.#clock,
        engine,
        cache,
        sendKeyframeRequest: (wanting) => this.#reports.sendKeyframeRequest(wanting),
      },
      nowMs,
    );
    route.stream = stream;
    track.addLayer(stream, nowMs);
    if (replaced !== undefined) this.#closeStream(replaced, track, nowMs);
    return stream;
  }

  #closeStream(stream: IngressStream, track: PublishedTrack, nowMs: number): void {
    this.#demux.forget(stream);
    track.removeLayer(stream, nowMs);
  }

  #receiveRtcp(datagram: Buffer, nowMs: number): boolean {
    const length = this.#srtp?.unprotectRtcp(datagram, plaintext) ?? -1;
    return length >= 0 && this.#acceptRtcp(plaintext, length, nowMs);
  }

  #acceptRtcp(plain: Buffer, length: number, nowMs: number): boolean {
    this.#options.onAuthenticated(nowMs);
    this.#nowMs = nowMs;
    return parseRtcp(plain, length, this);
  }

  senderReport(ssrc: number, ntpHigh: number, ntpLow: number, rtpTimestamp: number): void {
    const stream = this.#streamOf(ssrc);
    if (stream === null) return;
    stream.clock.noteSenderReport(ntpHigh, ntpLow, rtpTimestamp, this.#nowMs);
    stream.reception.noteSenderReport(ntpMiddle32(ntpHigh, ntpLow), this.#nowMs);
  }

  /** A layer that the publisher stopped. Its packets may come again later. */
  bye(ssrc: number): void {
    const stream = this.#streamOf(ssrc);
    const track = this.tracks.find((candidate) => stream !== null && candidate.layers.includes(stream));
    if (stream !== null && track !== undefined) this.#closeStream(stream, track, this.#nowMs);
  }

  /** The node that this comes from says which layers of a track it has. */
  application(_senderSsrc: number, subtype: number, name: number, words: readonly number[]): void {
    const layers = readOffered(subtype, name, words);
    const [first] = layers ?? [];
    if (layers === null || first === undefined) return;
    for (const track of this.tracks) {
      if (track.plan.ssrcs.some(({ primary }) => primary === first.ssrc)) track.noteOffered(layers, this.#nowMs);
    }
  }

  // We send nothing that a publisher could report on or ask for.
  reportBlock(): void {}
  nack(): void {}
  pli(): void {}
  fir(): void {}
  remb(): void {}

  #streamOf(ssrc: number): IngressStream | null {
    for (const track of this.tracks) {
      for (const layer of track.layers) if (layer.ssrc === ssrc) return layer;
    }
    return null;
  }

  tick(nowMs: number): void {
    const chooses = nowMs >= this.#nextChoiceMs;
    if (chooses) this.#nextChoiceMs = nowMs + CHOOSE_INTERVAL_MS;
    for (const track of this.tracks) {
      if (chooses) track.watchLayers(nowMs);
      for (const layer of track.layers) layer.tick(nowMs);
    }
    if (chooses) this.#reports.askForLayers(nowMs);
    this.#reports.tick(nowMs);
  }

  stats(nowMs: number): IngressTrackStats[] {
    return this.tracks.map((track) => ({
      mid: track.mid,
      kind: track.kind,
      layers: track.layers.map((layer) => ({
        rid: layer.rid,
        ssrc: layer.ssrc,
        packets: layer.reception.packets,
        bytes: layer.bytes,
        bitrateBps: Math.round(layer.meter.bitrateBps(nowMs)),
        lost: layer.reception.lost,
        nacksSent: layer.nack?.requested ?? 0,
        recovered: layer.nack?.recovered ?? 0,
        plisSent: layer.policy.sent,
        jitterMs: layer.reception.jitterMs,
        keyframes: layer.policy.keyframes,
      })),
    }));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const track of this.tracks) track.close(this.#context.now());
    this.#context.onIngressClosed(this);
  }
}

/** The stream whose packets an RTX stream repeats. */
function repairedStream(route: Route): IngressStream | null {
  const { layers } = route.track;
  for (const layer of layers) {
    if (route.primarySsrc !== null ? layer.ssrc === route.primarySsrc : layer.rid === route.rid) return layer;
  }
  // An SSRC that nobody announced: unambiguous when there is one stream.
  return layers.length === 1 && route.rid === null ? (layers[0] ?? null) : null;
}
