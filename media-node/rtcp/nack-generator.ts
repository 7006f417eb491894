/**
 * Decides which packets of one incoming stream to ask for again, and when. The rules are those that pion's
 * `receive_log` and str0m's `register_nack` share: a bounded window behind the newest packet, a budget of tries per
 * packet, nothing asked for twice within a round trip; plus a small allowance for packets that are merely reordered.
 */

/** Packets behind the newest that are tracked; a power of two. */
const WINDOW = 1024;
const MASK = WINDOW - 1;
/** A larger gap is a new sequence (or an outage that retransmission cannot heal): start over. */
const MAX_GAP = 1000;
/** Reordering allowance: ask when a missing packet is this late, or when this many later ones have come. */
const REORDER_MS = 10;
const REORDER_PACKETS = 2;
const MIN_RETRY_MS = 20;
/** Until a round trip is known; what libwebrtc assumes as well. */
const ASSUMED_ROUND_TRIP_MS = 100;
const MAX_TRIES = 10;
const MAX_AGE_MS = 1000;
/** Weight of a new sample, as for TCP's SRTT (RFC 6298 §2). */
const ROUND_TRIP_GAIN = 1 / 8;

export class NackGenerator {
  readonly #missing = new Uint8Array(WINDOW);
  readonly #tries = new Uint8Array(WINDOW);
  readonly #missedAtMs = new Float64Array(WINDOW);
  readonly #askedAtMs = new Float64Array(WINDOW);
  /** `#arrivals` when the gap showed. */
  readonly #missedAtArrival = new Float64Array(WINDOW);
  #highest = Number.NaN;
  /** No missing packet is older than this. */
  #oldest = 0;
  #missingCount = 0;
  /** Packets that came in order. */
  #arrivals = 0;
  /** The sequence number that would prove a restart further back. */
  #restartAt = Number.NaN;
  #roundTripMs = ASSUMED_ROUND_TRIP_MS;
  #roundTripKnown = false;
  #roundTripGiven = false;
  #requested = 0;
  #recovered = 0;
  #givenUp = 0;

  /** Sequence numbers asked for, repetitions included. */
  get requested(): number {
    return this.#requested;
  }

  /** Packets that came after they had been asked for. */
  get recovered(): number {
    return this.#recovered;
  }

  /**
   * Packets that never came in time; a jump of the sequence counts as one more. When it grows, only a keyframe heals the
   * picture.
   */
  get givenUp(): number {
    return this.#givenUp;
  }

  /** Packets that are missing now. */
  get missing(): number {
    return this.#missingCount;
  }

  /** What repetitions are spaced by: as set, else as measured from request to recovery, else an assumption. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** Sets the round trip; from then on it is no longer estimated from recoveries. */
  setRoundTrip(ms: number): void {
    this.#roundTripMs = ms;
    this.#roundTripGiven = true;
  }

  /**
   * Notes a packet, retransmitted ones included (with their original number).
   * @param extSequence sequence number extended beyond 16 bits (never wraps)
   */
  received(extSequence: number, nowMs: number): void {
    const ahead = extSequence - this.#highest;
    if (ahead > 0 && ahead <= MAX_GAP + 1) {
      this.#restartAt = Number.NaN;
      this.#arrivals++;
      for (let sequence = this.#highest + 1; sequence < extSequence; sequence++) this.#miss(sequence, nowMs);
      this.#clear(extSequence);
      this.#highest = extSequence;
    } else if (ahead <= 0 && ahead > -WINDOW) {
      this.#restartAt = Number.NaN;
      this.#find(extSequence & MASK, nowMs);
    } else if (ahead < 0 && extSequence !== this.#restartAt) {
      // One stray old packet is no restart, two in sequence are (as in RFC 3550 A.1).
      this.#restartAt = extSequence + 1;
    } else {
      this.#restart(extSequence);
    }
  }

  /**
   * The sequence numbers (16 bits, ascending) to ask for now; they count as asked for. When `out` is too small the rest
   * is due in the next call.
   * @returns how many of them were put in `out`
   */
  due(nowMs: number, out: Uint16Array): number {
    if (this.#missingCount === 0) return 0;
    let count = 0;
    let left = this.#missingCount;
    let oldest = Number.NaN;
    // Not before the window: slots are only unique within it.
    for (
      let sequence = Math.max(this.#oldest, this.#highest - MASK);
      left > 0 && sequence < this.#highest;
      sequence++
    ) {
      const slot = sequence & MASK;
      if (this.#missing[slot] === 0) continue;
      left--;
      if (this.#isHopeless(slot, nowMs)) {
        this.#giveUp(slot);
        continue;
      }
      if (Number.isNaN(oldest)) oldest = sequence;
      if (count === out.length || !this.#isDue(slot, nowMs)) continue;
      out[count++] = sequence & 0xffff;
      this.#tries[slot] = (this.#tries[slot] ?? 0) + 1;
      this.#askedAtMs[slot] = nowMs;
    }
    this.#oldest = Number.isNaN(oldest) ? this.#highest : oldest;
    this.#requested += count;
    return count;
  }

  #isDue(slot: number, nowMs: number): boolean {
    if (this.#tries[slot] !== 0) return nowMs - (this.#askedAtMs[slot] ?? 0) >= this.#retryMs();
    // The packet that showed the gap is itself a later one, hence the 1.
    const later = this.#arrivals - (this.#missedAtArrival[slot] ?? 0) + 1;
    return later >= REORDER_PACKETS || nowMs - (this.#missedAtMs[slot] ?? 0) >= REORDER_MS;
  }

  #isHopeless(slot: number, nowMs: number): boolean {
    if (nowMs - (this.#missedAtMs[slot] ?? 0) > MAX_AGE_MS) return true;
    // The last request gets its time to be answered, too.
    return (this.#tries[slot] ?? 0) >= MAX_TRIES && nowMs - (this.#askedAtMs[slot] ?? 0) >= this.#retryMs();
  }

  #retryMs(): number {
    return Math.max(MIN_RETRY_MS, this.#roundTripMs);
  }

  #miss(sequence: number, nowMs: number): void {
    const slot = sequence & MASK;
    this.#clear(sequence);
    if (this.#missingCount === 0) this.#oldest = sequence;
    this.#missing[slot] = 1;
    this.#tries[slot] = 0;
    this.#missedAtMs[slot] = nowMs;
    this.#missedAtArrival[slot] = this.#arrivals;
    this.#missingCount++;
  }

  /** Makes the slot free for a new sequence number; a packet still missing from a window ago is given up. */
  #clear(sequence: number): void {
    const slot = sequence & MASK;
    if (this.#missing[slot] !== 0) this.#giveUp(slot);
  }

  #find(slot: number, nowMs: number): void {
    if (this.#missing[slot] === 0) return; // a duplicate
    this.#missing[slot] = 0;
    this.#missingCount--;
    const tries = this.#tries[slot] ?? 0;
    if (tries === 0) return; // was only reordered
    this.#recovered++;
    // Answers to a repeated request are ambiguous (Karn's algorithm, RFC 6298 §3).
    if (tries === 1 && !this.#roundTripGiven) this.#learnRoundTrip(nowMs - (this.#askedAtMs[slot] ?? 0));
  }

  #learnRoundTrip(sampleMs: number): void {
    this.#roundTripMs = this.#roundTripKnown
      ? this.#roundTripMs + (sampleMs - this.#roundTripMs) * ROUND_TRIP_GAIN
      : sampleMs;
    this.#roundTripKnown = true;
  }

  #giveUp(slot: number): void {
    this.#missing[slot] = 0;
    this.#missingCount--;
    this.#givenUp++;
  }

  #restart(extSequence: number): void {
    if (!Number.isNaN(this.#highest)) this.#givenUp += this.#missingCount + 1;
    this.#missing.fill(0);
    this.#missingCount = 0;
    this.#highest = extSequence;
    this.#oldest = extSequence;
    this.#arrivals = 1;
    this.#restartAt = Number.NaN;
  }
}
