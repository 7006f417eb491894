/** Retransmission packets (RFC 4588). */
import { paddingLength, type RtpHeader } from './rtp-header.ts';

const OSN_BYTES = 2;

/**
 * Turns the RTX packet in the first `length` bytes of `packet` (parsed into `header`) into the packet that it repeats:
 * its SSRC, payload type, sequence number and payload; padding goes. Returns the new length, 0 when no packet is in it.
 */
export function recoverOriginal(
  packet: Buffer,
  length: number,
  header: RtpHeader,
  ssrc: number,
  payloadType: number,
): number {
  const padding = paddingLength(packet, length, header);
  const end = length - padding;
  // An original that was padding only has nothing behind its number: not worth repeating.
  if (padding < 0 || end <= header.length + OSN_BYTES) return 0;
  const sequence = packet.readUInt16BE(header.length);
  packet.copyWithin(header.length, header.length + OSN_BYTES, end);
  packet[0] = (packet[0] as number) & ~0x20;
  packet[1] = ((packet[1] as number) & 0x80) | payloadType;
  packet.writeUInt16BE(sequence, 2);
  packet.writeUInt32BE(ssrc, 8);
  return end - OSN_BYTES;
}
