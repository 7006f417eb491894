/** What we tell a publisher by RTCP: receiver reports, lost packets, keyframe requests, congestion feedback. */
import { randomBytes, randomInt } from 'node:crypto';
import { emptyReportBlock, MAX_COUNT, type ReportBlock } from '../rtcp/packet-types.ts';
import { RembEstimator } from '../rtcp/remb.ts';
import type { TransportCcRecorder } from '../rtcp/transport-cc.ts';
import { RtcpWriter } from '../rtcp/write.ts';
import type { SrtpKeys } from '../transport/types.ts';
import type { IngressStream } from './ingress-stream.ts';
import { writeWanted } from './relay-messages.ts';
import type { PublishedTrack } from './source-track.ts';
import { deriveSessionKeys } from './srtp/session-keys.ts';
import { SRTP_OVERHEAD, SrtpSender } from './srtp/srtp-sender.ts';
import type { SendDatagram } from './types.ts';

const REPORT_INTERVAL_MS = 1000;
/** How often lost packets are looked for. */
const NACK_INTERVAL_MS = 10;
const MAX_NACKS = 256;
const CNAME_BYTES = 12;
const MAX_RTCP_BYTES = 1200;

export interface IngressReportsOptions {
  tracks: readonly PublishedTrack[];
  keys: SrtpKeys;
  send: SendDatagram;
  /** Null when transport-wide feedback was not negotiated. */
  transportCc: TransportCcRecorder | null;
}

export class IngressReports {
  readonly #options: IngressReportsOptions;
  readonly #srtp: SrtpSender;
  readonly #ownSsrc = randomInt(1, 2 ** 32);
  readonly #cname = randomBytes(CNAME_BYTES).toString('base64url');
  readonly #writer = new RtcpWriter(MAX_RTCP_BYTES, SRTP_OVERHEAD);
  readonly #blocks: ReportBlock[] = [];
  readonly #lost = new Uint16Array(MAX_NACKS);
  readonly #remb: RembEstimator | null;
  #firSequence = 0;
  /** Layers that were asked for last, and when to ask again. */
  #asked = '';
  #askAgainMs = Number.NEGATIVE_INFINITY;
  #nextReportMs = Number.NEGATIVE_INFINITY;
  #nextNackMs = Number.NEGATIVE_INFINITY;

  constructor(options: IngressReportsOptions) {
    this.#options = options;
    this.#srtp = new SrtpSender(deriveSessionKeys(options.keys.profile, options.keys.localKey, options.keys.localSalt));
    const wantsRemb = options.tracks.some(({ plan }) => plan.feedback.remb);
    this.#remb = options.transportCc === null && wantsRemb ? new RembEstimator() : null;
  }

  /** PLI, or FIR for a publisher that only knows that. */
  sendKeyframeRequest(stream: IngressStream): void {
    const { pli } = stream.plan.feedback;
    this.#begin();
    if (pli) this.#writer.pli(this.#ownSsrc, stream.ssrc);
    else this.#writer.fir(this.#ownSsrc, stream.ssrc, this.#firSequence++);
    this.#send();
  }

  /** Says to the node that this comes from which layers are wanted here, as soon as they are others. */
  askForLayers(nowMs: number): void {
    const ssrcs: number[] = [];
    for (const track of this.#options.tracks) track.collectWanted(ssrcs, nowMs);
    const asked = ssrcs.join();
    if (ssrcs.length === 0 || (asked === this.#asked && nowMs < this.#askAgainMs)) return;
    this.#asked = asked;
    this.#askAgainMs = nowMs + REPORT_INTERVAL_MS;
    this.#begin();
    if (writeWanted(this.#writer, this.#ownSsrc, ssrcs)) this.#send();
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#nextNackMs) {
      this.#nextNackMs = nowMs + NACK_INTERVAL_MS;
      for (const track of this.#options.tracks) for (const layer of track.layers) this.#sendNacks(layer, nowMs);
    }
    this.#sendTransportFeedback(nowMs);
    if (nowMs >= this.#nextReportMs && this.#sendReport(nowMs)) this.#nextReportMs = nowMs + REPORT_INTERVAL_MS;
  }

  #sendNacks(layer: IngressStream, nowMs: number): void {
    const count = layer.nack?.due(nowMs, this.#lost) ?? 0;
    if (count === 0) return;
    this.#begin();
    this.#writer.nack(this.#ownSsrc, layer.ssrc, this.#lost, count);
    this.#send();
  }

  #sendTransportFeedback(nowMs: number): void {
    const { transportCc } = this.#options;
    if (transportCc === null || !transportCc.due(nowMs)) return;
    const mediaSsrc = this.#options.tracks.find((track) => track.layers.length > 0)?.layers[0]?.ssrc ?? 0;
    for (;;) {
      this.#begin();
      if (!transportCc.build(nowMs, this.#writer, this.#ownSsrc, mediaSsrc)) return;
      this.#send();
    }
  }

  /** False while nothing has come that could be reported on. */
  #sendReport(nowMs: number): boolean {
    const ssrcs: number[] = [];
    let count = 0;
    let incomingBps = 0;
    let worstLoss = 0;
    for (const track of this.#options.tracks) {
      for (const layer of track.layers) {
        ssrcs.push(layer.ssrc);
        incomingBps += layer.meter.bitrateBps(nowMs);
        if (count === MAX_COUNT || layer.reception.packets === 0) continue;
        this.#blocks[count] ??= emptyReportBlock();
        const block = this.#blocks[count++] as ReportBlock;
        block.ssrc = layer.ssrc;
        layer.reception.report(nowMs, block);
        worstLoss = Math.max(worstLoss, block.fractionLost);
      }
    }
    if (count === 0) return false;
    this.#writer.reset();
    this.#writer.receiverReport(this.#ownSsrc, this.#blocks, count);
    this.#writer.sdesCname(this.#ownSsrc, this.#cname);
    this.#remb?.update(incomingBps, worstLoss, nowMs);
    if (this.#remb?.due(nowMs)) this.#writer.remb(this.#ownSsrc, this.#remb.bitrateBps, ssrcs);
    this.#send();
    return true;
  }

  /** Starts a compound packet as RFC 3550 §6.1 wants it: a report (here without blocks), then the CNAME. */
  #begin(): void {
    this.#writer.reset();
    this.#writer.receiverReport(this.#ownSsrc, this.#blocks, 0);
    this.#writer.sdesCname(this.#ownSsrc, this.#cname);
  }

  #send(): void {
    const length = this.#srtp.protectRtcp(this.#writer.buffer, this.#writer.length);
    try {
      this.#options.send(this.#writer.buffer.subarray(0, length));
    } catch {
      // A transport that is just closing: one publisher's report must not stop the tick that serves all sessions.
    }
  }
}
