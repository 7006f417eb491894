/** Packets of a source, and rules of a sink, by what matters in a test. */
import type { SinkRules } from '../fanout-engine.ts';
import { COPIED_COUNT, COPIED_EXTENSIONS, SourcePacket } from '../source-packet.ts';

/** The publisher's ids of the extensions that are copied: 1, 2, 3, … */
export const SOURCE_IDS = Uint8Array.from(COPIED_EXTENSIONS, (_, i) => i + 1);

/** Rules of a sink; nothing negotiated but for `changes`. */
export function rules(changes: Partial<SinkRules> = {}): SinkRules {
  return {
    ssrc: 0xfeedbeef,
    payloadType: 100,
    rtx: null,
    midId: 0,
    mid: '',
    copiedIds: new Uint8Array(COPIED_COUNT),
    ...changes,
  };
}

export interface Shape {
  sequence: number;
  timestamp?: number;
  marker?: boolean;
  payload?: Buffer;
  padding?: number;
  /** Elements by id; written with two-byte headers when one needs them. */
  extensions?: Record<number, Buffer>;
}

/** A packet of this shape, as `SourcePacket` reads it by `SOURCE_IDS`. */
export function sourcePacket(shape: Shape): SourcePacket {
  const { sequence, timestamp = 1000, marker = false, payload = Buffer.from('hello'), padding = 0 } = shape;
  const elements = Object.entries(shape.extensions ?? {});
  const twoByte = elements.some(([, data]) => data.length > 16 || data.length === 0);
  const body = Buffer.concat(
    elements.map(([id, data]) =>
      Buffer.concat([
        twoByte ? Buffer.from([Number(id), data.length]) : Buffer.from([(Number(id) << 4) | (data.length - 1)]),
        data,
      ]),
    ),
  );
  const block = Buffer.alloc(elements.length === 0 ? 0 : 4 + Math.ceil(body.length / 4) * 4);
  if (block.length > 0) {
    block.writeUInt16BE(twoByte ? 0x1000 : 0xbede, 0);
    block.writeUInt16BE(block.length / 4 - 1, 2);
    body.copy(block, 4);
  }
  const header = Buffer.alloc(12);
  header[0] = 0x80 | (padding > 0 ? 0x20 : 0) | (block.length > 0 ? 0x10 : 0);
  header[1] = (marker ? 0x80 : 0) | 96;
  header.writeUInt16BE(sequence & 0xffff, 2);
  header.writeUInt32BE(timestamp, 4);
  header.writeUInt32BE(1, 8);
  const tail = Buffer.alloc(padding);
  if (padding > 0) tail[padding - 1] = padding;
  const bytes = Buffer.concat([header, block, payload, tail]);
  const packet = new SourcePacket();
  if (!packet.read(bytes, bytes.length, SOURCE_IDS)) throw new Error('not a packet');
  packet.sequence = sequence;
  return packet;
}
