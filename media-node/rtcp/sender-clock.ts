/**
 * Keeps a viewer's sound and picture together as the publisher had them.
 *
 * The publisher's sender reports (SR) say, per track, which RTP timestamp belongs to which time of its own clock (NTP).
 * We terminate RTCP, so a viewer only gets our SRs. Ours use our clock; for the lips to fit, two tracks must give the
 * same publisher time for the same time of ours. Hence one common offset per publisher session:
 *
 *     offset = min over the last reports of (arrival of SR, our ms − NTP in SR, publisher's ms)
 *            = difference of the clocks + the smallest network delay seen
 *     publisher time at our time t:  P(t) = t − offset
 *     RTP timestamp of a track at t: R(t) = srRtp + (P(t) − srNtp) · clockRate / 1000
 *
 * An SR of ours at time t that pairs NTP(t) with R(t) + (the viewer's timestamp offset) carries exactly the relation that
 * the publisher's own SRs carry. Whatever the offset's error is (the network delay, drift), it is the same for all
 * tracks of the publisher, so it moves both and never one against the other. The minimum is taken because delay only adds;
 * it slides so that drift between the clocks is followed.
 *
 * Before its first SR a track falls back to arrival times: the packet that was delayed least says which RTP timestamp
 * belongs to which time. That is right up to the difference of the tracks' own smallest delays.
 */
import { msFromNtp } from './ntp.ts';
import { SlidingMinimum } from './sliding-minimum.ts';

/** Reports come every 1 to 5 s: this holds several of each track, and clocks that drift 100 ppm part by 3 ms in it. */
const OFFSET_WINDOW_MS = 30_000;
const ARRIVAL_WINDOW_MS = 10_000;
/** A change beyond this is no delay: the publisher's clock was set, or its RTP timestamps started anew. */
const CLOCK_STEP_MS = 2000;
const MS_PER_S = 1000;

/** The clock that all tracks of one publisher session share. */
export class PublisherClock {
  readonly #offsets = new SlidingMinimum(OFFSET_WINDOW_MS);
  #epoch = 0;

  /** Grows when the publisher's clock was set: what was learned before is of another clock. */
  get epoch(): number {
    return this.#epoch;
  }

  get synchronized(): boolean {
    return this.#offsets.value !== Number.POSITIVE_INFINITY;
  }

  /** `TrackClock.noteSenderReport` calls this; calling it again with the same report does no harm. */
  noteSenderReport(ntpHigh: number, ntpLow: number, nowMs: number): void {
    // A sender without a clock may send 0 (RFC 3550 §6.4.1).
    if (ntpHigh === 0 && ntpLow === 0) return;
    const offset = nowMs - msFromNtp(ntpHigh, ntpLow);
    if (this.synchronized && Math.abs(offset - this.#offsets.value) > CLOCK_STEP_MS) {
      this.#offsets.clear();
      this.#epoch++;
    }
    this.#offsets.add(offset, nowMs);
  }

  /** The publisher's NTP time, in milliseconds since 1900, at our time `nowMs`. Only when `synchronized`. */
  publisherMsAt(nowMs: number): number {
    return nowMs - this.#offsets.value;
  }
}

/** RTP timestamps of one track over time. */
export class TrackClock {
  readonly #publisher: PublisherClock;
  readonly #unitsPerMs: number;
  /** arrival − RTP time, in ms; see the fallback above. */
  readonly #arrivals = new SlidingMinimum(ARRIVAL_WINDOW_MS);
  #reportMs = 0;
  #reportTimestamp = 0;
  #reportEpoch = -1;

  /** @param clockRate Hz */
  constructor(clockRate: number, publisher: PublisherClock) {
    this.#unitsPerMs = clockRate / MS_PER_S;
    this.#publisher = publisher;
  }

  /** A sender report of this track; also tells the publisher's clock. */
  noteSenderReport(ntpHigh: number, ntpLow: number, rtpTimestamp: number, nowMs: number): void {
    if (ntpHigh === 0 && ntpLow === 0) return;
    this.#publisher.noteSenderReport(ntpHigh, ntpLow, nowMs);
    this.#reportMs = msFromNtp(ntpHigh, ntpLow);
    this.#reportTimestamp = rtpTimestamp;
    this.#reportEpoch = this.#publisher.epoch;
  }

  /** A packet that came in order. @param extTimestamp RTP timestamp extended beyond 32 bits (never wraps) */
  noteArrival(extTimestamp: number, nowMs: number): void {
    const offset = nowMs - extTimestamp / this.#unitsPerMs;
    const least = this.#arrivals.value;
    if (least !== Number.POSITIVE_INFINITY && Math.abs(offset - least) > CLOCK_STEP_MS) this.#arrivals.clear();
    this.#arrivals.add(offset, nowMs);
  }

  /**
   * Whether `rtpAt` rests on a sender report. A viewer fits a line through our reports: it is better served by a first
   * report that comes later than by one from the fallback that the next contradicts.
   */
  get synchronized(): boolean {
    return this.#reportEpoch === this.#publisher.epoch;
  }

  /** The track's RTP timestamp (unsigned, 32 bits) at our time `nowMs`; null before the first packet and report. */
  rtpAt(nowMs: number): number | null {
    if (this.synchronized) {
      const sinceReportMs = this.#publisher.publisherMsAt(nowMs) - this.#reportMs;
      return Math.round(this.#reportTimestamp + sinceReportMs * this.#unitsPerMs) >>> 0;
    }
    const offset = this.#arrivals.value;
    if (offset === Number.POSITIVE_INFINITY) return null;
    return Math.round((nowMs - offset) * this.#unitsPerMs) >>> 0;
  }
}
