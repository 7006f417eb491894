/** The packets of one WHIP session: opens them, finds their stream, and talks RTCP with the publisher. */

import { ntpMiddle32 } from '../rtcp/ntp.ts';
import type { RtcpVisitor } from '../rtcp/parse.ts';
import { parseRtcp } from '../rtcp/parse.ts';
import { PublisherClock } from '../rtcp/sender-clock.ts';
import { TransportCcRecorder } from '../rtcp/transport-cc.ts';
import type { ForwarderContext } from './forwarder-context.ts';
import { IngressDemux, type Route } from './ingress-demux.ts';
import { IngressReports } from './ingress-reports.ts';
import { IngressStream } from './ingress-stream.ts';
import { isRtcp, MAX_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES } from './rtcp-mux.ts';
import { findExtension, parseRtpHeader, RtpHeader } from './rtp-header.ts';
import { recoverOriginal } from './rtx.ts';
import { extendSequence } from './sequence.ts';
import { SourcePacket } from './source-packet.ts';
import { PublishedTrack } from './source-track.ts';
import { deriveSessionKeys } from './srtp/session-keys.ts';
import { SrtpReceiver } from './srtp/srtp-receiver.ts';
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
  readonly #srtp: SrtpReceiver;
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
    this.#srtp = new SrtpReceiver(deriveSessionKeys(keys.profile, keys.remoteKey, keys.remoteSalt));
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
  }

  receive(datagram: Buffer, nowMs: number): void {
    if (this.#closed) return;
    const counters = this.#context.counters;
    const isValid =
      datagram.length >= MIN_DATAGRAM_BYTES &&
      datagram.length <= MAX_DATAGRAM_BYTES &&
      (isRtcp(datagram) ? this.#receiveRtcp(datagram, nowMs) : this.#receiveRtp(datagram, nowMs));
    if (isValid) {
      counters.packetsIn++;
      counters.bytesIn += datagram.length;
    } else {
      counters.dropped++;
    }
  }

  #receiveRtp(datagram: Buffer, nowMs: number): boolean {
    if (!parseRtpHeader(datagram, datagram.length, header)) return false;
    const length = this.#srtp.unprotectRtp(datagram, header, plaintext);
    if (length < 0) return false;
    this.#options.onAuthenticated(nowMs);
    this.#recordTransportCc(nowMs);
    const route = this.#demux.resolve(plaintext, header);
    if (route === null) return false;
    return route.rtx
      ? this.#acceptRepaired(route, length, nowMs)
      : this.#acceptOriginal(route, length, this.#srtp.index, nowMs);
  }

  #recordTransportCc(nowMs: number): void {
    if (this.#transportCc === null) return;
    const offset = findExtension(plaintext, header, this.#transportCcId);
    if (offset >= 0 && header.foundLength >= 2) this.#transportCc.record(plaintext.readUInt16BE(offset), nowMs);
  }

  #acceptOriginal(route: Route, length: number, extended: number, nowMs: number): boolean {
    // Another payload type on a media SSRC: comfort noise, redundancy, a codec that was not agreed on.
    if (header.payloadType !== route.track.plan.payloadType) return false;
    const stream = route.stream ?? this.#openStream(route, header.ssrc, nowMs);
    if (stream === null || !packet.read(plaintext, length, stream.extensionIds)) return false;
    stream.accept(packet, extended, false, nowMs);
    return true;
  }

  #acceptRepaired(route: Route, length: number, nowMs: number): boolean {
    const stream = repairedStream(route);
    if (stream === null || stream.highestReceived < 0) return false;
    const recovered = recoverOriginal(plaintext, length, header, stream.ssrc, stream.plan.payloadType);
    // Padding on the RTX stream probes the network; there is no packet in it.
    if (recovered === 0 || !packet.read(plaintext, recovered, stream.extensionIds)) return true;
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
    const length = this.#srtp.unprotectRtcp(datagram, plaintext);
    if (length < 0) return false;
    this.#options.onAuthenticated(nowMs);
    this.#nowMs = nowMs;
    return parseRtcp(plaintext, length, this);
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
      if (chooses) track.chooseLayer(nowMs);
      for (const layer of track.layers) layer.tick(nowMs);
    }
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
