/** What a viewer's receiver reports say of one stream that we send: loss, jitter and the round trip (RFC 3550 §6.4.1). */

/** Sender reports that a viewer may still refer to. */
const HISTORY = 8;
const HISTORY_MASK = HISTORY - 1;
const DLSR_UNITS_PER_MS = 65.536;

export class ViewerReport {
  readonly #clockRate: number;
  readonly #sentNtp = new Uint32Array(HISTORY);
  readonly #sentAtMs = new Float64Array(HISTORY);
  #sent = 0;
  #fractionLost = 0;
  #cumulativeLost = 0;
  #highestSequence = 0;
  #jitterMs: number | null = null;
  #roundTripMs: number | null = null;
  /** The sender report that was referred to last, and the least that was measured by it and by the one before it. */
  #lastSr = 0;
  #leastMs = Number.POSITIVE_INFINITY;
  #leastBeforeMs = Number.POSITIVE_INFINITY;
  #reports = 0;

  /** @param clockRate Hz */
  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  /** Report blocks so far. */
  get reports(): number {
    return this.#reports;
  }

  /** 0 to 1, since the viewer's previous report. */
  get fractionLost(): number {
    return this.#fractionLost;
  }

  get cumulativeLost(): number {
    return this.#cumulativeLost;
  }

  /** Extended: cycles in the upper 16 bits. */
  get highestSequence(): number {
    return this.#highestSequence;
  }

  /** Null before the first report. */
  get jitterMs(): number | null {
    return this.#jitterMs;
  }

  /** The latest measurement; null before the first report that refers to a sender report of ours. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /**
   * The least of what was measured by the last two sender reports, so that one which was late by chance says nothing; null
   * before there are two.
   */
  get steadyRoundTripMs(): number | null {
    return this.#leastBeforeMs === Number.POSITIVE_INFINITY ? null : Math.min(this.#leastMs, this.#leastBeforeMs);
  }

  /** A sender report was sent. @param ntpMiddle32 the middle 32 bits of its NTP time */
  noteSenderReport(ntpMiddle32: number, nowMs: number): void {
    const slot = this.#sent & HISTORY_MASK;
    this.#sentNtp[slot] = ntpMiddle32;
    this.#sentAtMs[slot] = nowMs;
    this.#sent++;
  }

  /** A block about this stream; arguments as in `RtcpVisitor.reportBlock`. */
  noteReportBlock(
    fractionLost: number,
    cumulativeLost: number,
    highestSequence: number,
    jitter: number,
    lastSr: number,
    delaySinceLastSr: number,
    nowMs: number,
  ): void {
    this.#reports++;
    this.#fractionLost = fractionLost;
    this.#cumulativeLost = cumulativeLost;
    this.#highestSequence = highestSequence;
    this.#jitterMs = (jitter * 1000) / this.#clockRate;
    if (lastSr !== 0) this.#measureRoundTrip(lastSr, delaySinceLastSr, nowMs);
  }

  /**
   * RFC 3550 §6.4.1: round trip = arrival of the report − LSR − DLSR. LSR is looked up among the reports that we sent, so
   * that an invented one measures nothing and the resolution is that of our clock.
   */
  #measureRoundTrip(lastSr: number, delaySinceLastSr: number, nowMs: number): void {
    const known = Math.min(this.#sent, HISTORY);
    for (let back = 1; back <= known; back++) {
      const slot = (this.#sent - back) & HISTORY_MASK;
      if (this.#sentNtp[slot] !== lastSr) continue;
      const roundTripMs = nowMs - (this.#sentAtMs[slot] ?? nowMs) - delaySinceLastSr / DLSR_UNITS_PER_MS;
      // Clock granularity at the viewer can make it slightly negative.
      this.#roundTripMs = Math.max(0, roundTripMs);
      this.#noteLeast(lastSr, this.#roundTripMs);
      return;
    }
  }
  /** Of all reports that refer to one sender report, only the way back differs. */
  #noteLeast(lastSr: number, roundTripMs: number): void {
    if (lastSr === this.#lastSr) {
      this.#leastMs = Math.min(this.#leastMs, roundTripMs);
      return;
    }
    this.#lastSr = lastSr;
    this.#leastBeforeMs = this.#leastMs;
    this.#leastMs = roundTripMs;
  }
}
