/** What a viewer knows of one received track: continuity, frames, reports. */
import { isKeyframeStart } from '../../../media-node/forward/codecs/keyframes.ts';
import type { RtpHeader } from '../../../media-node/forward/rtp-header.ts';
import { extendSequence, timestampDifference } from '../../../media-node/forward/sequence.ts';
import type { CodecName } from '../../../media-node/negotiate/plan.ts';
import { NackGenerator } from '../../../media-node/rtcp/nack-generator.ts';
import { emptyReportBlock, type ReportBlock } from '../../../media-node/rtcp/packet-types.ts';
import { ReceptionStats } from '../../../media-node/rtcp/reception-stats.ts';
import { readFrameMarker } from './frame-marker.ts';
import type { RemoteTrack } from './remote-answer.ts';

const REMEMBERED_FRAMES = 4_096;

export interface ReceivedFrame {
  /** As the publisher counts. */
  number: number;
  /** As the viewer sees it. */
  timestamp: number;
  /** Extended number of the packet that tells. */
  sequence: number;
  arrivedMs: number;
}

export interface ReceivedReport {
  ntpHigh: number;
  ntpLow: number;
  timestamp: number;
  packets: number;
  arrivedMs: number;
}

export class IncomingTrack {
  readonly info: RemoteTrack;
  /** Bound by the first packet when the answer does not tell. */
  ssrc: number | null;
  /** First arrivals, retransmitted ones included. */
  packets = 0;
  duplicates = 0;
  /** How often numbers were skipped, whether what was left out came later or not. */
  gaps = 0;
  /** Packets that came by RTX. */
  recovered = 0;
  /** Packets under another payload type or SSRC than the answer says. */
  foreign = 0;
  keyframes = 0;
  /** Frames whose number was read. */
  frameCount = 0;
  firstIsKeyframe: boolean | null = null;
  /** Extended; -1 before the first packet. */
  firstSequence = -1;
  highestSequence = -1;
  firstArrivalMs = Number.NaN;
  lastArrivalMs = Number.NaN;
  /** Packets in order whose timestamp went back. */
  timestampRegressions = 0;
  /** In clock units, between packets in order. */
  largestTimestampStep = 0;
  /** The newest ones, in order of arrival. */
  readonly frames: ReceivedFrame[] = [];
  readonly reports: ReceivedReport[] = [];
  readonly nack = new NackGenerator();
  readonly reception: ReceptionStats;
  readonly #missing = new Set<number>();
  readonly #block: ReportBlock;
  #timestamp = 0;
  #keyframeTimestamp = Number.NaN;

  constructor(info: RemoteTrack) {
    this.info = info;
    this.ssrc = info.ssrc;
    this.reception = new ReceptionStats(info.clockRate);
    this.#block = emptyReportBlock(info.ssrc ?? 0);
  }

  /** Numbers between the first and the highest that never came. */
  get missing(): number {
    return this.#missing.size;
  }

  get lastFrame(): ReceivedFrame | undefined {
    return this.frames.at(-1);
  }

  /** A plaintext packet of the primary stream, or one that RTX brought back. */
  accept(payload: Buffer, header: Pick<RtpHeader, 'sequence' | 'timestamp'>, isRtx: boolean, nowMs: number): void {
    const { sequence: sequence16, timestamp } = header;
    const sequence = this.firstSequence < 0 ? sequence16 : extendSequence(sequence16, this.highestSequence);
    if (!this.#note(sequence, timestamp, nowMs)) return;
    if (isRtx) this.recovered += 1;
    this.nack.received(sequence, nowMs);
    this.reception.received(sequence, timestamp, nowMs);
    const isKeyframe = this.info.kind === 'video' && isKeyframeStart(this.info.codec as CodecName, payload);
    if (this.packets === 1) this.firstIsKeyframe = isKeyframe;
    const number = readFrameMarker(payload);
    // The parts of an H.264 keyframe that can be started with (parameter sets, picture) have one timestamp.
    if (isKeyframe && timestamp !== this.#keyframeTimestamp) {
      this.keyframes += 1;
      this.#keyframeTimestamp = timestamp;
    }
    if (number === null) return;
    this.frameCount += 1;
    this.frames.push({ number, timestamp, sequence, arrivedMs: nowMs });
    if (this.frames.length > REMEMBERED_FRAMES) this.frames.shift();
  }

  /** As `accept`, for a packet that stays closed: only numbers are looked at. */
  count(sequence16: number, timestamp: number, nowMs: number): void {
    const sequence = this.firstSequence < 0 ? sequence16 : extendSequence(sequence16, this.highestSequence);
    if (this.#note(sequence, timestamp, nowMs)) this.reception.received(sequence, timestamp, nowMs);
  }

  report(nowMs: number): ReportBlock {
    this.#block.ssrc = this.ssrc ?? 0;
    this.reception.report(nowMs, this.#block);
    return this.#block;
  }

  /** False for a duplicate. */
  #note(sequence: number, timestamp: number, nowMs: number): boolean {
    if (this.firstSequence < 0) {
      this.firstSequence = sequence;
      this.firstArrivalMs = nowMs;
    } else if (sequence <= this.highestSequence) {
      if (sequence >= this.firstSequence && !this.#missing.delete(sequence)) {
        this.duplicates += 1;
        return false;
      }
      this.packets += 1;
      return true;
    } else {
      if (sequence > this.highestSequence + 1) this.gaps += 1;
      for (let lost = this.highestSequence + 1; lost < sequence; lost++) this.#missing.add(lost);
      const step = timestampDifference(timestamp, this.#timestamp);
      if (step < 0) this.timestampRegressions += 1;
      this.largestTimestampStep = Math.max(this.largestTimestampStep, step);
    }
    this.highestSequence = sequence;
    this.#timestamp = timestamp;
    this.lastArrivalMs = nowMs;
    this.packets += 1;
    return true;
  }
}
