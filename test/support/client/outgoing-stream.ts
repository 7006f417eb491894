/** One stream (SSRC) of a synthetic publisher: headers, a history for NACKs, counters for sender reports. */
import { randomInt } from 'node:crypto';
import type { RtcpWriter } from '../../../media-node/rtcp/write.ts';
import type { ClientTransport } from './client-transport.ts';

const FIXED_HEADER_BYTES = 12;
const HISTORY = 2_048;
const SEQUENCE_MODULUS = 0x10000;
const ONE_BYTE_PROFILE = 0xbede;
const OSN_BYTES = 2;
const MAX_PACKET_BYTES = 2_048;

/** A header extension element of every packet. */
export interface ExtensionElement {
  id: number;
  value: string;
}

export interface OutgoingStreamOptions {
  ssrc: number;
  payloadType: number;
  extensions: readonly ExtensionElement[];
  rtx: { ssrc: number; payloadType: number; extensions: readonly ExtensionElement[] } | null;
}

interface Sent {
  sequence: number;
  timestamp: number;
  marker: boolean;
  payload: Buffer;
}

/** Shared by all: only in use within one call. */
const out = Buffer.alloc(MAX_PACKET_BYTES);

export class OutgoingStream {
  readonly ssrc: number;
  packets = 0;
  bytes = 0;
  retransmitted = 0;
  readonly #options: OutgoingStreamOptions;
  readonly #transport: ClientTransport;
  readonly #extensions: Buffer;
  readonly #rtxExtensions: Buffer;
  readonly #history: (Sent | undefined)[] = new Array(HISTORY);
  /** Extended. */
  #nextSequence: number;
  #nextRtxSequence: number;

  constructor(options: OutgoingStreamOptions, transport: ClientTransport, firstSequence = randomInt(0x8000)) {
    this.#options = options;
    this.#transport = transport;
    this.ssrc = options.ssrc;
    this.#extensions = extensionBlock(options.extensions);
    this.#rtxExtensions = extensionBlock(options.rtx?.extensions ?? []);
    this.#nextSequence = firstSequence;
    this.#nextRtxSequence = randomInt(0x8000);
  }

  /** Extended number of the next packet. */
  get nextSequence(): number {
    return this.#nextSequence;
  }

  send(payload: Buffer, timestamp: number, marker: boolean): void {
    const sequence = this.#nextSequence++;
    const sent = { sequence, timestamp, marker, payload };
    this.#history[sequence % HISTORY] = sent;
    this.packets += 1;
    this.bytes += payload.length;
    this.#sendAs(this.ssrc, this.#options.payloadType, sent, this.#extensions);
  }

  /** Answers a NACK: by RTX when there is one, else by the very packet. */
  retransmit(sequence16: number): void {
    const newest = this.#nextSequence - 1;
    const behind = (newest - sequence16 + SEQUENCE_MODULUS * 2) % SEQUENCE_MODULUS;
    const sent = this.#history[(newest - behind + HISTORY * SEQUENCE_MODULUS) % HISTORY];
    if (sent === undefined || sent.sequence !== newest - behind) return;
    this.retransmitted += 1;
    const { rtx } = this.#options;
    if (rtx === null) {
      this.#sendAs(this.ssrc, this.#options.payloadType, sent, this.#extensions);
      return;
    }
    const original = Buffer.alloc(OSN_BYTES);
    original.writeUInt16BE(sequence16);
    const repeated = { ...sent, sequence: this.#nextRtxSequence++, payload: Buffer.concat([original, sent.payload]) };
    this.#sendAs(rtx.ssrc, rtx.payloadType, repeated, this.#rtxExtensions);
  }

  writeSenderReport(writer: RtcpWriter, ntp: { high: number; low: number }, timestamp: number): void {
    if (this.packets > 0) writer.senderReport(this.ssrc, ntp.high, ntp.low, timestamp, this.packets, this.bytes);
  }

  #sendAs(ssrc: number, payloadType: number, packet: Sent, extensions: Buffer): void {
    out[0] = 0x80 | (extensions.length > 0 ? 0x10 : 0);
    out[1] = (packet.marker ? 0x80 : 0) | payloadType;
    out.writeUInt16BE(packet.sequence % SEQUENCE_MODULUS, 2);
    out.writeUInt32BE(packet.timestamp >>> 0, 4);
    out.writeUInt32BE(ssrc, 8);
    extensions.copy(out, FIXED_HEADER_BYTES);
    const rolloverCounter = Math.floor(packet.sequence / SEQUENCE_MODULUS);
    this.#transport.sendRtp(out, FIXED_HEADER_BYTES + extensions.length, packet.payload, rolloverCounter);
  }
}

/** RFC 8285 §4.2; empty without elements. */
function extensionBlock(elements: readonly ExtensionElement[]): Buffer {
  if (elements.length === 0) return Buffer.alloc(0);
  const body = Buffer.concat(
    elements.map(({ id, value }) => Buffer.concat([Buffer.from([(id << 4) | (value.length - 1)]), Buffer.from(value)])),
  );
  const padded = Buffer.alloc((body.length + 3) & ~3);
  body.copy(padded);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(ONE_BYTE_PROFILE, 0);
  head.writeUInt16BE(padded.length / 4, 2);
  return Buffer.concat([head, padded]);
}
