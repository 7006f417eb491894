/**
 * SCTP packets as they come in (RFC 9260 §3): lengths are proved before anything is read, so that nothing a peer sends
 * can throw or take long. Outgoing chunks are werift's.
 */
import { crc32c } from './werift-internals.ts';

export const CHUNK = {
  data: 0,
  init: 1,
  sack: 3,
  heartbeat: 4,
  abort: 6,
  shutdown: 7,
  cookieEcho: 10,
  reconfig: 130,
} as const;

const COMMON_HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 4;
const PARAMETER_HEADER_BYTES = 4;
const CHECKSUM_OFFSET = 8;
const NO_CHECKSUM = Buffer.alloc(4);

export interface ReceivedChunk {
  readonly type: number;
  readonly flags: number;
  /** A view of the packet: copy it to keep it. */
  readonly body: Buffer;
}

export interface ReceivedPacket {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly tag: number;
  readonly chunks: readonly ReceivedChunk[];
}

/** Null when it is not a whole packet with the right checksum. */
export function readSctpPacket(data: Buffer): ReceivedPacket | null {
  if (data.length < COMMON_HEADER_BYTES + CHUNK_HEADER_BYTES) return null;
  const rest = data.subarray(COMMON_HEADER_BYTES);
  const covered = Buffer.concat([data.subarray(0, CHECKSUM_OFFSET), NO_CHECKSUM, rest]);
  if (crc32c(covered) !== data.readUInt32LE(CHECKSUM_OFFSET)) return null;
  const chunks: ReceivedChunk[] = [];
  for (const { head, body } of lengthValues(rest, CHUNK_HEADER_BYTES)) {
    chunks.push({ type: head >> 8, flags: head & 0xff, body });
  }
  if (chunks.length === 0) return null;
  return {
    sourcePort: data.readUInt16BE(0),
    destinationPort: data.readUInt16BE(2),
    tag: data.readUInt32BE(4),
    chunks,
  };
}

export interface Parameter {
  readonly type: number;
  readonly value: Buffer;
}

/** The parameters of a chunk (RFC 9260 §3.2.1), up to the first malformed one. */
export function readParameters(body: Buffer): Parameter[] {
  return lengthValues(body, PARAMETER_HEADER_BYTES).map(({ head, body: value }) => ({ type: head, value }));
}

/** Sixteen bits, sixteen bits of length with this header, body, padding to four bytes. */
function lengthValues(data: Buffer, headerBytes: number): { head: number; body: Buffer }[] {
  const items: { head: number; body: Buffer }[] = [];
  let at = 0;
  while (at + headerBytes <= data.length) {
    const length = data.readUInt16BE(at + 2);
    if (length < headerBytes || at + length > data.length) break;
    items.push({ head: data.readUInt16BE(at), body: data.subarray(at + headerBytes, at + length) });
    at += (length + 3) & ~3;
  }
  return items;
}

const TSN_SPACE = 2 ** 32;

/** Distance from `a` to `b` in serial number arithmetic (RFC 1982): negative when `b` is before `a`. */
export function tsnDistance(a: number, b: number): number {
  return (b - a) | 0;
}

export function tsnAdd(tsn: number, add: number): number {
  return (tsn + add + TSN_SPACE) % TSN_SPACE;
}
