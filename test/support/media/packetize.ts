/** Frames as RTP payloads: RFC 6184 (H.264), RFC 7741 (VP8), RFC 9628 (VP9), AV1's own, RFC 7587 (Opus). */
import { MAX_PAYLOAD_BYTES } from '../client/pattern.ts';
import type { MediaCodec, MediaFrame } from './media-track.ts';

const FU_A = 28;
const PICTURE_ID_MODULUS = 0x8000;
const AV1_CONTINUES = 0x80;
const AV1_WILL_CONTINUE = 0x40;
/** A length in two bytes of leb128, even where one would do. */
const AV1_LENGTH_BYTES = 2;
const AV1_NEW_SEQUENCE = 0x08;

/** @param frame number of the frame since the start, for picture ids */
export function packetize(codec: MediaCodec, { parts, isKeyframe }: MediaFrame, frame: number): Buffer[] {
  const [whole = Buffer.alloc(0)] = parts;
  const pictureId = [0x80 | ((frame % PICTURE_ID_MODULUS) >> 8), frame % 0x100];
  switch (codec) {
    case 'opus':
      return [whole];
    case 'H264':
      return parts.flatMap(h264Packets);
    case 'VP8':
      // X, S at the start; I; picture id.
      return cut(whole, MAX_PAYLOAD_BYTES - 4).map((piece, at) =>
        Buffer.concat([Buffer.from([0x80 | (at === 0 ? 0x10 : 0), 0x80, ...pictureId]), piece]),
      );
    case 'VP9': {
      const pieces = cut(whole, MAX_PAYLOAD_BYTES - 3);
      // I, P for what is predicted, B and E at the ends; picture id. No layers, so nothing more.
      return pieces.map((piece, at) => {
        const ends = (at === 0 ? 0x08 : 0) | (at === pieces.length - 1 ? 0x04 : 0);
        return Buffer.concat([Buffer.from([0x80 | (isKeyframe ? 0 : 0x40) | ends, ...pictureId]), piece]);
      });
    }
    case 'AV1':
      return av1Packets(parts, isKeyframe);
  }
}

function h264Packets(unit: Buffer): Buffer[] {
  if (unit.length <= MAX_PAYLOAD_BYTES) return [unit];
  const header = unit[0] ?? 0;
  const pieces = cut(unit.subarray(1), MAX_PAYLOAD_BYTES - 2);
  return pieces.map((piece, at) => {
    const ends = (at === 0 ? 0x80 : 0) | (at === pieces.length - 1 ? 0x40 : 0);
    return Buffer.concat([Buffer.from([(header & 0xe0) | FU_A, ends | (header & 0x1f)]), piece]);
  });
}

/**
 * All units of a frame in a row, each with its length, so that only a packet's end cuts one: libwebrtc takes a packet that
 * neither begins nor ends inside of a unit for a whole frame.
 */
function av1Packets(obus: readonly Buffer[], isKeyframe: boolean): Buffer[] {
  const packets: Buffer[] = [];
  let pieces: Buffer[] = [];
  let room = MAX_PAYLOAD_BYTES - 1;
  let continues = 0;
  const flush = (willContinue: number): void => {
    const newSequence = isKeyframe && packets.length === 0 ? AV1_NEW_SEQUENCE : 0;
    packets.push(Buffer.concat([Buffer.from([continues | willContinue | newSequence]), ...pieces]));
    continues = willContinue === 0 ? 0 : AV1_CONTINUES;
    pieces = [];
    room = MAX_PAYLOAD_BYTES - 1;
  };
  for (const obu of obus) {
    for (let at = 0; at < obu.length; ) {
      if (room <= AV1_LENGTH_BYTES) flush(at === 0 ? 0 : AV1_WILL_CONTINUE);
      const piece = obu.subarray(at, at + room - AV1_LENGTH_BYTES);
      pieces.push(Buffer.from([0x80 | (piece.length & 0x7f), piece.length >> 7]), piece);
      room -= AV1_LENGTH_BYTES + piece.length;
      at += piece.length;
    }
  }
  flush(0);
  return packets;
}

function cut(data: Buffer, room: number): Buffer[] {
  return Array.from({ length: Math.max(1, Math.ceil(data.length / room)) }, (_, index) =>
    data.subarray(index * room, (index + 1) * room),
  );
}
