/**
 * One SCTP association over DTLS (RFC 8261): set up by the peer, as every WebRTC client does by itself, so that ours is
 * always the passive end. Packets in and out, messages in and out, stream resets (RFC 6525). No timer: `tick` drives
 * retransmission, and while nothing is on the way it costs nothing. Partial reliability is not announced, so peers
 * send everything reliably.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { SctpInbound } from './sctp-inbound.ts';
import { SctpOutbound } from './sctp-outbound.ts';
import { CHUNK, type ReceivedChunk, readSctpPacket } from './sctp-packet.ts';
import { SctpResets } from './sctp-resets.ts';
import {
  AbortChunk,
  CookieAckChunk,
  HeartbeatAckChunk,
  InitAckChunk,
  ReconfigChunk,
  SackChunk,
  type SctpChunk,
  ShutdownAckChunk,
  serializePacket,
} from './werift-internals.ts';

/** Our `a=sctp-port`. */
export const SCTP_PORT = 5000;

const TAG_LIMIT = 2 ** 32;
const COOKIE_BYTES = 16;
const INIT_BYTES = 16;
const MAX_STREAMS = 65_535;
const PARAMETER = { stateCookie: 0x0007, supportedExtensions: 0x8008 } as const;
/** The T bit: an ABORT may carry the receiver's own tag (RFC 9260 §8.5.1). */
const REFLECTED_TAG = 0x01;
/** Types of RFC 9260; above, the high bit says whether one that is not known is skipped or ends the packet (§3.2). */
const LAST_BASE_TYPE = 14;
const SKIP_IF_UNKNOWN = 0x80;
/** More DATA chunks than a packet that is meant well holds. */
const MAX_DATA_CHUNKS = 64;
/** A heartbeat is sent back as it came; nobody puts more than this into one. */
const MAX_HEARTBEAT_BYTES = 512;

export interface SctpEvents {
  /** One packet as DTLS application data. */
  send(packet: Buffer): void;
  established(): void;
  message(stream: number, protocol: number, data: Buffer): void;
  /** The peer ended these streams. */
  streamsReset(streams: readonly number[]): void;
  /** Aborted or shut down by the peer, or the peer is dead. Nothing comes afterwards. */
  ended(): void;
}

export interface SctpOptions {
  remotePort: number;
  /** Longer messages of the peer are swallowed. */
  maxMessageBytes: number;
  events: SctpEvents;
}

interface Peer {
  readonly tag: number;
  readonly inbound: SctpInbound;
  readonly outbound: SctpOutbound;
  readonly resets: SctpResets;
}

export class SctpAssociation {
  readonly #options: SctpOptions;
  readonly #events: SctpEvents;
  #state: 'waiting' | 'established' | 'ended' = 'waiting';
  readonly #tag = randomInt(1, TAG_LIMIT);
  readonly #initialTsn = randomInt(TAG_LIMIT);
  readonly #cookie = randomBytes(COOKIE_BYTES);
  /** From the last INIT on. */
  #peer: Peer | null = null;
  #nowMs = 0;
  /** Packets that were dropped. */
  malformed = 0;

  constructor(options: SctpOptions) {
    this.#options = options;
    this.#events = options.events;
  }

  get established(): boolean {
    return this.#state === 'established';
  }

  /** Messages that were too long or not whole. */
  get swallowed(): number {
    return this.#peer?.inbound.swallowed ?? 0;
  }

  /** Bytes kept of what the peer sent. */
  get heldBytes(): number {
    return this.#peer?.inbound.heldBytes ?? 0;
  }

  /** Bytes that the peer has not acknowledged; of one stream when given. */
  bufferedBytes(stream: number | null = null): number {
    return this.#peer?.outbound.bufferedBytes(stream) ?? 0;
  }

  /** Only while established. */
  send(stream: number, protocol: number, data: Buffer, ordered: boolean, nowMs: number): void {
    if (this.#state !== 'established') return;
    this.#peer?.outbound.enqueue(stream, protocol, data, ordered, nowMs);
  }

  /** Ends our side of the stream once everything sent on it is acknowledged. */
  resetStream(stream: number, nowMs: number): void {
    if (this.#state !== 'established') return;
    this.#peer?.resets.request(stream, nowMs);
  }

  /** When `tick` has something to do. */
  get nextTickMs(): number {
    const peer = this.#peer;
    if (this.#state !== 'established' || peer === null) return Number.POSITIVE_INFINITY;
    return Math.min(peer.outbound.nextTickMs, peer.resets.nextTickMs);
  }

  tick(nowMs: number): void {
    const peer = this.#peer;
    if (this.#state !== 'established' || peer === null) return;
    if (!peer.outbound.tick(nowMs) || !peer.resets.tick(nowMs)) this.#end(true);
  }

  /** Says ABORT; `ended` is not called. Idempotent. */
  close(): void {
    if (this.#state === 'established') this.#sendChunk(new AbortChunk());
    this.#state = 'ended';
    this.#peer = null;
  }

  /** One SCTP packet; valid during the call only. Never throws on what peers send. */
  receive(packet: Buffer, nowMs: number): void {
    if (this.#state === 'ended') return;
    this.#nowMs = nowMs;
    const read = readSctpPacket(packet);
    const [first] = read?.chunks ?? [];
    if (read === null || first === undefined || !this.#isOurs(read.sourcePort, read.destinationPort)) {
      this.malformed += 1;
      return;
    }
    if (first.type === CHUNK.init) {
      if (read.tag === 0 && read.chunks.length === 1) this.#receiveInit(first.body);
      else this.malformed += 1;
      return;
    }
    if (read.tag !== this.#tag && !this.#isReflected(first, read.tag)) {
      this.malformed += 1;
      return;
    }
    let dataChunks = 0;
    for (const chunk of read.chunks) {
      if (chunk.type === CHUNK.data && ++dataChunks > MAX_DATA_CHUNKS) break;
      if (!this.#receiveChunk(chunk)) break;
    }
    if (dataChunks > 0) this.#sendSack();
  }

  #isOurs(sourcePort: number, destinationPort: number): boolean {
    return sourcePort === this.#options.remotePort && destinationPort === SCTP_PORT;
  }

  #isReflected(chunk: ReceivedChunk, tag: number): boolean {
    return chunk.type === CHUNK.abort && (chunk.flags & REFLECTED_TAG) !== 0 && tag === this.#peer?.tag;
  }

  /** False when the rest of the packet is not to be read. */
  #receiveChunk(chunk: ReceivedChunk): boolean {
    const peer = this.#peer;
    if (chunk.type === CHUNK.cookieEcho) this.#receiveCookie(chunk.body);
    if (peer === null || this.#state !== 'established') return this.#isOpen();
    switch (chunk.type) {
      case CHUNK.data:
        peer.inbound.receive(chunk.flags, chunk.body);
        break;
      case CHUNK.sack:
        peer.outbound.acknowledge(chunk.body, this.#nowMs);
        peer.resets.flush(this.#nowMs);
        break;
      case CHUNK.heartbeat:
        this.#receiveHeartbeat(chunk);
        break;
      case CHUNK.reconfig:
        peer.resets.receive(chunk.body, peer.inbound.cumulativeTsn, this.#nowMs);
        break;
      case CHUNK.abort:
        this.#end(false);
        break;
      case CHUNK.shutdown:
        // WebRTC has no half-closed associations: whoever shuts down is gone.
        this.#sendChunk(new ShutdownAckChunk());
        this.#end(false);
        break;
      default:
        return chunk.type <= LAST_BASE_TYPE || (chunk.type & SKIP_IF_UNKNOWN) !== 0;
    }
    return this.#isOpen();
  }

  #isOpen(): boolean {
    return this.#state !== 'ended';
  }

  /** An INIT on an established association is a late repetition: over one DTLS association nobody starts anew. */
  #receiveInit(body: Buffer): void {
    if (this.#state !== 'waiting') return;
    if (body.length < INIT_BYTES || body.readUInt32BE(0) === 0) {
      this.malformed += 1;
      return;
    }
    const peerTsn = body.readUInt32BE(12);
    const { maxMessageBytes } = this.#options;
    const inbound = new SctpInbound(peerTsn, maxMessageBytes, (stream, protocol, data) => {
      if (this.#state === 'established') this.#events.message(stream, protocol, data);
    });
    const outbound = new SctpOutbound(this.#initialTsn, body.readUInt32BE(4), (chunk) => this.#sendChunk(chunk));
    const resets = new SctpResets(this.#initialTsn, peerTsn, outbound, {
      send: (parameter) => {
        const chunk = new ReconfigChunk();
        chunk.params.push([parameter.type, parameter.bytes]);
        this.#sendChunk(chunk);
      },
      reset: (streams) => this.#events.streamsReset(streams),
    });
    this.#peer = { tag: body.readUInt32BE(0), inbound, outbound, resets };
    const ack = new InitAckChunk();
    ack.initiateTag = this.#tag;
    ack.advertisedRwnd = inbound.windowBytes;
    ack.outboundStreams = Math.min(MAX_STREAMS, body.readUInt16BE(10));
    ack.inboundStreams = MAX_STREAMS;
    ack.initialTsn = this.#initialTsn;
    ack.params.push([PARAMETER.stateCookie, this.#cookie]);
    ack.params.push([PARAMETER.supportedExtensions, Buffer.from([CHUNK.reconfig])]);
    this.#sendChunk(ack);
  }

  #receiveCookie(body: Buffer): void {
    if (this.#peer === null || !body.equals(this.#cookie)) {
      this.malformed += 1;
      return;
    }
    this.#sendChunk(new CookieAckChunk());
    if (this.#state !== 'waiting') return;
    this.#state = 'established';
    this.#events.established();
  }

  #receiveHeartbeat({ body }: ReceivedChunk): void {
    if (body.length > MAX_HEARTBEAT_BYTES) return;
    const ack = new HeartbeatAckChunk();
    // As it came: a parameter of type 1, whose header werift's writer puts before the value.
    if (body.length >= 4) ack.params.push([body.readUInt16BE(0), body.subarray(4)]);
    this.#sendChunk(ack);
  }

  #sendSack(): void {
    const inbound = this.#peer?.inbound;
    if (this.#state !== 'established' || inbound === undefined) return;
    const sack = new SackChunk(0, undefined);
    sack.cumulativeTsn = inbound.cumulativeTsn;
    sack.advertisedRwnd = inbound.windowBytes;
    sack.gaps = inbound.gapBlocks();
    this.#sendChunk(sack);
  }

  #sendChunk(chunk: SctpChunk): void {
    this.#events.send(serializePacket(SCTP_PORT, this.#options.remotePort, this.#peer?.tag ?? 0, chunk));
  }

  #end(withAbort: boolean): void {
    if (this.#state === 'ended') return;
    if (withAbort) this.#sendChunk(new AbortChunk());
    this.#state = 'ended';
    this.#peer = null;
    this.#events.ended();
  }
}
