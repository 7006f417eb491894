/** The messages that open data channels (RFC 8832 §5). */

/** The protocol allows 64 KiB; a name is not that long. */
export const MAX_NAME_BYTES = 256;

const TYPE = { ack: 0x02, open: 0x03 } as const;
const OPEN_HEADER_BYTES = 12;
/** In the channel type. */
const UNORDERED = 0x80;

export const ACK = Buffer.from([TYPE.ack]);

export interface ChannelNames {
  readonly label: string;
  readonly protocol: string;
  readonly ordered: boolean;
}

export function isAck(data: Buffer): boolean {
  return data[0] === TYPE.ack;
}

/** DATA_CHANNEL_OPEN; null when it is none or malformed. Reliability and priority do not matter to a receiver. */
export function readOpen(data: Buffer): ChannelNames | null {
  if (data[0] !== TYPE.open || data.length < OPEN_HEADER_BYTES) return null;
  const labelBytes = data.readUInt16BE(8);
  const protocolBytes = data.readUInt16BE(10);
  const labelEnd = OPEN_HEADER_BYTES + labelBytes;
  const protocolEnd = labelEnd + protocolBytes;
  if (protocolEnd > data.length || labelBytes > MAX_NAME_BYTES || protocolBytes > MAX_NAME_BYTES) return null;
  return {
    label: data.toString('utf8', OPEN_HEADER_BYTES, labelEnd),
    protocol: data.toString('utf8', labelEnd, protocolEnd),
    ordered: (data.readUInt8(1) & UNORDERED) === 0,
  };
}

/** Of a reliable, ordered channel without a protocol. */
export function writeOpen(label: string): Buffer {
  const name = Buffer.from(label);
  const message = Buffer.alloc(OPEN_HEADER_BYTES + name.length);
  message.writeUInt8(TYPE.open, 0);
  message.writeUInt16BE(name.length, 8);
  name.copy(message, OPEN_HEADER_BYTES);
  return message;
}
