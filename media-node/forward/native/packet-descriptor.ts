/** What the addon is told of a packet, as numbers in one array: one argument instead of eighteen. */
import { COPIED_COUNT, type SourcePacket } from '../source-packet.ts';

/** Places in the array; `addon/addon.cc` has the same list. */
const PAYLOAD_OFFSET = 0;
const PAYLOAD_LENGTH = 1;
const MARKER = 2;
const PADDING_ONLY = 3;
const SEQUENCE = 4;
const TIMESTAMP = 5;
const EXTENSION_MASK = 6;
const EXTENSION_OFFSETS = 7;
const EXTENSION_LENGTHS = EXTENSION_OFFSETS + COPIED_COUNT;
export const DESCRIPTOR_LENGTH = EXTENSION_LENGTHS + COPIED_COUNT;

/** Describes `packet`, whose payload lies in its `bytes`. */
export function describePacket(packet: SourcePacket, into: Float64Array): void {
  into[PAYLOAD_OFFSET] = packet.payload.byteOffset - packet.bytes.byteOffset;
  into[PAYLOAD_LENGTH] = packet.payload.length;
  into[MARKER] = packet.header.marker ? 1 : 0;
  into[PADDING_ONLY] = packet.paddingOnly ? 1 : 0;
  into[SEQUENCE] = packet.sequence;
  into[TIMESTAMP] = packet.header.timestamp;
  into[EXTENSION_MASK] = packet.extensionMask;
  if (packet.extensionMask === 0) return;
  for (let i = 0; i < COPIED_COUNT; i++) {
    into[EXTENSION_OFFSETS + i] = packet.extensionOffset[i] as number;
    into[EXTENSION_LENGTHS + i] = packet.extensionLength[i] as number;
  }
}
