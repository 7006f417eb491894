/** VP8 and Opus packets that are well-formed up to where a forwarder looks; their content is no picture and no sound. */
import { frameMarker, MARKER_BYTES } from './frame-marker.ts';

const VP8_DESCRIPTOR_BYTES = 4;
const PICTURE_ID_MODULUS = 0x8000;
const FILLER = 0x55;
/** CELT, full band, 20 ms, stereo, one frame (RFC 6716 §3.1). */
const OPUS_TOC = 0xfc;

/** Payloads (RFC 7741) with a 15-bit picture id. */
export function vp8Frame(
  frame: number,
  isKeyframe: boolean,
  size: { width: number; height: number; bytes: number; maxPayload: number },
): Buffer[] {
  const data = Buffer.concat([vp8Header(isKeyframe, size.width, size.height), frameMarker(frame)]);
  const whole = Buffer.concat([data, Buffer.alloc(Math.max(0, size.bytes - data.length), FILLER)]);
  const room = size.maxPayload - VP8_DESCRIPTOR_BYTES;
  const count = Math.ceil(whole.length / room);
  const pictureId = frame % PICTURE_ID_MODULUS;
  return Array.from({ length: count }, (_, index) => {
    const startOfPartition = index === 0 ? 0x10 : 0;
    const descriptor = Buffer.from([0x80 | startOfPartition, 0x80, 0x80 | (pictureId >> 8), pictureId & 0xff]);
    return Buffer.concat([descriptor, whole.subarray(index * room, (index + 1) * room)]);
  });
}

/** Frame tag, and on keyframes start code and dimensions (RFC 6386 §9.1). */
function vp8Header(isKeyframe: boolean, width: number, height: number): Buffer {
  if (!isKeyframe) return Buffer.from([0x11, 0x02, 0x00]);
  const header = Buffer.from([0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0, 0, 0, 0]);
  header.writeUInt16LE(width, 6);
  header.writeUInt16LE(height, 8);
  return header;
}

/** One Opus packet of 20 ms. */
export function opusFrame(frame: number, bytes: number): Buffer {
  const filler = Math.max(0, bytes - 1 - MARKER_BYTES);
  return Buffer.concat([Buffer.from([OPUS_TOC]), frameMarker(frame), Buffer.alloc(filler, FILLER)]);
}
