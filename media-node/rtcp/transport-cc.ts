/**
 * Tells a publisher when each of its packets arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01), which is what
 * libwebrtc's send-side bandwidth estimation lives on. One recorder per publisher session: the sequence numbers count
 * over all of its streams.
 */
import { isSmallDelta, type RtcpWriter, type TransportFeedback } from './write.ts';

/** Packets between the oldest that may still be reported and the newest; a power of two. */
const WINDOW = 2048;
const MASK = WINDOW - 1;
/** Arrival times are kept in the unit of the deltas. */
const TICKS_PER_MS = 4;
/** 64 ms, the unit of the reference time. */
const TICKS_PER_REFERENCE = 256;
const MIN_DELTA = -0x8000;
const MAX_DELTA = 0x7fff;
const NOT_RECEIVED = Number.NaN;

const STATUS_NOT_RECEIVED = 0;
const STATUS_SMALL_DELTA = 1;
const STATUS_LARGE_DELTA = 2;

const RUN_LENGTH_BITS = 13;
const MAX_RUN_LENGTH = 2 ** RUN_LENGTH_BITS - 1;
const VECTOR_CHUNK = 0x8000;
const TWO_BIT_VECTOR = 0x4000;
const ONE_BIT_SYMBOLS = 14;
const TWO_BIT_SYMBOLS = 7;

/** Header, SSRCs and fixed fields, plus the longest padding. */
const OVERHEAD_BYTES = 4 + 8 + 8 + 3;
const CHUNK_BYTES = 2;

/** libwebrtc sends feedback every 50 to 250 ms, depending on the bit rate; its senders like it often. */
const INTERVAL_MS = 50;
/** Do not let so many packets gather that their report would not fit into one datagram. */
const MAX_PENDING = 400;

export class TransportCcRecorder {
  /** Arrival time in ticks by extended sequence number modulo WINDOW. */
  readonly #arrivals = new Float64Array(WINDOW).fill(NOT_RECEIVED);
  readonly #statuses = new Uint8Array(WINDOW);
  readonly #feedback: TransportFeedback = {
    baseSequence: 0,
    statusCount: 0,
    referenceTime: 0,
    feedbackCount: 0,
    // Each chunk but the last stands for seven packets or more.
    chunks: new Uint16Array(Math.ceil(WINDOW / TWO_BIT_SYMBOLS) + 1),
    chunkCount: 0,
    deltas: new Int16Array(WINDOW),
    deltaCount: 0,
  };
  /** Extended; NaN before the first packet. */
  #highest = Number.NaN;
  /** The first packet of the next report. */
  #next = 0;
  /** Packets that arrived and were not reported yet. */
  #pending = 0;
  #restartAt = Number.NaN;
  #lastBuiltMs = Number.NEGATIVE_INFINITY;

  /** Packets that wait for a report. */
  get pending(): number {
    return this.#pending;
  }

  /** Whether it is time for a report. */
  due(nowMs: number): boolean {
    return this.#pending > 0 && (this.#pending >= MAX_PENDING || nowMs - this.#lastBuiltMs >= INTERVAL_MS);
  }

  /** @param sequence16 the transport-wide sequence number from the header extension */
  record(sequence16: number, nowMs: number): void {
    if (Number.isNaN(this.#highest)) {
      this.#restart(sequence16, nowMs);
      return;
    }
    const ahead = ((sequence16 - this.#highest) << 16) >> 16; // signed distance modulo 2^16
    if (ahead >= WINDOW || ahead <= -WINDOW) {
      // A gap that no report can describe: the sequence started anew. Backwards, two in sequence must say so.
      if (ahead > 0 || sequence16 === this.#restartAt) this.#restart(sequence16, nowMs);
      else this.#restartAt = (sequence16 + 1) & 0xffff;
      return;
    }
    this.#restartAt = Number.NaN;
    const sequence = this.#highest + ahead;
    if (ahead > 0) this.#advance(sequence);
    else if (!Number.isNaN(this.#arrivals[sequence & MASK] ?? NOT_RECEIVED)) return; // a duplicate
    this.#arrivals[sequence & MASK] = Math.floor(nowMs * TICKS_PER_MS);
    // Late packets were reported as lost already: report again from there, a later report overrules (libwebrtc does it).
    if (sequence < this.#next) this.#next = sequence;
    this.#pending++;
  }

  /**
   * Writes one feedback packet for what arrived since the last. When not all of it fits, the next call goes on: call it
   * until it says false, with a fresh writer after each datagram.
   * @returns false when there is nothing to report or no room in `writer`
   */
  build(nowMs: number, writer: RtcpWriter, ownSsrc: number, mediaSsrc: number): boolean {
    if (this.#pending === 0) return false;
    const base = Math.max(this.#next, this.#highest - MASK);
    const count = this.#collect(base, writer.room - OVERHEAD_BYTES);
    if (count === 0) return false;
    this.#feedback.baseSequence = base & 0xffff;
    this.#feedback.statusCount = count;
    this.#feedback.chunkCount = encodeChunks(this.#statuses, count, this.#feedback.chunks);
    if (!writer.transportFeedback(ownSsrc, mediaSsrc, this.#feedback)) return false;
    this.#feedback.feedbackCount = (this.#feedback.feedbackCount + 1) & 0xff;
    this.#next = base + count;
    // What was reopened is reported twice and was never counted twice; what is left is exactly what lies behind.
    this.#pending = this.#countReceived(this.#next);
    this.#lastBuiltMs = nowMs;
    return true;
  }

  /**
   * Fills statuses, deltas and reference time from `base` on, ending with a packet that was received.
   * @returns the number of statuses; 0 when nothing fits into `roomBytes`
   */
  #collect(base: number, roomBytes: number): number {
    const { deltas } = this.#feedback;
    let last = NOT_RECEIVED;
    let deltaBytes = 0;
    let deltaCount = 0;
    let count = 0;
    for (let sequence = base; sequence <= this.#highest; sequence++) {
      const index = sequence - base;
      const arrival = this.#arrivals[sequence & MASK] ?? NOT_RECEIVED;
      if (Number.isNaN(arrival)) {
        this.#statuses[index] = STATUS_NOT_RECEIVED;
        continue;
      }
      if (Number.isNaN(last)) {
        this.#feedback.referenceTime = Math.floor(arrival / TICKS_PER_REFERENCE);
        last = this.#feedback.referenceTime * TICKS_PER_REFERENCE;
      }
      const delta = arrival - last;
      // Eight seconds between two packets: the next report starts there with a reference time of its own.
      if (delta < MIN_DELTA || delta > MAX_DELTA) break;
      const small = isSmallDelta(delta);
      deltaBytes += small ? 1 : 2;
      if (Math.ceil((index + 1) / TWO_BIT_SYMBOLS) * CHUNK_BYTES + deltaBytes > roomBytes) break;
      this.#statuses[index] = small ? STATUS_SMALL_DELTA : STATUS_LARGE_DELTA;
      deltas[deltaCount++] = delta;
      last = arrival;
      count = index + 1;
    }
    this.#feedback.deltaCount = deltaCount;
    return count;
  }

  #countReceived(from: number): number {
    let count = 0;
    for (let sequence = from; sequence <= this.#highest; sequence++) {
      if (!Number.isNaN(this.#arrivals[sequence & MASK] ?? NOT_RECEIVED)) count++;
    }
    return count;
  }

  #advance(sequence: number): void {
    for (let between = this.#highest + 1; between < sequence; between++) this.#arrivals[between & MASK] = NOT_RECEIVED;
    this.#highest = sequence;
  }

  #restart(sequence16: number, nowMs: number): void {
    this.#arrivals.fill(NOT_RECEIVED);
    // Room below, so that packets that were overtaken by the first one have a number.
    this.#highest = sequence16 + 2 ** 16;
    this.#next = this.#highest;
    this.#arrivals[this.#highest & MASK] = Math.floor(nowMs * TICKS_PER_MS);
    this.#pending = 1;
    this.#restartAt = Number.NaN;
  }
}

/**
 * Packs `count` statuses into chunks (§3.1.1 to §3.1.4 of the draft), greedily: a run of equal ones, else fourteen of one
 * bit, else seven of two bits.
 * @returns the number of chunks
 */
export function encodeChunks(statuses: Uint8Array, count: number, chunks: Uint16Array): number {
  let chunkCount = 0;
  let index = 0;
  while (index < count) {
    const status = statuses[index] ?? STATUS_NOT_RECEIVED;
    let run = 1;
    while (index + run < count && run < MAX_RUN_LENGTH && statuses[index + run] === status) run++;
    const ones = Math.min(ONE_BIT_SYMBOLS, count - index);
    const fitsOneBit = !hasLargeDelta(statuses, index, ones);
    if (run >= (fitsOneBit ? ONE_BIT_SYMBOLS : TWO_BIT_SYMBOLS) || index + run === count) {
      chunks[chunkCount++] = (status << RUN_LENGTH_BITS) | run;
      index += run;
    } else if (fitsOneBit) {
      let bits = 0;
      for (let at = 0; at < ones; at++) bits |= (statuses[index + at] ?? 0) << (ONE_BIT_SYMBOLS - 1 - at);
      chunks[chunkCount++] = VECTOR_CHUNK | bits;
      index += ones;
    } else {
      const twos = Math.min(TWO_BIT_SYMBOLS, count - index);
      let bits = 0;
      for (let at = 0; at < twos; at++) bits |= (statuses[index + at] ?? 0) << (2 * (TWO_BIT_SYMBOLS - 1 - at));
      chunks[chunkCount++] = VECTOR_CHUNK | TWO_BIT_VECTOR | bits;
      index += twos;
    }
  }
  return chunkCount;
}

function hasLargeDelta(statuses: Uint8Array, start: number, length: number): boolean {
  for (let at = start; at < start + length; at++) if (statuses[at] === STATUS_LARGE_DELTA) return true;
  return false;
}
