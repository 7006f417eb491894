/**
 * What goes out on an SCTP association: messages cut into chunks, congestion control and retransmission (RFC 9260 §6,
 * §7), reliable only. It has no timer: `tick` repeats what stays unacknowledged.
 */
import { DATA_FLAG } from './sctp-inbound.ts';
import { tsnAdd, tsnDistance } from './sctp-packet.ts';
import { RoundTrip } from './sctp-round-trip.ts';
import { DataChunk } from './werift-internals.ts';

/** Data per chunk: a DTLS datagram of 1200 bytes less record, SCTP and chunk headers, in whole words. */
export const CHUNK_DATA_BYTES = 1132;
const INITIAL_WINDOW_CHUNKS = 4;
/** Reports of later chunks after which one counts as lost (RFC 9260 §7.2.4). */
const MISSES_FOR_LOSS = 3;
/** Gap blocks that are read of one SACK; more than a peer that is well has to say. */
const MAX_GAP_BLOCKS = 64;
/** Timeouts in a row after which the peer's SCTP is dead, though its transport may live. */
const MAX_TIMEOUTS = 10;
const SACK_HEADER_BYTES = 12;
const GAP_BLOCK_BYTES = 4;

interface Message {
  readonly stream: number;
  readonly protocol: number;
  readonly ordered: boolean;
  readonly data: Buffer;
  offset: number;
}

interface SentChunk {
  readonly tsn: number;
  readonly stream: number;
  readonly chunk: InstanceType<typeof DataChunk>;
  readonly bytes: number;
  sentMs: number;
  transmissions: number;
  misses: number;
  state: 'in-flight' | 'lost' | 'acknowledged';
}

export type SendChunk = (chunk: InstanceType<typeof DataChunk>) => void;

export class SctpOutbound {
  readonly #send: SendChunk;
  #nextTsn: number;
  #cumulative: number;
  readonly #queue: Message[] = [];
  #queuedBytes = 0;
  /** In order of TSN, from the one after the cumulative acknowledgement. */
  #sent: SentChunk[] = [];
  readonly #sequences = new Map<number, number>();
  #flightBytes = 0;
  #windowBytes = INITIAL_WINDOW_CHUNKS * CHUNK_DATA_BYTES;
  #thresholdBytes: number;
  #partialBytes = 0;
  /** The last SACK told of a loss. */
  #sawLoss = false;
  #peerWindowBytes: number;
  /** Until this TSN is acknowledged, further losses do not shrink the window. */
  #recoveryTsn: number | null = null;
  readonly #roundTrip = new RoundTrip();
  #timeouts = 0;
  #expiresMs = Number.POSITIVE_INFINITY;

  constructor(initialTsn: number, peerWindowBytes: number, send: SendChunk) {
    this.#nextTsn = initialTsn;
    this.#cumulative = tsnAdd(initialTsn, -1);
    this.#peerWindowBytes = peerWindowBytes;
    this.#thresholdBytes = peerWindowBytes;
    this.#send = send;
  }

  get lastTsn(): number {
    return tsnAdd(this.#nextTsn, -1);
  }

  get rtoMs(): number {
    return this.#roundTrip.timeoutMs;
  }

  /** When `tick` has something to do. */
  get nextTickMs(): number {
    return this.#expiresMs;
  }

  /** Bytes that are not acknowledged, on all streams or on one. */
  bufferedBytes(stream: number | null = null): number {
    if (stream === null) return this.#queuedBytes + this.#sent.reduce((sum, { bytes }) => sum + bytes, 0);
    let sum = 0;
    for (const message of this.#queue) if (message.stream === stream) sum += message.data.length - message.offset;
    for (const sent of this.#sent) if (sent.stream === stream) sum += sent.bytes;
    return sum;
  }

  /** @param data not empty; must not change until it is sent */
  enqueue(stream: number, protocol: number, data: Buffer, ordered: boolean, nowMs: number): void {
    this.#queue.push({ stream, protocol, data, ordered, offset: 0 });
    this.#queuedBytes += data.length;
    this.#transmit(nowMs);
  }

  /** The stream's sequence numbers begin anew (RFC 6525 §5.1.2); nothing of it may be on the way. */
  resetStream(stream: number): void {
    this.#sequences.delete(stream);
  }

  /** Takes the body of a SACK chunk. */
  acknowledge(body: Buffer, nowMs: number): void {
    if (body.length < SACK_HEADER_BYTES) return;
    const cumulative = body.readUInt32BE(0);
    // Older than what we know, or of what was never sent.
    if (tsnDistance(this.#cumulative, cumulative) < 0 || tsnDistance(cumulative, this.lastTsn) < 0) return;
    const wasFull = this.#flightBytes >= this.#windowBytes;
    const acknowledged = this.#acknowledgeUpTo(cumulative, nowMs);
    const gapBytes = this.#readGaps(cumulative, body);
    this.#peerWindowBytes = body.readUInt32BE(4);
    if (acknowledged + gapBytes > 0) this.#timeouts = 0;
    if (this.#recoveryTsn !== null && tsnDistance(this.#recoveryTsn, cumulative) >= 0) this.#recoveryTsn = null;
    if (acknowledged > 0 && wasFull && this.#recoveryTsn === null) this.#growWindow(acknowledged);
    if (this.#sawLoss && this.#recoveryTsn === null) this.#shrinkWindow();
    this.#sawLoss = false;
    if (this.#sent.length === 0) this.#expiresMs = Number.POSITIVE_INFINITY;
    else if (acknowledged > 0) this.#expiresMs = nowMs + this.#roundTrip.timeoutMs;
    this.#transmit(nowMs);
  }

  /** Repeats what nobody acknowledges. False when the peer is dead. */
  tick(nowMs: number): boolean {
    if (nowMs < this.#expiresMs) return true;
    this.#timeouts += 1;
    if (this.#timeouts > MAX_TIMEOUTS) return false;
    for (const sent of this.#sent) if (sent.state === 'in-flight') this.#lose(sent);
    this.#thresholdBytes = Math.max(this.#windowBytes >> 1, INITIAL_WINDOW_CHUNKS * CHUNK_DATA_BYTES);
    this.#windowBytes = CHUNK_DATA_BYTES;
    this.#partialBytes = 0;
    this.#recoveryTsn = null;
    this.#roundTrip.backOff();
    this.#expiresMs = nowMs + this.#roundTrip.timeoutMs;
    this.#transmit(nowMs);
    return true;
  }

  #acknowledgeUpTo(cumulative: number, nowMs: number): number {
    let bytes = 0;
    let count = 0;
    for (const sent of this.#sent) {
      if (tsnDistance(sent.tsn, cumulative) < 0) break;
      count += 1;
      // Karn: a repeated chunk tells nothing about the round trip (RFC 9260 §6.3.1).
      if (sent.transmissions === 1 && sent.state === 'in-flight') this.#roundTrip.measure(nowMs - sent.sentMs);
      bytes += this.#settle(sent);
    }
    if (count > 0) this.#sent = this.#sent.slice(count);
    this.#cumulative = cumulative;
    return bytes;
  }

  /** Marks what arrived ahead, and what three reports missed. */
  #readGaps(cumulative: number, body: Buffer): number {
    const blocks = Math.min(body.readUInt16BE(8), MAX_GAP_BLOCKS);
    let bytes = 0;
    let index = 0;
    let highest = 0;
    for (let block = 0; block < blocks; block++) {
      const at = SACK_HEADER_BYTES + block * GAP_BLOCK_BYTES;
      if (at + GAP_BLOCK_BYTES > body.length) break;
      const first = body.readUInt16BE(at);
      const last = body.readUInt16BE(at + 2);
      // Blocks ascend (RFC 9260 §3.3.4), so that each chunk is looked at once.
      for (; index < this.#sent.length; index++) {
        const sent = this.#sent[index];
        if (sent === undefined) break;
        const offset = tsnDistance(cumulative, sent.tsn);
        if (offset > last) break;
        if (offset < first || sent.state === 'acknowledged') continue;
        bytes += this.#settle(sent);
        highest = offset;
      }
    }
    for (const sent of this.#sent) {
      if (tsnDistance(cumulative, sent.tsn) >= highest) break;
      if (sent.state !== 'in-flight') continue;
      sent.misses += 1;
      if (sent.misses < MISSES_FOR_LOSS) continue;
      this.#lose(sent);
      this.#sawLoss = true;
    }
    return bytes;
  }

  #settle(sent: SentChunk): number {
    if (sent.state === 'acknowledged') return 0;
    if (sent.state === 'in-flight') this.#flightBytes -= sent.bytes;
    sent.state = 'acknowledged';
    return sent.bytes;
  }

  #lose(sent: SentChunk): void {
    sent.state = 'lost';
    this.#flightBytes -= sent.bytes;
  }

  #growWindow(acknowledged: number): void {
    if (this.#windowBytes <= this.#thresholdBytes) {
      this.#windowBytes += Math.min(acknowledged, CHUNK_DATA_BYTES);
      return;
    }
    this.#partialBytes += acknowledged;
    if (this.#partialBytes < this.#windowBytes) return;
    this.#partialBytes -= this.#windowBytes;
    this.#windowBytes += CHUNK_DATA_BYTES;
  }

  #shrinkWindow(): void {
    this.#thresholdBytes = Math.max(this.#windowBytes >> 1, INITIAL_WINDOW_CHUNKS * CHUNK_DATA_BYTES);
    this.#windowBytes = this.#thresholdBytes;
    this.#partialBytes = 0;
    this.#recoveryTsn = this.lastTsn;
  }

  #transmit(nowMs: number): void {
    for (const sent of this.#sent) {
      if (sent.state !== 'lost') continue;
      if (this.#flightBytes > 0 && this.#flightBytes + sent.bytes > this.#windowBytes) return;
      this.#sendOne(sent, nowMs);
    }
    for (;;) {
      const message = this.#queue[0];
      if (message === undefined) return;
      const bytes = Math.min(CHUNK_DATA_BYTES, message.data.length - message.offset);
      const room = Math.min(this.#windowBytes, this.#peerWindowBytes);
      // One chunk may always be on the way: it probes a window of zero (RFC 9260 §6.1).
      if (this.#flightBytes > 0 && this.#flightBytes + bytes > room) return;
      this.#sendOne(this.#cut(message, bytes), nowMs);
    }
  }

  #cut(message: Message, bytes: number): SentChunk {
    const { stream, protocol, ordered, data, offset } = message;
    const chunk = new DataChunk(0, undefined);
    const sequence = ordered ? (this.#sequences.get(stream) ?? 0) : 0;
    chunk.tsn = this.#nextTsn;
    chunk.streamId = stream;
    chunk.streamSeqNum = sequence;
    chunk.protocol = protocol;
    chunk.userData = data.subarray(offset, offset + bytes);
    if (!ordered) chunk.flags |= DATA_FLAG.unordered;
    if (offset === 0) chunk.flags |= DATA_FLAG.first;
    message.offset += bytes;
    this.#queuedBytes -= bytes;
    if (message.offset === data.length) {
      chunk.flags |= DATA_FLAG.last;
      this.#queue.shift();
      if (ordered) this.#sequences.set(stream, (sequence + 1) & 0xffff);
    }
    const sent: SentChunk = {
      tsn: this.#nextTsn,
      stream,
      chunk,
      bytes,
      sentMs: 0,
      transmissions: 0,
      misses: 0,
      state: 'lost',
    };
    this.#nextTsn = tsnAdd(this.#nextTsn, 1);
    this.#sent.push(sent);
    return sent;
  }

  #sendOne(sent: SentChunk, nowMs: number): void {
    sent.state = 'in-flight';
    sent.misses = 0;
    sent.sentMs = nowMs;
    sent.transmissions += 1;
    this.#flightBytes += sent.bytes;
    if (this.#expiresMs === Number.POSITIVE_INFINITY) this.#expiresMs = nowMs + this.#roundTrip.timeoutMs;
    this.#send(sent.chunk);
  }
}
