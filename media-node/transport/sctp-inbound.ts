/**
 * What comes in on an SCTP association: which TSNs are there, and the messages put together from them, strictly in the
 * order of TSNs. Unordered messages wait for lost ones before them, too: for signalling that costs nothing, and it makes
 * each chunk cost the same, whatever the peer sends. A message that is too long or in too many pieces is swallowed:
 * acknowledged, so that what follows it gets through, and forgotten.
 */
import { tsnAdd, tsnDistance } from './sctp-packet.ts';

/** DATA chunk flags (RFC 9260 §3.3.1). */
export const DATA_FLAG = { last: 0x01, first: 0x02, unordered: 0x04, immediate: 0x08 } as const;
const DATA_HEADER_BYTES = 12;

/** Bytes of chunks that may wait for what precedes them. */
export const RECEIVE_WINDOW_BYTES = 256 * 1024;
/** A waiting chunk costs us more than its bytes. */
const CHUNK_COST_BYTES = 256;
/** A TSN this far ahead is outside of any window that we advertise. */
const MAX_AHEAD = 2048;
/** Chunks of one message; 64 KiB come in some 60. Each costs us more than its bytes, and a hostile one has a single byte. */
const MAX_PARTS = 1024;
const MAX_GAP_BLOCKS = 32;

interface Fragment {
  readonly flags: number;
  readonly stream: number;
  readonly protocol: number;
  readonly data: Buffer;
}

/** Called for each whole message; the buffer is the callee's. */
export type DeliverMessage = (stream: number, protocol: number, data: Buffer) => void;

/** Offsets from the cumulative TSN: first and last of each run that arrived ahead. */
export type GapBlock = [first: number, last: number];

export class SctpInbound {
  readonly #maxMessageBytes: number;
  readonly #deliver: DeliverMessage;
  #cumulative: number;
  /** What arrived ahead of the cumulative TSN. */
  readonly #ahead = new Map<number, Fragment>();
  #aheadBytes = 0;
  /** The message at the cumulative TSN, as far as it came; null between messages and while one is swallowed. */
  #partial: { head: Fragment; parts: Buffer[]; bytes: number } | null = null;
  /** Messages that were too long, in too many pieces or not whole. */
  swallowed = 0;

  constructor(initialTsn: number, maxMessageBytes: number, deliver: DeliverMessage) {
    this.#cumulative = tsnAdd(initialTsn, -1);
    this.#maxMessageBytes = maxMessageBytes;
    this.#deliver = deliver;
  }

  get cumulativeTsn(): number {
    return this.#cumulative;
  }

  get windowBytes(): number {
    return Math.max(0, RECEIVE_WINDOW_BYTES - this.#aheadBytes);
  }

  /** Everything that is kept, in bytes. */
  get heldBytes(): number {
    return this.#aheadBytes + (this.#partial?.bytes ?? 0);
  }

  /** Takes the body of a DATA chunk. */
  receive(flags: number, body: Buffer): void {
    // Without data it is a protocol violation (RFC 9260 §6.2); empty messages have a protocol id of their own.
    if (body.length <= DATA_HEADER_BYTES) return;
    const tsn = body.readUInt32BE(0);
    const distance = tsnDistance(this.#cumulative, tsn);
    if (distance <= 0 || distance > MAX_AHEAD || this.#ahead.has(tsn)) return;
    const data = body.subarray(DATA_HEADER_BYTES);
    const fragment = { flags, stream: body.readUInt16BE(4), protocol: body.readUInt32BE(8) };
    if (distance > 1) {
      // What is not acknowledged comes again, when there is room.
      if (this.#aheadBytes + data.length + CHUNK_COST_BYTES > RECEIVE_WINDOW_BYTES) return;
      this.#aheadBytes += data.length + CHUNK_COST_BYTES;
      this.#ahead.set(tsn, { ...fragment, data: Buffer.from(data) });
      return;
    }
    this.#cumulative = tsn;
    this.#append({ ...fragment, data });
    for (;;) {
      const next = tsnAdd(this.#cumulative, 1);
      const waiting = this.#ahead.get(next);
      if (waiting === undefined) return;
      this.#ahead.delete(next);
      this.#aheadBytes -= waiting.data.length + CHUNK_COST_BYTES;
      this.#cumulative = next;
      this.#append(waiting);
    }
  }

  /** What arrived ahead, for a SACK. */
  gapBlocks(): GapBlock[] {
    const offsets = [...this.#ahead.keys()].map((tsn) => tsnDistance(this.#cumulative, tsn)).sort((a, b) => a - b);
    const blocks: GapBlock[] = [];
    for (const offset of offsets) {
      const last = blocks.at(-1);
      if (last !== undefined && last[1] === offset - 1) last[1] = offset;
      else if (blocks.length === MAX_GAP_BLOCKS) break;
      else blocks.push([offset, offset]);
    }
    return blocks;
  }

  #append(fragment: Fragment): void {
    const { flags, data } = fragment;
    if ((flags & DATA_FLAG.first) !== 0) {
      if (this.#partial !== null) this.swallowed += 1;
      this.#partial = { head: fragment, parts: [], bytes: 0 };
    }
    const partial = this.#partial;
    // The rest of a message that is being swallowed, or one without a beginning.
    if (partial === null) return;
    partial.bytes += data.length;
    if (partial.bytes > this.#maxMessageBytes || partial.parts.length === MAX_PARTS) {
      this.swallowed += 1;
      this.#partial = null;
      return;
    }
    // The datagram's buffer will be used again.
    partial.parts.push(Buffer.from(data));
    if ((flags & DATA_FLAG.last) === 0) return;
    this.#partial = null;
    const { stream, protocol } = partial.head;
    this.#deliver(stream, protocol, Buffer.concat(partial.parts, partial.bytes));
  }
}
