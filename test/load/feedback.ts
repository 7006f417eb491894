/** RTCP that a viewer sends at a given rate: receiver reports, NACKs for packets that came, requests for keyframes. */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { emptyReportBlock } from '../../media-node/rtcp/packet-types.ts';
import { RtcpWriter } from '../../media-node/rtcp/write.ts';
import { type ClientTransport, RTCP_TAIL_BYTES } from '../support/client/client-transport.ts';

const MS_PER_S = 1_000;
const RTCP_BYTES = 256;
/** A NACK asks for a packet so far behind the newest: surely sent, and surely still kept. */
const NACK_BEHIND = 8;

/** Packets per second of each viewer. */
export const feedbackSchema = z.object({
  rr: z.number().nonnegative(),
  nack: z.number().nonnegative(),
  pli: z.number().nonnegative(),
});
export type FeedbackRates = z.infer<typeof feedbackSchema>;
export const NO_FEEDBACK: FeedbackRates = { rr: 0, nack: 0, pli: 0 };
export const FEEDBACK_KINDS = ['rr', 'nack', 'pli'] as const;

/** A stream to report on. */
export interface ReportedStream {
  ssrc: number;
  /** Extended. */
  highest: number;
  missing: number;
  isVideo: boolean;
}

/** Shared by all viewers of the process: only in use within one call. */
const writer = new RtcpWriter(RTCP_BYTES, RTCP_TAIL_BYTES);
const wanted = new Uint16Array(1);

export class Feedback {
  /** RTCP packets so far; each is a datagram. */
  sent = 0;
  readonly #rates: FeedbackRates;
  readonly #streams: () => ReportedStream[];
  readonly #ssrc = randomInt(1, 2 ** 32);
  readonly #dueMs: Record<keyof FeedbackRates, number>;

  constructor(rates: FeedbackRates, streams: () => ReportedStream[]) {
    this.#rates = rates;
    this.#streams = streams;
    const nowMs = performance.now();
    // Viewers that joined together do not report together.
    const first = (rate: number): number => nowMs + (rate === 0 ? 0 : (Math.random() * MS_PER_S) / rate);
    this.#dueMs = { rr: first(rates.rr), nack: first(rates.nack), pli: first(rates.pli) };
  }

  tick(transport: ClientTransport, nowMs: number): void {
    let streams: ReportedStream[] | null = null;
    for (const kind of FEEDBACK_KINDS) {
      const rate = this.#rates[kind];
      if (rate === 0 || this.#dueMs[kind] > nowMs) continue;
      streams ??= this.#streams();
      const due = 1 + Math.floor(((nowMs - this.#dueMs[kind]) * rate) / MS_PER_S);
      this.#dueMs[kind] += (due * MS_PER_S) / rate;
      for (let i = 0; i < due; i++) this.#send(kind, streams, transport, i);
    }
  }

  #send(kind: keyof FeedbackRates, streams: readonly ReportedStream[], transport: ClientTransport, nth: number): void {
    writer.reset();
    const video = streams.find(({ isVideo }) => isVideo);
    if (kind === 'rr') {
      const blocks = streams.map(({ ssrc, highest, missing }) => ({
        ...emptyReportBlock(ssrc),
        highestSequence: highest,
        cumulativeLost: missing,
      }));
      writer.receiverReport(this.#ssrc, blocks);
    } else if (video === undefined) {
      return;
    } else if (kind === 'pli') {
      writer.pli(this.#ssrc, video.ssrc);
    } else {
      wanted[0] = (video.highest - NACK_BEHIND - nth) & 0xffff;
      writer.nack(this.#ssrc, video.ssrc, wanted, 1);
    }
    this.sent += 1;
    transport.sendRtcp(writer.buffer, writer.length);
  }
}
