/** One RTP stream of a test publisher: makes VP8-shaped frames whose content says what they are. */
import type { SrtpKeys } from '../../transport/types.ts';
import { deriveSessionKeys } from '../srtp/session-keys.ts';
import { SRTP_OVERHEAD, SrtpSender } from '../srtp/srtp-sender.ts';

export interface RtpSourceOptions {
  ssrc: number;
  payloadType: number;
  /** Extended. */
  firstSequence?: number;
  firstTimestamp?: number;
  /** Elements of a one-byte header extension block, id to data. */
  extensions?: Record<number, Buffer>;
  rtx?: { ssrc: number; payloadType: number };
}

export interface FramePacket {
  /** Extended sequence number. */
  sequence: number;
  datagram: Buffer;
}

/** Where the content of a payload begins: payload descriptor and the first byte of the VP8 frame header. */
const CONTENT_OFFSET = 2;

export interface FrameContent {
  stream: number;
  frame: number;
  index: number;
  count: number;
  keyframe: boolean;
}

/** Reads what `RtpSource.frame` wrote; null for a padding-only packet. */
export function readContent(payload: Buffer): FrameContent | null {
  if (payload.length < CONTENT_OFFSET + 10) return null;
  const index = payload.readUInt16BE(CONTENT_OFFSET + 6);
  return {
    stream: payload.readUInt16BE(CONTENT_OFFSET),
    frame: payload.readUInt32BE(CONTENT_OFFSET + 2),
    index,
    count: payload.readUInt16BE(CONTENT_OFFSET + 8),
    keyframe: index === 0 && payload[0] === 0x10 && ((payload[1] as number) & 1) === 0,
  };
}

export class RtpSource {
  readonly options: RtpSourceOptions;
  readonly #srtp: SrtpSender;
  readonly #sent = new Map<number, { payload: Buffer; timestamp: number }>();
  sequence: number;
  timestamp: number;
  frames = 0;
  #rtxSequence = 0;

  /** `srtp` is shared by the streams of one publisher. */
  constructor(options: RtpSourceOptions, srtp: SrtpSender) {
    this.options = options;
    this.#srtp = srtp;
    this.sequence = options.firstSequence ?? 1000;
    this.timestamp = options.firstTimestamp ?? 0;
  }

  static sender(keys: SrtpKeys): SrtpSender {
    return new SrtpSender(deriveSessionKeys(keys.profile, keys.localKey, keys.localSalt));
  }

  /** The packets of the next frame; its timestamp is the present `timestamp`. */
  frame(keyframe: boolean, packets: number, payloadBytes = 200): FramePacket[] {
    const number = this.frames++;
    return Array.from({ length: packets }, (_, index) => {
      const payload = Buffer.alloc(Math.max(payloadBytes, CONTENT_OFFSET + 10), number & 0xff);
      payload[0] = index === 0 ? 0x10 : 0x00;
      payload[1] = keyframe ? 0 : 1;
      payload.writeUInt16BE(this.options.ssrc & 0xffff, CONTENT_OFFSET);
      payload.writeUInt32BE(number, CONTENT_OFFSET + 2);
      payload.writeUInt16BE(index, CONTENT_OFFSET + 6);
      payload.writeUInt16BE(packets, CONTENT_OFFSET + 8);
      return this.packet(payload, index === packets - 1);
    });
  }

  /** One packet with this payload. */
  packet(payload: Buffer, marker = true): FramePacket {
    const sequence = this.sequence++;
    this.#sent.set(sequence, { payload, timestamp: this.timestamp });
    const { ssrc, payloadType } = this.options;
    return { sequence, datagram: this.#protect(ssrc, payloadType, sequence, payload, marker, false) };
  }

  /** A packet of nothing but padding. */
  padding(bytes = 50): FramePacket {
    const sequence = this.sequence++;
    const payload = Buffer.alloc(bytes);
    payload[bytes - 1] = bytes;
    const { ssrc, payloadType } = this.options;
    return { sequence, datagram: this.#protect(ssrc, payloadType, sequence, payload, false, true) };
  }

  /** Answers a NACK by RTX; null when the packet was not sent or no RTX was agreed on. */
  retransmit(sequence16: number, markerOf: (payload: Buffer) => boolean): Buffer | null {
    const { rtx } = this.options;
    if (rtx === undefined) return null;
    let sequence = this.sequence - 1;
    while (sequence >= 0 && (sequence & 0xffff) !== sequence16) sequence--;
    const sent = this.#sent.get(sequence);
    if (sent === undefined) return null;
    const { payload, timestamp } = sent;
    const osn = Buffer.alloc(2);
    osn.writeUInt16BE(sequence16);
    const repeated = Buffer.concat([osn, payload]);
    return this.#protect(rtx.ssrc, rtx.payloadType, ++this.#rtxSequence, repeated, markerOf(payload), false, timestamp);
  }

  #protect(
    ssrc: number,
    pt: number,
    sequence: number,
    payload: Buffer,
    marker: boolean,
    padding: boolean,
    timestamp = this.timestamp,
  ): Buffer {
    const block = extensionBlock(this.options.extensions ?? {});
    const headerLength = 12 + block.length;
    const out = Buffer.alloc(headerLength + payload.length + SRTP_OVERHEAD);
    out[0] = 0x80 | (padding ? 0x20 : 0) | (block.length > 0 ? 0x10 : 0);
    out[1] = (marker ? 0x80 : 0) | pt;
    out.writeUInt16BE(sequence & 0xffff, 2);
    out.writeUInt32BE(timestamp >>> 0, 4);
    out.writeUInt32BE(ssrc, 8);
    block.copy(out, 12);
    return out.subarray(0, this.#srtp.protectRtp(out, headerLength, payload, Math.floor(sequence / 65536)));
  }
}

function extensionBlock(extensions: Record<number, Buffer>): Buffer {
  const elements = Object.entries(extensions).map(([id, data]) =>
    Buffer.concat([Buffer.from([(Number(id) << 4) | (data.length - 1)]), data]),
  );
  if (elements.length === 0) return Buffer.alloc(0);
  const body = Buffer.concat(elements);
  const padded = Buffer.alloc(Math.ceil(body.length / 4) * 4);
  body.copy(padded);
  const head = Buffer.from([0xbe, 0xde, 0, padded.length / 4]);
  return Buffer.concat([head, padded]);
}
