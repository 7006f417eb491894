/** Frames as RTP payloads: RFC 6184 (H.264), RFC 7741 (VP8), RFC 9628 (VP9), AV1's own, RFC 7587 (Opus). */
import { MAX_PAYLOAD_BYTES } from '../client/pattern.ts';
import type { MediaCodec, MediaFrame } from './media-track.ts';

const FU_A = 28;
const PICTURE_ID_MODULUS = 0x8000;
const AV1_CONTINUES = 0x80;
const AV1_WILL_CONTINUE = 0x40;
const AV1_ONE_ELEMENT = 0x10;
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

/** One unit, or a piece of one, in each packet. */
function av1Packets(obus: readonly Buffer[], isKeyframe: boolean): Buffer[] {
  return obus.flatMap((obu, index) => {
    const pieces = cut(obu, MAX_PAYLOAD_BYTES - 1);
    return pieces.map((piece, at) => {
      const header =
        AV1_ONE_ELEMENT |
        (at > 0 ? AV1_CONTINUES : 0) |
        (at < pieces.length - 1 ? AV1_WILL_CONTINUE : 0) |
        (isKeyframe && index === 0 && at === 0 ? AV1_NEW_SEQUENCE : 0);
      return Buffer.concat([Buffer.from([header]), piece]);
    });
  });
}

function cut(data: Buffer, room: number): Buffer[] {
  return Array.from({ length: Math.max(1, Math.ceil(data.length / room)) }, (_, index) =>
    data.subarray(index * room, (index + 1) * room),
  );
}
