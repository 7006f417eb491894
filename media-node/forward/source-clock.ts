/** RTP timestamps of one incoming stream over time: by the publisher's sender reports, checked against arrivals. */
import { type PublisherClock, TrackClock } from '../rtcp/sender-clock.ts';
import { timestampDifference } from './sequence.ts';

/** A publisher whose sender reports contradict the arrival of its packets by more than this has a broken clock. */
const MAX_DISAGREEMENT_MS = 5000;
const MODULUS = 2 ** 32;

export class SourceClock {
  readonly #track: TrackClock;
  readonly #unitsPerMs: number;
  /** Of the newest packet, extended beyond 32 bits; NaN before the first. */
  #timestamp = Number.NaN;
  #arrivalMs = 0;

  /** @param clockRate Hz */
  constructor(clockRate: number, publisher: PublisherClock) {
    this.#unitsPerMs = clockRate / 1000;
    this.#track = new TrackClock(clockRate, publisher);
  }

  /** Timestamp of the newest packet, 32 bits. */
  get timestamp(): number {
    return unsigned(this.#timestamp);
  }

  /** Whether sender reports of this stream are known. */
  get synchronized(): boolean {
    return this.#track.synchronized;
  }

  /** A packet that is newer than all others. @param timestamp 32 bits */
  noteArrival(timestamp: number, nowMs: number): void {
    this.#timestamp = Number.isNaN(this.#timestamp)
      ? timestamp
      : this.#timestamp + timestampDifference(timestamp, unsigned(this.#timestamp));
    this.#arrivalMs = nowMs;
    this.#track.noteArrival(this.#timestamp, nowMs);
  }

  noteSenderReport(ntpHigh: number, ntpLow: number, rtpTimestamp: number, nowMs: number): void {
    this.#track.noteSenderReport(ntpHigh, ntpLow, rtpTimestamp, nowMs);
  }

  /** The timestamp (32 bits) of what the publisher captures at `nowMs`; meaningless before the first packet. */
  rtpAt(nowMs: number): number {
    const byArrival = unsigned(Math.round(this.#timestamp + (nowMs - this.#arrivalMs) * this.#unitsPerMs));
    const byReports = this.#track.rtpAt(nowMs);
    if (byReports === null) return byArrival;
    const disagreement = Math.abs(timestampDifference(byReports, byArrival));
    return disagreement > MAX_DISAGREEMENT_MS * this.#unitsPerMs ? byArrival : byReports;
  }
}

function unsigned(timestamp: number): number {
  return ((timestamp % MODULUS) + MODULUS) % MODULUS;
}
