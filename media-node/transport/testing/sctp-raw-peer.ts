/** Our data channels and a peer that writes its packets by hand, chunk by chunk, all at once: for floods and fuzzing. */
import { AssociationChannels } from '../data-channels.ts';
import type { DataChannel } from '../types.ts';
import { crc32c } from '../werift-internals.ts';

const TAG = 0x11223344;
const FIRST_TSN = 0xffff_fff0;
const FLAGS_WHOLE = 3;

/** A packet that passes the checksum, whatever is in it. */
export function sealed(packet: Buffer): Buffer {
  if (packet.length < 12) return packet;
  packet.writeUInt32LE(0, 8);
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}

export function chunk(type: number, flags: number, body: Uint8Array, length = 4 + body.length): Buffer {
  const bytes = Buffer.alloc((4 + body.length + 3) & ~3);
  bytes.set([type, flags]);
  bytes.writeUInt16BE(length & 0xffff, 2);
  bytes.set(body, 4);
  return bytes;
}

export class RawPeer {
  readonly channels: AssociationChannels;
  readonly replies: Buffer[] = [];
  readonly opened: DataChannel[] = [];
  readonly heard: Buffer[] = [];
  nowMs = 0;
  nextTsn = FIRST_TSN;
  #tag = 0;

  /** Established, with the channel `signal` open on stream 0. */
  constructor() {
    this.channels = new AssociationChannels(
      {
        remotePort: 5000,
        maxMessageBytes: 256 * 1024,
        events: {
          onChannel: (channel) => {
            this.opened.push(channel);
            channel.onMessage = (data) => void this.heard.push(data);
          },
        },
      },
      { dtlsRole: () => 'server', send: (packet) => void this.replies.push(packet), now: () => this.nowMs },
    );
    const init = Buffer.alloc(16);
    init.writeUInt32BE(TAG, 0);
    init.writeUInt32BE(100_000, 4);
    init.writeUInt16BE(1000, 8);
    init.writeUInt16BE(1000, 10);
    init.writeUInt32BE(FIRST_TSN, 12);
    this.send(chunk(1, 0, init));
    const ack = this.replies[0] ?? Buffer.alloc(0);
    this.#tag = ack.readUInt32BE(16);
    // Its first parameter is the cookie.
    const cookie = ack.subarray(36, 32 + ack.readUInt16BE(34));
    this.send(chunk(10, 0, cookie));
    this.send(this.open(0, 'signal'));
  }

  /** The tag that packets to us carry. */
  get tag(): number {
    return this.#tag;
  }

  /** One packet of these chunks. */
  packet(...chunks: Buffer[]): Buffer {
    const header = Buffer.alloc(12);
    header.writeUInt16BE(5000, 0);
    header.writeUInt16BE(5000, 2);
    header.writeUInt32BE(this.#tag, 4);
    return sealed(Buffer.concat([header, ...chunks]));
  }

  send(...chunks: Buffer[]): void {
    this.channels.receive(this.packet(...chunks), this.nowMs);
  }

  /** A DATA chunk under the next TSN. */
  data(stream: number, protocol: number, data: Uint8Array, flags = FLAGS_WHOLE): Buffer {
    const body = Buffer.alloc(12 + data.length);
    body.writeUInt32BE(this.nextTsn, 0);
    body.writeUInt16BE(stream, 4);
    body.writeUInt32BE(protocol, 8);
    body.set(data, 12);
    this.nextTsn = (this.nextTsn + 1) % 2 ** 32;
    return chunk(0, flags, body);
  }

  /** Acknowledges the last DATA chunk that came. */
  acknowledge(): void {
    const data = this.replies.findLast((packet) => packet[12] === 0);
    const sack = Buffer.alloc(12);
    sack.writeUInt32BE(data?.readUInt32BE(16) ?? 0, 0);
    sack.writeUInt32BE(100_000, 4);
    this.send(chunk(3, 0, sack));
  }

  open(stream: number, label: string): Buffer {
    const open = Buffer.alloc(12 + label.length);
    open.writeUInt8(3, 0);
    open.writeUInt16BE(label.length, 8);
    open.write(label, 12);
    return this.data(stream, 50, open);
  }
}
