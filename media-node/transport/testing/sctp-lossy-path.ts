/**
 * Our data channels and a peer, joined by a path that loses, delays, overtakes and repeats by a seed, on a clock of its
 * own: what takes minutes on a wire takes milliseconds here, and is the same in every run. The peer acknowledges as
 * libwebrtc does: every second packet, or after 200 ms, at once when something is missing, comes twice or says so. What
 * it sends goes through a sender of our own.
 */
import { SctpInbound } from '../sctp-inbound.ts';
import { CHUNK_DATA_BYTES, SctpOutbound } from '../sctp-outbound.ts';
import { CHUNK, type ReceivedPacket, readSctpPacket } from '../sctp-packet.ts';
import type { DataChannel } from '../types.ts';
import { SackChunk, type SctpChunk, serializePacket } from '../werift-internals.ts';
import { PPID } from './sctp-pair.ts';
import { RawPeer } from './sctp-raw-peer.ts';
import { seededRandom } from './seeded.ts';

/** What happens to packets, in both directions alike. */
export interface PathTrouble {
  /** Of the packets, 0 to 1. */
  loss: number;
  /** One way, between these. */
  delayMs: readonly [least: number, most: number];
  /** Packets overtake each other: each has a delay of its own. */
  reorders: boolean;
  /** Of the packets, 0 to 1. */
  repeats: number;
  /** How late timers may be, as those of the deadline wheel. */
  timerLateMs: number;
  /** From, to: everything is lost. */
  outagesMs?: readonly (readonly [fromMs: number, toMs: number])[];
  /** The peer has this much room, and keeps what came for so long; what finds no room is dropped. Much, and not at all, when absent. */
  peerRoom?: { bytes: number; keepsMs: number };
}

const PORT = 5000;
const DELAYED_SACK_MS = 200;
const PEER_WINDOW_BYTES = 5 * 1024 * 1024;
const IMMEDIATE = 0x08;
const INITIAL_TSN_AT = 28;
const DATA_HEADER_BYTES = 12;

interface Event {
  atMs: number;
  run(): void;
}

export class SctpLossyPath {
  readonly #trouble: PathTrouble;
  readonly #random: () => number;
  readonly #raw = new RawPeer();
  readonly #inbound: SctpInbound;
  readonly #outbound: SctpOutbound;
  /** In the order of time. */
  readonly #events: Event[] = [];
  #doomed = 0;
  #unacknowledged = 0;
  #sackDueMs = Number.POSITIVE_INFINITY;
  readonly #lastArrivalMs = { out: 0, in: 0 };
  /** What fills the peer's room. */
  #keptBytes = 0;
  /** What the peer got. */
  readonly peerHeard: Buffer[] = [];
  /** DATA chunks that we sent, repeated ones too. */
  chunks = 0;

  constructor(seed: number, trouble: PathTrouble) {
    this.#trouble = trouble;
    this.#random = seededRandom(seed);
    const ack = this.#raw.replies[0] ?? Buffer.alloc(0);
    const ourTsn = ack.readUInt32BE(INITIAL_TSN_AT);
    this.#inbound = new SctpInbound(ourTsn, PEER_WINDOW_BYTES, (_stream, protocol, data) => {
      if (protocol === PPID.binary) this.peerHeard.push(data);
    });
    this.#outbound = new SctpOutbound(this.#raw.nextTsn, PEER_WINDOW_BYTES, (chunk) => this.#sendToUs(chunk));
    this.#raw.replies.splice(0, 2);
    this.#forward();
  }

  get nowMs(): number {
    return this.#raw.nowMs;
  }

  get channel(): DataChannel {
    const [channel] = this.#raw.opened;
    if (channel === undefined) throw new Error('no channel');
    return channel;
  }

  /** What we got. */
  get heard(): readonly Buffer[] {
    return this.#raw.heard;
  }

  /** Nothing of either waits to be acknowledged. */
  get idle(): boolean {
    return this.channel.bufferedBytes === 0 && this.#outbound.bufferedBytes() === 0;
  }

  /** We send. */
  send(data: Buffer): boolean {
    const taken = this.channel.send(data);
    this.#forward();
    return taken;
  }

  /** The peer sends. */
  sendBack(data: Buffer): void {
    this.#outbound.enqueue(0, PPID.binary, data, true, this.nowMs);
  }

  /** The next so many packets, of either, are lost, whatever else is. */
  loseNext(packets: number): void {
    this.#doomed = packets;
  }

  /** Lets time go by until `done`, `limitMs` at most. @returns when that was, in ms of its clock */
  run(done: () => boolean, limitMs: number): number {
    while (!done() && this.nowMs < limitMs) {
      const eventMs = this.#events[0]?.atMs ?? Number.POSITIVE_INFINITY;
      const atMs = Math.min(eventMs, this.#due(this.#raw.channels), this.#due(this.#outbound), this.#sackDueMs);
      if (atMs > limitMs) break;
      this.#raw.nowMs = Math.max(this.nowMs, atMs);
      if (eventMs === atMs) this.#events.shift()?.run();
      else this.#tick();
      this.#forward();
    }
    return done() ? this.nowMs : Number.POSITIVE_INFINITY;
  }

  #due({ nextTickMs }: { nextTickMs: number }): number {
    const { timerLateMs } = this.#trouble;
    return timerLateMs === 0 ? nextTickMs : Math.ceil(nextTickMs / timerLateMs) * timerLateMs;
  }

  #tick(): void {
    this.#raw.channels.tick(this.nowMs);
    if (!this.#outbound.tick(this.nowMs)) throw new Error('the peer gave up');
    if (this.#sackDueMs <= this.nowMs) this.#sendSack();
  }

  /** What we have just sent begins its way. */
  #forward(): void {
    for (const packet of this.#raw.replies.splice(0)) {
      if (packet[12] === CHUNK.data) this.chunks += 1;
      this.#carry('out', () => this.#receive(packet));
    }
  }

  #sendToUs(chunk: SctpChunk): void {
    const packet = serializePacket(PORT, PORT, this.#raw.tag, chunk);
    this.#carry('in', () => this.#raw.channels.receive(packet, this.nowMs));
  }

  #carry(way: 'out' | 'in', arrive: () => void): void {
    if (this.#doomed > 0) {
      this.#doomed -= 1;
      return;
    }
    const { loss, delayMs, reorders, repeats, outagesMs } = this.#trouble;
    if (outagesMs?.some(([fromMs, toMs]) => this.nowMs >= fromMs && this.nowMs < toMs)) return;
    const copies = this.#random() < repeats ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.#random() < loss) continue;
      const [least, most] = delayMs;
      let atMs = this.nowMs + least + this.#random() * (most - least);
      if (!reorders) atMs = Math.max(atMs, this.#lastArrivalMs[way]);
      this.#lastArrivalMs[way] = atMs;
      this.#plan(atMs, arrive);
    }
  }

  #plan(atMs: number, run: () => void): void {
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1]?.atMs ?? 0) > atMs) place -= 1;
    this.#events.splice(place, 0, { atMs, run });
  }

  #receive(packet: Buffer): void {
    const read = readSctpPacket(packet);
    if (read === null) throw new Error('a packet of ours that is none');
    for (const { type, body } of read.chunks) if (type === CHUNK.sack) this.#outbound.acknowledge(body, this.nowMs);
    this.#receiveData(read);
  }

  #receiveData({ chunks }: ReceivedPacket): void {
    const data = chunks.filter(({ type }) => type === CHUNK.data);
    if (data.length === 0) return;
    let isUrgent = false;
    for (const { flags, body } of data) {
      const before = this.#received();
      const bytes = body.length - DATA_HEADER_BYTES;
      if (bytes <= this.#windowBytes) this.#inbound.receive(flags, body);
      const isNew = this.#received() !== before;
      if (isNew) this.#keep(bytes);
      isUrgent ||= !isNew || (flags & IMMEDIATE) !== 0;
    }
    this.#unacknowledged += 1;
    if (isUrgent || this.#unacknowledged === 2 || this.#inbound.gapBlocks().length > 0) this.#sendSack();
    else this.#sackDueMs = Math.min(this.#sackDueMs, this.nowMs + DELAYED_SACK_MS);
  }

  get #windowBytes(): number {
    return (this.#trouble.peerRoom?.bytes ?? PEER_WINDOW_BYTES) - this.#keptBytes;
  }

  /** Until it is read, which is told when there was no room for more. */
  #keep(bytes: number): void {
    const { peerRoom } = this.#trouble;
    if (peerRoom === undefined) return;
    this.#keptBytes += bytes;
    if (peerRoom.keepsMs === Number.POSITIVE_INFINITY) return;
    this.#plan(this.nowMs + peerRoom.keepsMs, () => {
      const wasFull = this.#windowBytes < CHUNK_DATA_BYTES;
      this.#keptBytes -= bytes;
      if (wasFull) this.#sendSack();
    });
  }

  /** Changes with each chunk that is new. */
  #received(): string {
    return `${this.#inbound.cumulativeTsn} ${this.#inbound.gapBlocks().join(' ')}`;
  }

  #sendSack(): void {
    const sack = new SackChunk(0, undefined);
    sack.cumulativeTsn = this.#inbound.cumulativeTsn;
    sack.advertisedRwnd = this.#windowBytes;
    sack.gaps = this.#inbound.gapBlocks();
    this.#unacknowledged = 0;
    this.#sackDueMs = Number.POSITIVE_INFINITY;
    this.#sendToUs(sack);
  }
}
