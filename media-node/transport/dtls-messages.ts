/**
 * Handshake messages (RFC 6347 §4.2.2): fragments in any order and number into messages in the right order, and back.
 */

export const HANDSHAKE = {
  helloRequest: 0,
  clientHello: 1,
  serverHello: 2,
  helloVerifyRequest: 3,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
} as const;

export const HANDSHAKE_HEADER_BYTES = 12;
/** A certificate chain is the longest message; WebRTC's are self-signed and about 400 bytes. */
const MAX_MESSAGE_BYTES = 16_384;
/** A flight has six messages at most; what is further ahead cannot be of this flight. */
const MAX_AHEAD = 8;

export interface HandshakeMessage {
  readonly type: number;
  readonly epoch: number;
  readonly body: Buffer;
  /** Header and body as if the message had come in one piece: what transcripts are made of. */
  readonly raw: Buffer;
}

interface Assembly {
  readonly type: number;
  readonly epoch: number;
  readonly raw: Buffer;
  /** One flag per byte of the body: fragments may overlap. */
  readonly have: Uint8Array;
  missing: number;
}

/** The whole message with its header, unfragmented. */
export function handshakeMessage(type: number, sequence: number, body: Buffer): Buffer {
  const raw = Buffer.alloc(HANDSHAKE_HEADER_BYTES + body.length);
  writeHeader(raw, type, body.length, sequence, 0, body.length);
  body.copy(raw, HANDSHAKE_HEADER_BYTES);
  return raw;
}

/** `raw` cut into fragments of at most `maxBytes`, header included. */
export function fragmentMessage(raw: Buffer, maxBytes: number): Buffer[] {
  if (raw.length <= maxBytes) return [raw];
  const fragments: Buffer[] = [];
  const body = raw.subarray(HANDSHAKE_HEADER_BYTES);
  const step = maxBytes - HANDSHAKE_HEADER_BYTES;
  for (let offset = 0; offset < body.length; offset += step) {
    const part = body.subarray(offset, offset + step);
    const fragment = Buffer.alloc(HANDSHAKE_HEADER_BYTES + part.length);
    writeHeader(fragment, raw.readUInt8(0), body.length, raw.readUInt16BE(4), offset, part.length);
    part.copy(fragment, HANDSHAKE_HEADER_BYTES);
    fragments.push(fragment);
  }
  return fragments;
}

function writeHeader(out: Buffer, type: number, length: number, sequence: number, offset: number, part: number): void {
  out.writeUInt8(type, 0);
  out.writeUIntBE(length, 1, 3);
  out.writeUInt16BE(sequence, 4);
  out.writeUIntBE(offset, 6, 3);
  out.writeUIntBE(part, 9, 3);
}

/** What came of a record's fragments. */
export interface Received {
  /** The record repeated a message that was taken already: the peer has not seen our answer to it. */
  repeated: boolean;
}

/** Collects fragments and hands messages out in sequence, each once. Memory is bounded. */
export class HandshakeInbox {
  #next = 0;
  readonly #assemblies = new Map<number, Assembly>();
  #closed = false;

  /** Takes the fragments in the body of one handshake record; what is malformed is dropped. The body is copied. */
  push(body: Buffer, epoch: number): Received {
    let repeated = false;
    let offset = 0;
    while (offset + HANDSHAKE_HEADER_BYTES <= body.length) {
      const type = body.readUInt8(offset);
      const length = body.readUIntBE(offset + 1, 3);
      const sequence = body.readUInt16BE(offset + 4);
      const partOffset = body.readUIntBE(offset + 6, 3);
      const partLength = body.readUIntBE(offset + 9, 3);
      const start = offset + HANDSHAKE_HEADER_BYTES;
      if (start + partLength > body.length || partOffset + partLength > length || length > MAX_MESSAGE_BYTES) break;
      if (sequence < this.#next) {
        repeated = true;
      } else if (!this.#closed && sequence < this.#next + MAX_AHEAD) {
        this.#add(type, epoch, sequence, length, partOffset, body.subarray(start, start + partLength));
      }
      offset = start + partLength;
    }
    return { repeated };
  }

  /** The next message in sequence, or null until it is complete. It stays next until `accept`. */
  peek(): HandshakeMessage | null {
    const assembly = this.#assemblies.get(this.#next);
    if (assembly === undefined || assembly.missing > 0) return null;
    const { type, epoch, raw } = assembly;
    return { type, epoch, raw, body: raw.subarray(HANDSHAKE_HEADER_BYTES) };
  }

  /** The message that `peek` gave was good; the one after it is next. */
  accept(): void {
    this.#assemblies.delete(this.#next);
    this.#next += 1;
  }

  /** The message that `peek` gave was unreadable: forget it, so that a retransmission can take its place. */
  reject(): void {
    this.#assemblies.delete(this.#next);
  }

  /** Nothing is awaited any more: from now on it only tells repetitions, and puts nothing together. */
  close(): void {
    this.#closed = true;
    this.#assemblies.clear();
  }

  #add(type: number, epoch: number, sequence: number, length: number, offset: number, part: Buffer): void {
    let assembly = this.#assemblies.get(sequence);
    if (assembly === undefined) {
      const raw = handshakeMessage(type, sequence, Buffer.alloc(length));
      assembly = { type, epoch, raw, have: new Uint8Array(length), missing: length };
      this.#assemblies.set(sequence, assembly);
    }
    if (assembly.type !== type || assembly.epoch !== epoch || assembly.have.length !== length) return;
    for (let i = 0; i < part.length; i++) {
      if (assembly.have[offset + i] === 1) continue;
      assembly.have[offset + i] = 1;
      assembly.raw[HANDSHAKE_HEADER_BYTES + offset + i] = part[i] ?? 0;
      assembly.missing -= 1;
    }
  }
}
