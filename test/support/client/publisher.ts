/** A synthetic WHIP publisher on real UDP. */
import { randomInt } from 'node:crypto';
import type { ExtensionName } from '../../../media-node/negotiate/extensions.ts';
import { ntpHigh, ntpLow } from '../../../media-node/rtcp/ntp.ts';
import { parseRtcp, type RtcpVisitor } from '../../../media-node/rtcp/parse.ts';
import { RtcpWriter } from '../../../media-node/rtcp/write.ts';
import { fileSource } from '../media/file-source.ts';
import type { MediaFile } from '../media/media-track.ts';
import { ClientSession, type SessionOptions } from './client-session.ts';
import { ClientTransport, RTCP_TAIL_BYTES } from './client-transport.ts';
import type { OfferedSection } from './offer.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { type Layer, OutgoingTrack } from './outgoing-track.ts';
import { AUDIO, type AudioPattern, audioSource, VIDEO, type VideoPattern, videoSource } from './pattern.ts';
import type { RemoteTrack } from './remote-answer.ts';

const PUMP_MS = 5;
const SENDER_REPORT_INTERVAL_MS = 1_000;
const RTCP_BYTES = 1_200;
const AUDIO_PAYLOAD_TYPE = 111;
const VIDEO_PAYLOAD_TYPE = 102;
const RTX_PAYLOAD_TYPE = 103;
/** Each further simulcast layer is this much bigger. */
const LAYER_FACTOR = 2;

export type PublishOptions = SessionOptions & {
  /** Null: no video. */
  video?: VideoPattern | null;
  /** Null: no sound. */
  audio?: AudioPattern | null;
  /** Simulcast, lowest first; the pattern is that of the lowest. */
  rids?: readonly string[];
  /** Offer RTX; true by default. */
  rtx?: boolean;
  /** Send a keyframe when asked; OBS and FFmpeg do not. True by default, but for `quirk`. */
  answersPli?: boolean;
  /** True by default, but for `quirk`. */
  answersNack?: boolean;
  /** Sender reports; true by default. */
  reports?: boolean;
  /** Extended number of the first video packet; random by default. */
  firstSequence?: number;
  /** RTP time of the first video frame; random by default. */
  firstTimestamp?: number;
  /** Sent in place of the patterns; what the file has not is not offered. */
  media?: MediaFile;
};

/** Publishes until closed. @throws SignallingError, or Error when there is no connection within 10 s */
export async function publish(options: PublishOptions): Promise<Publisher> {
  const publisher = new Publisher(options);
  await publisher.start();
  return publisher;
}

export class Publisher implements RtcpVisitor {
  readonly tracks: OutgoingTrack[] = [];
  plisReceived = 0;
  firsReceived = 0;
  /** Packets asked for. */
  nacksReceived = 0;
  reportBlocksReceived = 0;
  /** Of the last report block. */
  lastFractionLost = 0;
  readonly #options: PublishOptions;
  readonly #writer = new RtcpWriter(RTCP_BYTES, RTCP_TAIL_BYTES);
  #session: ClientSession | null = null;
  #pump: NodeJS.Timeout | null = null;
  readonly #obeys: boolean;
  #nextReportMs = 0;

  constructor(options: PublishOptions) {
    this.#options = options;
    this.#obeys = options.quirk !== 'ffmpeg8';
  }

  /** Called once, by `publish`. */
  async start(): Promise<void> {
    const transport = await ClientTransport.open(this.#options, {
      onRtp: () => {},
      onRtcp: (packet, length) => parseRtcp(packet, length, this),
      onTick: (nowMs) => this.#report(nowMs),
    });
    const sections = this.#offeredSections();
    const session = await ClientSession.open(this.#options, transport, sections);
    this.#session = session;
    for (const track of session.answer.tracks) this.tracks.push(this.#openTrack(track, sections, transport));
    this.#pump = setInterval(() => this.pump(), PUMP_MS);
    this.pump();
  }

  /** The session's transport, signalling and answer. */
  get session(): ClientSession {
    if (this.#session === null) throw new Error('the publisher has not started');
    return this.#session;
  }

  get video(): OutgoingTrack {
    return this.#track('video');
  }

  get audio(): OutgoingTrack {
    return this.#track('audio');
  }

  get packetsSent(): number {
    return this.tracks.flatMap(({ layers }) => layers).reduce((sum, { stream }) => sum + stream.packets, 0);
  }

  get retransmitted(): number {
    return this.tracks.flatMap(({ layers }) => layers).reduce((sum, { stream }) => sum + stream.retransmitted, 0);
  }

  /** Sends what is due now. */
  pump(): void {
    const nowMs = performance.now();
    for (const track of this.tracks) track.pump(nowMs);
  }

  layer(rid: string): Layer {
    const found = this.video.layers.find((layer) => layer.rid === rid);
    if (found === undefined) throw new Error(`no layer ${rid}`);
    return found;
  }

  /** DELETE and close_notify. Idempotent. */
  async close(): Promise<void> {
    this.#stop();
    await this.#session?.close();
  }

  /** Only close_notify. */
  async leave(): Promise<void> {
    this.#stop();
    await this.#session?.leave();
  }

  /** Falls silent, as a process that was killed. */
  async abandon(): Promise<void> {
    this.#stop();
    await this.#session?.abandon();
  }

  #stop(): void {
    if (this.#pump !== null) clearInterval(this.#pump);
    this.#pump = null;
  }

  // ---- RTCP from the server ----

  senderReport(): void {}
  bye(): void {}
  remb(): void {}

  reportBlock(_reporter: number, _ssrc: number, fractionLost: number): void {
    this.reportBlocksReceived += 1;
    this.lastFractionLost = fractionLost;
  }

  nack(_sender: number, mediaSsrc: number, sequence: number): void {
    this.nacksReceived += 1;
    if (!(this.#options.answersNack ?? this.#obeys)) return;
    for (const { stream } of this.video.layers) if (stream.ssrc === mediaSsrc) stream.retransmit(sequence);
  }

  pli(_sender: number, mediaSsrc: number): void {
    this.plisReceived += 1;
    if (this.#options.answersPli ?? this.#obeys) this.video.requestKeyframe(mediaSsrc);
  }

  fir(_sender: number, mediaSsrc: number): void {
    this.firsReceived += 1;
    if (this.#options.answersPli ?? this.#obeys) this.video.requestKeyframe(mediaSsrc);
  }

  #report(nowMs: number): void {
    if (this.#options.reports === false || nowMs < this.#nextReportMs || this.#session === null) return;
    this.#nextReportMs = nowMs + SENDER_REPORT_INTERVAL_MS;
    const ntp = { high: ntpHigh(nowMs, performance.timeOrigin), low: ntpLow(nowMs, performance.timeOrigin) };
    for (const track of this.tracks) {
      this.#writer.reset();
      track.writeSenderReports(this.#writer, ntp, nowMs);
      this.#session.transport.sendRtcp(this.#writer.buffer, this.#writer.length);
    }
  }

  #track(kind: 'audio' | 'video'): OutgoingTrack {
    const track = this.tracks.find((candidate) => candidate.kind === kind);
    if (track === undefined) throw new Error(`there is no ${kind}`);
    return track;
  }

  #offeredSections(): OfferedSection[] {
    const { media, rids = [], rtx = true } = this.#options;
    const { video = VIDEO, audio = AUDIO } = media ?? this.#options;
    const sections: OfferedSection[] = [];
    const common = { direction: 'sendonly', rids: [] } as const;
    if (audio !== null) {
      const formats = [{ codec: audio.codec, payloadType: AUDIO_PAYLOAD_TYPE, rtxPayloadType: null }];
      const ssrcs = { primary: mintSsrc(), rtx: null };
      sections.push({ ...common, kind: 'audio', mid: '0', formats, extensions: ['mid'], ssrcs });
    }
    if (video !== null) {
      const rtxPayloadType = rtx ? RTX_PAYLOAD_TYPE : null;
      const formats = [{ codec: video.codec, payloadType: VIDEO_PAYLOAD_TYPE, rtxPayloadType }];
      const extensions: ExtensionName[] = rids.length > 0 ? ['mid', 'rid', 'repairedRid'] : ['mid'];
      const ssrcs = rids.length > 0 ? null : { primary: mintSsrc(), rtx: rtx ? mintSsrc() : null };
      sections.push({ ...common, kind: 'video', mid: '1', formats, extensions, rids, ssrcs });
    }
    return sections;
  }

  #openTrack(track: RemoteTrack, sections: readonly OfferedSection[], transport: ClientTransport): OutgoingTrack {
    const { video, audio, firstSequence, firstTimestamp, media } = this.#options;
    const loopMs = Math.max(media?.video?.durationMs ?? 0, media?.audio?.durationMs ?? 0);
    const ofFile = track.kind === 'audio' ? media?.audio : media?.video;
    const ssrcs = sections.find(({ mid }) => mid === track.mid)?.ssrcs ?? null;
    if (track.kind === 'audio') {
      const stream = openStream(track, null, ssrcs, transport);
      const source = ofFile ? fileSource(ofFile, loopMs) : audioSource(audio ?? AUDIO);
      return new OutgoingTrack('audio', track.mid, [layerOf(null, source, stream)], Infinity);
    }
    if (ofFile) {
      const layer = layerOf(null, fileSource(ofFile, loopMs), openStream(track, null, ssrcs, transport, firstSequence));
      return new OutgoingTrack('video', track.mid, [layer], Infinity, firstTimestamp);
    }
    const pattern = video ?? VIDEO;
    const rids = track.rids.length > 0 ? track.rids : [null];
    const layers = rids.map((rid, index) => {
      const factor = LAYER_FACTOR ** index;
      const { packetsPerSecond, bitrateBps } = pattern;
      const scaled = { ...pattern, packetsPerSecond: packetsPerSecond * factor, bitrateBps: bitrateBps * factor };
      return layerOf(rid, videoSource(scaled), openStream(track, rid, ssrcs, transport, firstSequence));
    });
    return new OutgoingTrack('video', track.mid, layers, pattern.keyframeEveryMs, firstTimestamp);
  }
}

function layerOf(rid: string | null, source: Layer['source'], stream: OutgoingStream): Layer {
  return { rid, source, stream, active: true, wantsKeyframe: true, keyframeMs: Number.NEGATIVE_INFINITY };
}

function openStream(
  track: RemoteTrack,
  rid: string | null,
  ssrcs: OfferedSection['ssrcs'],
  transport: ClientTransport,
  firstSequence?: number,
): OutgoingStream {
  const elements = (names: readonly [ExtensionName, string | null][]) =>
    names.flatMap(([name, value]) => {
      const id = track.extensions[name];
      return id === undefined || value === null ? [] : [{ id, value }];
    });
  const { mid, payloadType, rtxPayloadType } = track;
  return new OutgoingStream(
    {
      ssrc: ssrcs?.primary ?? mintSsrc(),
      payloadType,
      extensions: elements([
        ['mid', mid],
        ['rid', rid],
      ]),
      rtx:
        rtxPayloadType === null
          ? null
          : {
              ssrc: ssrcs?.rtx ?? mintSsrc(),
              payloadType: rtxPayloadType,
              extensions: elements([
                ['mid', mid],
                ['repairedRid', rid],
              ]),
            },
    },
    transport,
    firstSequence,
  );
}

function mintSsrc(): number {
  return randomInt(1, 2 ** 32);
}
