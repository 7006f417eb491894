/** A synthetic WHEP viewer on real UDP. */
import { randomInt } from 'node:crypto';
import type { RtpHeader } from '../../../media-node/forward/rtp-header.ts';
import { ntpMiddle32 } from '../../../media-node/rtcp/ntp.ts';
import { parseRtcp, type RtcpVisitor } from '../../../media-node/rtcp/parse.ts';
import { RtcpWriter } from '../../../media-node/rtcp/write.ts';
import { ClientSession, type SessionOptions } from './client-session.ts';
import { ClientTransport, RTCP_TAIL_BYTES } from './client-transport.ts';
import { IncomingTrack } from './incoming-track.ts';
import type { ClientCodec, OfferedSection } from './offer.ts';

const REPORT_INTERVAL_MS = 1_000;
const RTCP_BYTES = 1_200;
const OSN_BYTES = 2;
const MAX_NACKS = 256;

export type PlayOptions = SessionOptions & {
  /** Payload types, by codec, of what the viewer decodes; an absent kind is not offered. */
  video?: Partial<Record<Exclude<ClientCodec, 'opus'>, number>> | null;
  /** Payload type of Opus; null: no sound. */
  audio?: number | null;
  /** Offer RTX, as the payload type after that of the codec; true by default. */
  rtx?: boolean;
  /** Ask for lost packets; true by default. */
  nack?: boolean;
  /** Receiver reports; true by default. */
  reports?: boolean;
  /** Ask for a keyframe until one came; true by default. */
  pli?: boolean;
};

const VIDEO_PAYLOAD_TYPES = { H264: 96, VP8: 98 } as const;
const AUDIO_PAYLOAD_TYPE = 111;

/** Plays until closed. @throws SignallingError, or Error when there is no connection within 10 s */
export async function play(options: PlayOptions): Promise<Viewer> {
  const viewer = new Viewer(options);
  await viewer.start();
  return viewer;
}

export class Viewer implements RtcpVisitor {
  readonly tracks: IncomingTrack[] = [];
  /** Goodbyes, by SSRC. */
  readonly byes: number[] = [];
  nacksSent = 0;
  plisSent = 0;
  /** Of media datagrams; only with `cheap`. */
  bytes = 0;
  /** Packets of no track. */
  stray = 0;
  readonly #options: PlayOptions;
  readonly #ssrc = randomInt(1, 2 ** 32);
  readonly #writer = new RtcpWriter(RTCP_BYTES, RTCP_TAIL_BYTES);
  readonly #lost = new Uint16Array(MAX_NACKS);
  #session: ClientSession | null = null;
  #nextReportMs = 0;
  #nowMs = 0;

  constructor(options: PlayOptions) {
    this.#options = options;
  }

  /** Called once, by `play`. */
  async start(): Promise<void> {
    const cheap = this.#options.cheap === true;
    const transport = await ClientTransport.open(this.#options, {
      onRtp: (packet, length, header, nowMs) => {
        if (cheap) this.#count(header, length, nowMs);
        else this.#receive(packet, length, header, nowMs);
      },
      onRtcp: (packet, length, nowMs) => {
        this.#nowMs = nowMs;
        parseRtcp(packet, length, this);
      },
      onTick: (nowMs) => this.#tick(nowMs),
    });
    // Media may come in the same breath as the end of the handshake: the tracks must be known before.
    this.#session = await ClientSession.open(this.#options, transport, this.#sections(), (answer) => {
      this.tracks.push(...answer.tracks.map((track) => new IncomingTrack(track)));
    });
  }

  get session(): ClientSession {
    if (this.#session === null) throw new Error('the viewer has not started');
    return this.#session;
  }

  get video(): IncomingTrack {
    return this.#track('video');
  }

  get audio(): IncomingTrack {
    return this.#track('audio');
  }

  get packets(): number {
    return this.tracks.reduce((sum, { packets }) => sum + packets, 0);
  }

  /** PLI for the video. */
  requestKeyframe(): void {
    this.#writer.reset();
    // Reduced-size RTCP was negotiated: feedback may stand alone.
    this.#writer.pli(this.#ssrc, this.video.info.ssrc ?? 0);
    this.plisSent += 1;
    this.session.transport.sendRtcp(this.#writer.buffer, this.#writer.length);
  }

  /** DELETE and close_notify. Idempotent. */
  async close(): Promise<void> {
    await this.#session?.close();
  }

  /** Only close_notify. */
  async leave(): Promise<void> {
    await this.#session?.leave();
  }

  /** Falls silent. */
  async abandon(): Promise<void> {
    await this.#session?.abandon();
  }

  // ---- RTCP from the server ----

  senderReport(ssrc: number, ntpHigh: number, ntpLow: number, timestamp: number, packets: number): void {
    const track = this.tracks.find(({ info }) => info.ssrc === ssrc);
    if (track === undefined) return;
    track.reports.push({ ntpHigh, ntpLow, timestamp, packets, arrivedMs: this.#nowMs });
    track.reception.noteSenderReport(ntpMiddle32(ntpHigh, ntpLow), this.#nowMs);
  }

  bye(ssrc: number): void {
    this.byes.push(ssrc);
  }

  reportBlock(): void {}
  nack(): void {}
  pli(): void {}
  fir(): void {}
  remb(): void {}

  #track(kind: 'audio' | 'video'): IncomingTrack {
    const track = this.tracks.find(({ info }) => info.kind === kind);
    if (track === undefined) throw new Error(`there is no ${kind}`);
    return track;
  }

  #count(header: RtpHeader, length: number, nowMs: number): void {
    this.bytes += length;
    for (const track of this.tracks) {
      // Some servers announce no SSRC, or keep the publisher's.
      if (track.ssrc === null && track.info.payloadType === header.payloadType) track.ssrc = header.ssrc;
      if (track.ssrc === header.ssrc) track.count(header.sequence, header.timestamp, nowMs);
    }
  }

  #receive(packet: Buffer, length: number, header: RtpHeader, nowMs: number): void {
    for (const track of this.tracks) {
      const { ssrc, rtxSsrc, payloadType, rtxPayloadType } = track.info;
      if (header.ssrc === ssrc) {
        if (header.payloadType === payloadType) {
          track.accept(packet.subarray(header.length, length), header, false, nowMs);
        } else track.foreign += 1;
        return;
      }
      if (header.ssrc === rtxSsrc && header.payloadType === rtxPayloadType) {
        if (length - header.length < OSN_BYTES) return;
        const sequence = packet.readUInt16BE(header.length);
        const payload = packet.subarray(header.length + OSN_BYTES, length);
        track.accept(payload, { sequence, timestamp: header.timestamp }, true, nowMs);
        return;
      }
    }
    this.stray += 1;
  }

  #tick(nowMs: number): void {
    if (this.#session === null || this.#options.quirk === 'ffmpeg8') return;
    const { transport } = this.#session;
    const writer = this.#writer;
    writer.reset();
    if (this.#options.reports !== false && nowMs >= this.#nextReportMs) {
      this.#nextReportMs = nowMs + REPORT_INTERVAL_MS;
      writer.receiverReport(
        this.#ssrc,
        this.tracks.filter(({ packets }) => packets > 0).map((track) => track.report(nowMs)),
      );
      if (this.#wantsKeyframe()) {
        writer.pli(this.#ssrc, this.video.info.ssrc ?? 0);
        this.plisSent += 1;
      }
    }
    if (this.#options.cheap !== true && this.#options.nack !== false) this.#writeNacks(nowMs);
    transport.sendRtcp(writer.buffer, writer.length);
  }

  #wantsKeyframe(): boolean {
    if (this.#options.cheap === true || this.#options.pli === false) return false;
    return this.tracks.some(({ info, packets, keyframes }) => info.kind === 'video' && packets > 0 && keyframes === 0);
  }

  #writeNacks(nowMs: number): void {
    for (const track of this.tracks) {
      if (!track.info.feedback.includes('nack')) continue;
      const count = track.nack.due(nowMs, this.#lost);
      if (count > 0) this.nacksSent += this.#writer.nack(this.#ssrc, track.info.ssrc ?? 0, this.#lost, count);
    }
  }

  #sections(): OfferedSection[] {
    const { video = VIDEO_PAYLOAD_TYPES, audio = AUDIO_PAYLOAD_TYPE, rtx = true } = this.#options;
    const common = { direction: 'recvonly', rids: [], ssrcs: null, extensions: ['mid'] } as const;
    const sections: OfferedSection[] = [];
    if (audio !== null) {
      const formats = [{ codec: 'opus', payloadType: audio, rtxPayloadType: null } as const];
      sections.push({ ...common, kind: 'audio', mid: 'a', formats });
    }
    if (video !== null) {
      const formats = (Object.entries(video) as [ClientCodec, number][]).map(([codec, payloadType]) => ({
        codec,
        payloadType,
        rtxPayloadType: rtx ? payloadType + 1 : null,
      }));
      sections.push({ ...common, kind: 'video', mid: 'v', formats });
    }
    return sections;
  }
}
