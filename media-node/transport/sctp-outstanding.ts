/**
 * Chunks that were sent and are not acknowledged, and which of them count as lost. RFC 9260 §7.2.4 counts SACKs that miss
 * a chunk, each chunk once in its life; where SACKs are lost, too, and retransmissions, that leaves most of it to
 * timeouts. So what counts is what has arrived of that which was sent later (RFC 6675, RFC 8985), retransmissions like
 * everything else.
 */
import { tsnDistance } from './sctp-packet.ts';
import type { DataChunk } from './werift-internals.ts';

/** Gap blocks that are read of one SACK; more than a peer that is well has to say. */
const MAX_GAP_BLOCKS = 64;
export const SACK_HEADER_BYTES = 12;
const GAP_BLOCK_BYTES = 4;
/** Before anything that is sent. */
const NEVER = -1;

export interface SentChunk {
  readonly tsn: number;
  readonly stream: number;
  readonly chunk: InstanceType<typeof DataChunk>;
  readonly bytes: number;
  sentMs: number;
  /** Its place among everything that was sent, retransmissions included. */
  order: number;
  transmissions: number;
  state: 'in-flight' | 'lost' | 'acknowledged';
}

/** What a SACK brought. */
export interface Acknowledged {
  /** Of chunks that no SACK acknowledged before. */
  bytes: number;
  /** The earliest outstanding chunk is among them. */
  advanced: boolean;
  /** Of the chunk that was sent last, when it was sent once only (Karn, RFC 9260 §6.3.1). */
  roundTripMs: number | null;
}

export class SctpOutstanding {
  /** In order of TSN, from the one after the cumulative acknowledgement. */
  #chunks: SentChunk[] = [];
  #flightBytes = 0;
  #lostCount = 0;
  #nextOrder = 0;
  /** Of the acknowledged chunks that were sent last: highest, second, third. */
  #arrived: readonly [number, number, number] = [NEVER, NEVER, NEVER];
  #shortestMs = Number.POSITIVE_INFINITY;
  /** Later packets came before earlier ones: only time tells what is lost. */
  #reorders = false;

  get flightBytes(): number {
    return this.#flightBytes;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  get earliest(): SentChunk | undefined {
    return this.#chunks[0];
  }

  /** Of all streams or of one. */
  bytes(stream: number | null): number {
    let sum = 0;
    for (const sent of this.#chunks) if (stream === null || sent.stream === stream) sum += sent.bytes;
    return sum;
  }

  nextLost(): SentChunk | undefined {
    return this.#lostCount === 0 ? undefined : this.#chunks.find(({ state }) => state === 'lost');
  }

  /** What was sent last and is on the way. */
  latestInFlight(): SentChunk | undefined {
    let latest: SentChunk | undefined;
    for (const sent of this.#chunks) {
      if (sent.state === 'in-flight' && sent.order > (latest?.order ?? NEVER)) latest = sent;
    }
    return latest;
  }

  /** A new chunk; it is on the way once `sent` is told. */
  add(chunk: Pick<SentChunk, 'tsn' | 'stream' | 'chunk' | 'bytes'>): SentChunk {
    const added: SentChunk = { ...chunk, sentMs: 0, order: NEVER, transmissions: 0, state: 'lost' };
    this.#chunks.push(added);
    this.#lostCount += 1;
    return added;
  }

  sent(chunk: SentChunk, nowMs: number): void {
    if (chunk.state === 'lost') {
      this.#flightBytes += chunk.bytes;
      this.#lostCount -= 1;
    }
    chunk.state = 'in-flight';
    chunk.sentMs = nowMs;
    chunk.order = this.#nextOrder++;
    chunk.transmissions += 1;
  }

  /** @param body of a SACK chunk, of at least SACK_HEADER_BYTES */
  acknowledge(cumulative: number, body: Buffer, nowMs: number): Acknowledged {
    const settled: SentChunk[] = [];
    let count = 0;
    for (const sent of this.#chunks) {
      if (tsnDistance(sent.tsn, cumulative) < 0) break;
      count += 1;
      this.#settle(sent, settled);
    }
    if (count > 0) this.#chunks = this.#chunks.slice(count);
    this.#readGaps(cumulative, body, settled);
    return { ...this.#learn(settled, nowMs), advanced: count > 0 };
  }

  /**
   * Three that were sent later have arrived, or one and an answer is overdue: lost.
   * @returns whether there are any new ones
   */
  detectLosses(nowMs: number, patienceMs: number): boolean {
    const [highest, , third] = this.#arrived;
    let found = false;
    for (const sent of this.#chunks) {
      if (sent.state !== 'in-flight' || sent.order > highest) continue;
      const isOvertaken = sent.order < third && !this.#reorders;
      if (!isOvertaken && sent.sentMs + patienceMs > nowMs) continue;
      this.#lose(sent);
      found = true;
    }
    return found;
  }

  /** When `detectLosses` may find more without another SACK. */
  nextLossMs(patienceMs: number): number {
    const [highest] = this.#arrived;
    let atMs = Number.POSITIVE_INFINITY;
    for (const { state, order, sentMs } of this.#chunks) {
      if (state === 'in-flight' && order < highest) atMs = Math.min(atMs, sentMs + patienceMs);
    }
    return atMs;
  }

  /** After a timeout. */
  loseAll(): void {
    let isReneged = true;
    for (const sent of this.#chunks) {
      isReneged &&= sent.state === 'acknowledged';
      if (sent.state === 'in-flight') this.#lose(sent);
      // The cumulative acknowledgement would have gone past it: the peer has dropped what it had reported (§6.2.1).
      if (isReneged) {
        sent.state = 'lost';
        this.#lostCount += 1;
      }
    }
  }

  /** Marks what arrived ahead. */
  #readGaps(cumulative: number, body: Buffer, settled: SentChunk[]): void {
    const blocks = Math.min(body.readUInt16BE(8), MAX_GAP_BLOCKS);
    let index = 0;
    for (let block = 0; block < blocks; block++) {
      const at = SACK_HEADER_BYTES + block * GAP_BLOCK_BYTES;
      if (at + GAP_BLOCK_BYTES > body.length) break;
      const first = body.readUInt16BE(at);
      const last = body.readUInt16BE(at + 2);
      // Blocks ascend (RFC 9260 §3.3.4), so that each chunk is looked at once.
      for (; index < this.#chunks.length; index++) {
        const sent = this.#chunks[index];
        if (sent === undefined) break;
        const offset = tsnDistance(cumulative, sent.tsn);
        if (offset > last) break;
        if (offset >= first) this.#settle(sent, settled);
      }
    }
  }

  #settle(sent: SentChunk, settled: SentChunk[]): void {
    if (sent.state === 'acknowledged') return;
    if (sent.state === 'in-flight') this.#flightBytes -= sent.bytes;
    else this.#lostCount -= 1;
    sent.state = 'acknowledged';
    settled.push(sent);
  }

  #lose(sent: SentChunk): void {
    sent.state = 'lost';
    this.#flightBytes -= sent.bytes;
    this.#lostCount += 1;
  }

  #learn(settled: readonly SentChunk[], nowMs: number): Omit<Acknowledged, 'advanced'> {
    const [highestBefore] = this.#arrived;
    let bytes = 0;
    let latest: SentChunk | null = null;
    for (const sent of settled) {
      bytes += sent.bytes;
      if (sent.order > (latest?.order ?? NEVER)) latest = sent;
      const isRepeated = sent.transmissions > 1;
      if (!isRepeated && sent.order < highestBefore) this.#reorders = true;
      // Sooner than the path allows: this is the answer to an earlier transmission, whose place is not known.
      if (isRepeated && nowMs - sent.sentMs < this.#shortestMs) continue;
      this.#arrive(sent.order);
    }
    // What was sent before it may have arrived long ago, when the SACK that said so was lost.
    if (latest === null || latest.transmissions > 1) return { bytes, roundTripMs: null };
    const roundTripMs = nowMs - latest.sentMs;
    this.#shortestMs = Math.min(this.#shortestMs, roundTripMs);
    return { bytes, roundTripMs };
  }

  #arrive(order: number): void {
    const [highest, second, third] = this.#arrived;
    if (order > highest) this.#arrived = [order, highest, second];
    else if (order > second) this.#arrived = [highest, order, second];
    else if (order > third) this.#arrived = [highest, second, order];
  }
}
