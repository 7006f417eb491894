/**
 * What goes out on an SCTP association: messages cut into chunks, sent as far as the windows allow, and repeated when
 * they are lost (RFC 9260 §6, §7), reliable only. It has no timer: `tick` finds what nobody acknowledges. When answers
 * are overdue, single chunks are sent to provoke one (as in RFC 8985 §7), each after twice the time; only when that
 * fails, too, is it a timeout, which costs the whole window.
 */
import { CongestionWindow } from './sctp-congestion.ts';
import { DATA_FLAG } from './sctp-inbound.ts';
import { SACK_HEADER_BYTES, SctpOutstanding, type SentChunk } from './sctp-outstanding.ts';
import { tsnAdd, tsnDistance } from './sctp-packet.ts';
import { RoundTrip } from './sctp-round-trip.ts';
import { DataChunk } from './werift-internals.ts';

/** Data per chunk: a DTLS datagram of 1200 bytes less record, SCTP and chunk headers, in whole words. */
export const CHUNK_DATA_BYTES = 1132;
/** Timeouts in a row after which the peer's SCTP is dead, though its transport may live. */
const MAX_TIMEOUTS = 15;

interface Message {
  readonly stream: number;
  readonly protocol: number;
  readonly ordered: boolean;
  readonly data: Buffer;
  offset: number;
}

export type SendChunk = (chunk: InstanceType<typeof DataChunk>) => void;

export class SctpOutbound {
  readonly #send: SendChunk;
  #nextTsn: number;
  #cumulative: number;
  readonly #queue: Message[] = [];
  /** Those that wait until their streams are reset. */
  readonly #held = new Map<number, Message[]>();
  /** Of all messages that wait, as far as they are not sent. */
  #queuedBytes = 0;
  readonly #outstanding = new SctpOutstanding();
  readonly #sequences = new Map<number, number>();
  readonly #window: CongestionWindow;
  #peerWindowBytes: number;
  readonly #roundTrip = new RoundTrip();
  /** In a row: any progress ends it, for a path that carries something is not to be waited for. */
  #timeouts = 0;
  /** T3-rtx */
  #expiresMs = Number.POSITIVE_INFINITY;
  /** When answers are overdue. */
  #overdueMs = Number.POSITIVE_INFINITY;
  /** Since the last progress. */
  #probes = 0;

  constructor(initialTsn: number, peerWindowBytes: number, send: SendChunk) {
    this.#nextTsn = initialTsn;
    this.#cumulative = tsnAdd(initialTsn, -1);
    this.#peerWindowBytes = peerWindowBytes;
    this.#window = new CongestionWindow(CHUNK_DATA_BYTES, peerWindowBytes);
    this.#send = send;
  }

  /** Everything up to this was acknowledged. */
  get cumulativeTsn(): number {
    return this.#cumulative;
  }

  get lastTsn(): number {
    return tsnAdd(this.#nextTsn, -1);
  }

  /** How long to wait for an answer after as many timeouts in a row. */
  timeoutMs(timeouts: number): number {
    return this.#roundTrip.timeoutMs(timeouts);
  }

  /** When `tick` has something to do. */
  get nextTickMs(): number {
    return Math.min(this.#expiresMs, this.#overdueMs);
  }

  /** Bytes that are not acknowledged, on all streams or on one. */
  bufferedBytes(stream: number | null = null): number {
    let sum = this.#outstanding.bytes(stream);
    if (stream === null) return sum + this.#queuedBytes;
    for (const { data, offset } of this.#queued(stream)) sum += data.length - offset;
    for (const { data } of this.#held.get(stream) ?? []) sum += data.length;
    return sum;
  }

  /** Everything that was sent on the stream is acknowledged; what is held does not count. */
  isSettled(stream: number): boolean {
    return this.#outstanding.bytes(stream) === 0 && this.#queued(stream).length === 0;
  }

  /** @param data not empty; must not change until it is sent */
  enqueue(stream: number, protocol: number, data: Buffer, ordered: boolean, nowMs: number): void {
    const queue = this.#held.get(stream) ?? this.#queue;
    queue.push({ stream, protocol, data, ordered, offset: 0 });
    this.#queuedBytes += data.length;
    this.#transmit(nowMs);
  }

  /** The stream is to be reset: from now on nothing new is sent on it (RFC 6525 §5.1.2), until `release`. */
  hold(stream: number): void {
    if (!this.#held.has(stream)) this.#held.set(stream, []);
  }

  /** What was held goes on; when the stream was reset, with sequence numbers that begin anew. */
  release(stream: number, wasReset: boolean, nowMs: number): void {
    if (wasReset) this.#sequences.delete(stream);
    this.#queue.push(...(this.#held.get(stream) ?? []));
    this.#held.delete(stream);
    this.#transmit(nowMs);
  }

  /** Takes the body of a SACK chunk. */
  acknowledge(body: Buffer, nowMs: number): void {
    if (body.length < SACK_HEADER_BYTES) return;
    const cumulative = body.readUInt32BE(0);
    // Older than what we know, or of what was never sent.
    if (tsnDistance(this.#cumulative, cumulative) < 0 || tsnDistance(cumulative, this.lastTsn) < 0) return;
    this.#cumulative = cumulative;
    this.#peerWindowBytes = body.readUInt32BE(4);
    const wasFull = this.#outstanding.flightBytes >= this.#window.bytes;
    const { bytes, advanced, roundTripMs } = this.#outstanding.acknowledge(cumulative, body, nowMs);
    if (roundTripMs !== null) this.#roundTrip.measure(roundTripMs);
    if (bytes > 0) {
      this.#timeouts = 0;
      this.#probes = 0;
    } else if (this.#peerWindowBytes < (this.#outstanding.earliest?.bytes ?? 0)) {
      // It answers, and has no room: that is asked for again, but is no reason to give up (RFC 9260 §6.1 A).
      this.#timeouts = Math.min(this.#timeouts, MAX_TIMEOUTS - 1);
    }
    this.#window.advance(cumulative);
    if (advanced && wasFull) this.#window.grow(bytes);
    if (this.#outstanding.isEmpty) this.#expiresMs = Number.POSITIVE_INFINITY;
    else if (advanced) this.#expiresMs = nowMs + this.timeoutMs(this.#timeouts);
    if (!this.#repairLosses(nowMs)) this.#transmit(nowMs);
  }

  /** Repeats what nobody acknowledges. False when the peer is dead. */
  tick(nowMs: number): boolean {
    if (nowMs >= this.#expiresMs) return this.#timeOut(nowMs);
    if (nowMs >= this.#overdueMs && !this.#repairLosses(nowMs)) this.#probe(nowMs);
    return true;
  }

  #timeOut(nowMs: number): boolean {
    this.#timeouts += 1;
    if (this.#timeouts > MAX_TIMEOUTS) return false;
    this.#roundTrip.timedOut();
    this.#outstanding.loseAll();
    this.#window.collapse();
    this.#expiresMs = nowMs + this.timeoutMs(this.#timeouts);
    this.#transmit(nowMs);
    return true;
  }

  /** True when there was something to repair. */
  #repairLosses(nowMs: number): boolean {
    if (!this.#outstanding.detectLosses(nowMs, this.#roundTrip.patienceMs)) return false;
    const lost = this.#outstanding.nextLost();
    if (this.#window.shrink(this.lastTsn) && lost !== undefined) this.#sendOne(lost, nowMs);
    this.#transmit(nowMs);
    return true;
  }

  /** Something new, or else what was sent last: its SACK says what has arrived of everything before. */
  #probe(nowMs: number): void {
    const [message] = this.#queue;
    const isNew = message !== undefined && this.#fits(message);
    const chunk = isNew ? this.#cut(message) : this.#outstanding.latestInFlight();
    const { patienceMs } = this.#roundTrip;
    // That it is sent again does not put the timeout off, but its answer must have time to come.
    const expiresMs = Math.max(this.#expiresMs, nowMs + patienceMs);
    this.#probes += 1;
    if (chunk !== undefined) this.#sendOne(chunk, nowMs);
    this.#expiresMs = expiresMs;
    this.#planCheck();
  }

  #planCheck(): void {
    const { patienceMs } = this.#roundTrip;
    this.#overdueMs = this.#outstanding.nextLossMs(patienceMs);
    const latest = this.#outstanding.latestInFlight();
    if (latest === undefined || this.#timeouts > 0) return;
    this.#overdueMs = Math.min(this.#overdueMs, latest.sentMs + patienceMs * 2 ** this.#probes);
  }

  #transmit(nowMs: number): void {
    for (let chunk = this.#nextToSend(); chunk !== undefined; chunk = this.#nextToSend()) this.#sendOne(chunk, nowMs);
    this.#planCheck();
  }

  /** What the windows allow to be sent now. */
  #nextToSend(): SentChunk | undefined {
    const { flightBytes } = this.#outstanding;
    if (flightBytes >= this.#window.bytes) return undefined;
    const lost = this.#outstanding.nextLost();
    if (lost !== undefined) return lost;
    const [message] = this.#queue;
    return message !== undefined && this.#fits(message) ? this.#cut(message) : undefined;
  }

  /** The peer has room for its next chunk. One may always be on the way: it probes a window that is closed (RFC 9260 §6.1 A). */
  #fits(message: Message): boolean {
    const { flightBytes } = this.#outstanding;
    return flightBytes === 0 || flightBytes + nextBytes(message) <= this.#peerWindowBytes;
  }

  #queued(stream: number): Message[] {
    return this.#queue.filter((message) => message.stream === stream);
  }

  #cut(message: Message): SentChunk {
    const { stream, protocol, ordered, data, offset } = message;
    const bytes = nextBytes(message);
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
    this.#nextTsn = tsnAdd(this.#nextTsn, 1);
    return this.#outstanding.add({ tsn: chunk.tsn, stream, chunk, bytes });
  }

  #sendOne(sent: SentChunk, nowMs: number): void {
    const isRepeated = sent.transmissions > 0;
    this.#outstanding.sent(sent, nowMs);
    // Nothing follows that would make the peer acknowledge it at once (RFC 9260 §3.3.1, RFC 7053).
    if (isRepeated || this.#isLast()) sent.chunk.flags |= DATA_FLAG.immediate;
    // §6.3.2 R1, §7.2.4 rule 4
    const isEarliest = isRepeated && sent === this.#outstanding.earliest;
    if (this.#expiresMs === Number.POSITIVE_INFINITY || isEarliest) {
      this.#expiresMs = nowMs + this.timeoutMs(this.#timeouts);
    }
    // Who carries the chunk looks at once when to be back, and may not look again: `#planCheck` is too late for that.
    if (this.#timeouts === 0) {
      this.#overdueMs = Math.min(this.#overdueMs, nowMs + this.#roundTrip.patienceMs * 2 ** this.#probes);
    }
    this.#send(sent.chunk);
  }

  #isLast(): boolean {
    const { flightBytes } = this.#outstanding;
    if (flightBytes >= this.#window.bytes) return true;
    if (this.#outstanding.nextLost() !== undefined) return false;
    const [message] = this.#queue;
    return message === undefined || !this.#fits(message);
  }
}

function nextBytes({ data, offset }: Message): number {
  return Math.min(CHUNK_DATA_BYTES, data.length - offset);
}
