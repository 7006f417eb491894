/** What a receiver knows of one incoming stream and reports to its sender (RFC 3550 §6.4.1, A.1, A.3, A.8). */
import type { ReportBlock } from './packet-types.ts';

/** A forward jump beyond this is a restart of the sequence, not loss (RFC 3550 A.1). */
const MAX_DROPOUT = 3000;
/**
 * Packets this far behind may still be late. RFC 3550 suggests 100; retransmissions that use the SSRC of the original
 * (publishers without RTX) come up to a second late, which is this much at 3000 packets/s.
 */
const MAX_MISORDER = 3000;
/** A change of transit time beyond this is a jump of timestamps, not jitter; libwebrtc draws the same line at 5 s. */
const MAX_TRANSIT_CHANGE_MS = 5000;
const MAX_CUMULATIVE_LOST = 0x7fffff;
const MIN_CUMULATIVE_LOST = -0x800000;
const MAX_UINT32 = 0xffffffff;
/** `delaySinceLastSr` counts 1/65536 s. */
const DLSR_UNITS_PER_MS = 65.536;
const NEVER = -1;

export class ReceptionStats {
  readonly #clockRate: number;
  #started = false;
  #base = 0;
  #highest = 0;
  #received = 0;
  /** The sequence number that would prove that the sequence restarted (RFC 3550 A.1 `bad_seq`). */
  #restartAt = Number.NaN;
  #expectedBefore = 0;
  #receivedBefore = 0;
  /** Of earlier sequences, before a restart. */
  #packetsBefore = 0;
  #lostBefore = 0;
  #jitter = 0;
  #lastArrivalMs = 0;
  #lastTimestamp = 0;
  #lastSr = 0;
  #lastSrAtMs = NEVER;

  /** @param clockRate Hz */
  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  /** Packets since the first one, duplicates included. */
  get packets(): number {
    return this.#packetsBefore + this.#received;
  }

  /** Packets that are missing now; never below 0 (duplicates would make the RFC's number negative). */
  get lost(): number {
    return this.#lostBefore + Math.max(0, this.#expected() - this.#received);
  }

  get jitterMs(): number {
    return (this.#jitter * 1000) / this.#clockRate;
  }

  /**
   * @param extSequence sequence number extended beyond 16 bits (never wraps)
   * @param rtpTimestamp 32 bits or extended
   */
  received(extSequence: number, rtpTimestamp: number, nowMs: number): void {
    if (!this.#started) {
      this.#start(extSequence, rtpTimestamp, nowMs);
      return;
    }
    const ahead = extSequence - this.#highest;
    if (ahead > MAX_DROPOUT || ahead < -MAX_MISORDER) {
      // Two packets in sequence make a restart believable (RFC 3550 A.1); one alone is ignored.
      if (extSequence === this.#restartAt) this.#start(extSequence, rtpTimestamp, nowMs);
      else this.#restartAt = extSequence + 1;
      return;
    }
    this.#restartAt = Number.NaN;
    this.#received++;
    if (ahead <= 0) return; // late or duplicate: says nothing about jitter
    this.#highest = extSequence;
    this.#updateJitter(rtpTimestamp, nowMs);
  }

  /** @param ntpMiddle32 the middle 32 bits of the NTP time in a sender report of this stream */
  noteSenderReport(ntpMiddle32: number, nowMs: number): void {
    this.#lastSr = ntpMiddle32;
    this.#lastSrAtMs = nowMs;
  }

  /** Fills all of `into` but its `ssrc`. The fraction lost covers the time since the last call (RFC 3550 A.3). */
  report(nowMs: number, into: ReportBlock): void {
    const expected = this.#expected();
    const expectedInterval = expected - this.#expectedBefore;
    const lostInterval = expectedInterval - (this.#received - this.#receivedBefore);
    this.#expectedBefore = expected;
    this.#receivedBefore = this.#received;
    const lost = expected - this.#received;
    into.fractionLost =
      expectedInterval <= 0 || lostInterval <= 0
        ? 0
        : Math.min(255, Math.floor((lostInterval * 256) / expectedInterval)) / 256;
    into.cumulativeLost = Math.max(MIN_CUMULATIVE_LOST, Math.min(MAX_CUMULATIVE_LOST, lost));
    into.highestSequence = this.#highest >>> 0;
    into.jitter = Math.floor(this.#jitter);
    into.lastSr = this.#lastSr;
    into.delaySinceLastSr =
      this.#lastSrAtMs === NEVER
        ? 0
        : Math.max(0, Math.min(MAX_UINT32, Math.floor((nowMs - this.#lastSrAtMs) * DLSR_UNITS_PER_MS)));
  }

  #expected(): number {
    return this.#started ? this.#highest - this.#base + 1 : 0;
  }

  #start(extSequence: number, rtpTimestamp: number, nowMs: number): void {
    const packets = this.packets;
    const lost = this.lost;
    this.#packetsBefore = packets;
    this.#lostBefore = lost;
    this.#started = true;
    this.#base = extSequence;
    this.#highest = extSequence;
    this.#received = 1;
    this.#restartAt = Number.NaN;
    this.#expectedBefore = 0;
    this.#receivedBefore = 0;
    this.#lastArrivalMs = nowMs;
    this.#lastTimestamp = rtpTimestamp;
  }

  /** RFC 3550 A.8: J += (|D| - J) / 16, where D is the change of transit time between two packets in clock units. */
  #updateJitter(rtpTimestamp: number, nowMs: number): void {
    const arrivalUnits = ((nowMs - this.#lastArrivalMs) * this.#clockRate) / 1000;
    const timestampUnits = (rtpTimestamp - this.#lastTimestamp) | 0; // signed, modulo 2^32
    const change = Math.abs(arrivalUnits - timestampUnits);
    this.#lastArrivalMs = nowMs;
    this.#lastTimestamp = rtpTimestamp;
    if (change <= (MAX_TRANSIT_CHANGE_MS * this.#clockRate) / 1000) this.#jitter += (change - this.#jitter) / 16;
  }
}
