/** RTMP's chunk stream (Adobe RTMP 1.0 §5.3): messages cut into chunks, and put together again. */

export interface RtmpMessage {
  type: number;
  /** Of the message stream; 0 for control and for `connect`. */
  stream: number;
  timestampMs: number;
  payload: Buffer;
}

export const SET_CHUNK_SIZE = 1;
const ABORT = 2;
const DEFAULT_CHUNK_BYTES = 128;
const EXTENDED_TIMESTAMP = 0xffffff;
/** Servers answer with commands of some hundred bytes. */
const MAX_INCOMING_BYTES = 256 * 1024;
const MAX_INCOMING_STREAMS = 64;
/** Bytes of the message header by chunk type 0…3. */
const HEADER_BYTES = [11, 7, 3, 0] as const;

/** One message as chunks on `chunkStream` (2…63), each message with a full header: simple, and a receiver cannot lose track. */
export function writeChunks(message: RtmpMessage, chunkStream: number, chunkBytes: number): Buffer {
  const { payload } = message;
  const timestampMs = message.timestampMs >>> 0;
  const extended = timestampMs >= EXTENDED_TIMESTAMP;
  const tail = extended ? 4 : 0;
  const continuations = Math.max(0, Math.ceil(payload.length / chunkBytes) - 1);
  const out = Buffer.alloc(12 + tail + payload.length + continuations * (1 + tail));
  out.writeUInt8(chunkStream, 0);
  out.writeUIntBE(extended ? EXTENDED_TIMESTAMP : timestampMs, 1, 3);
  out.writeUIntBE(payload.length, 4, 3);
  out.writeUInt8(message.type, 7);
  out.writeUInt32LE(message.stream, 8);
  let at = 12;
  if (extended) at = out.writeUInt32BE(timestampMs, at);
  for (let from = 0; from < payload.length; from += chunkBytes) {
    if (from > 0) {
      at = out.writeUInt8(0xc0 | chunkStream, at);
      if (extended) at = out.writeUInt32BE(timestampMs, at);
    }
    at += payload.copy(out, at, from, Math.min(payload.length, from + chunkBytes));
  }
  return out;
}

interface Incoming {
  length: number;
  type: number;
  stream: number;
  timestampMs: number;
  delta: number;
  extended: boolean;
  parts: Buffer[];
  received: number;
}

export class ChunkReader {
  readonly #streams = new Map<number, Incoming>();
  #chunkBytes = DEFAULT_CHUNK_BYTES;
  #pending = Buffer.alloc(0);

  /** The messages that `data` completes. @throws RangeError when the peer breaks the rules */
  push(data: Buffer): RtmpMessage[] {
    this.#pending = this.#pending.length === 0 ? Buffer.from(data) : Buffer.concat([this.#pending, data]);
    const messages: RtmpMessage[] = [];
    for (;;) {
      const taken = this.#chunk(messages);
      if (taken === 0) return messages;
      this.#pending = this.#pending.subarray(taken);
    }
  }

  /** Reads one chunk and returns its length; 0 while it is incomplete. */
  #chunk(messages: RtmpMessage[]): number {
    const bytes = this.#pending;
    const first = bytes[0];
    if (first === undefined) return 0;
    const low = first & 0x3f;
    const idBytes = low === 0 ? 2 : low === 1 ? 3 : 1;
    const format = (first >> 6) as 0 | 1 | 2 | 3;
    const headerEnd = idBytes + HEADER_BYTES[format];
    if (bytes.length < headerEnd) return 0;
    const id = low === 0 ? bytes.readUInt8(1) + 64 : low === 1 ? bytes.readUInt16LE(1) + 64 : low;
    const known = this.#streams.get(id);
    if (known === undefined && format !== 0) throw new RangeError('RTMP chunk without a header before it');
    const next = { ...(known ?? { length: 0, type: 0, stream: 0, timestampMs: 0, delta: 0, extended: false }) };
    let field = 0;
    if (format < 3) {
      field = bytes.readUIntBE(idBytes, 3);
      next.extended = field === EXTENDED_TIMESTAMP;
    }
    if (format < 2) {
      next.length = bytes.readUIntBE(idBytes + 3, 3);
      next.type = bytes.readUInt8(idBytes + 6);
    }
    if (format === 0) next.stream = bytes.readUInt32LE(idBytes + 7);
    const start = headerEnd + (next.extended ? 4 : 0);
    if (bytes.length < start) return 0;
    if (next.extended && format < 3) field = bytes.readUInt32BE(headerEnd);
    if (next.length > MAX_INCOMING_BYTES) throw new RangeError('RTMP message too large');
    const begun = known !== undefined && known.received > 0;
    const received = begun ? known.received : 0;
    const size = Math.min(this.#chunkBytes, next.length - received);
    if (bytes.length < start + size) return 0;

    if (format === 0) next.timestampMs = field;
    else if (!begun) {
      if (format < 3) next.delta = field;
      next.timestampMs = (next.timestampMs + next.delta) >>> 0;
    }
    // The list grows in place: copied for each chunk, a message in chunks of one byte would take minutes.
    const parts = begun ? known.parts : [];
    parts.push(Buffer.from(bytes.subarray(start, start + size)));
    const incoming: Incoming = { ...next, parts, received: received + size };
    this.#streams.set(id, incoming);
    if (this.#streams.size > MAX_INCOMING_STREAMS) throw new RangeError('too many RTMP chunk streams');
    if (incoming.received >= incoming.length) this.#complete(incoming, messages);
    return start + size;
  }

  #complete(incoming: Incoming, messages: RtmpMessage[]): void {
    const { type, stream, timestampMs } = incoming;
    const payload = Buffer.concat(incoming.parts);
    incoming.parts = [];
    incoming.received = 0;
    if (type === SET_CHUNK_SIZE && payload.length >= 4) {
      this.#chunkBytes = Math.max(1, payload.readUInt32BE(0) & 0x7fffffff);
    } else if (type === ABORT && payload.length >= 4) {
      const aborted = this.#streams.get(payload.readUInt32BE(0));
      if (aborted !== undefined) Object.assign(aborted, { parts: [], received: 0 });
    } else {
      messages.push({ type, stream, timestampMs, payload });
    }
  }
}
