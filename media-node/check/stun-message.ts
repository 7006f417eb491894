/** As much of STUN (RFC 8489) as a reachability test needs: a bare binding request, and the address in its answer. */
import { randomBytes } from 'node:crypto';

const MAGIC = 0x2112a442;
const HEADER_BYTES = 20;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const XOR_MAPPED_ADDRESS = 0x0020;
const IPV4 = 1;
const IPV4_VALUE_BYTES = 8;
const IPV6_VALUE_BYTES = 20;
const TRANSACTION_BYTES = 12;

export interface MappedAddress {
  address: string;
  port: number;
}

/** A binding request with a random transaction id. */
export function bareRequest(): Buffer {
  const message = Buffer.alloc(HEADER_BYTES);
  message.writeUInt16BE(BINDING_REQUEST, 0);
  message.writeUInt32BE(MAGIC, 4);
  randomBytes(TRANSACTION_BYTES).copy(message, 8);
  return message;
}

export function isBareRequest(message: Buffer): boolean {
  return (
    message.length >= HEADER_BYTES && message.readUInt16BE(0) === BINDING_REQUEST && message.readUInt32BE(4) === MAGIC
  );
}

/** The answer to `request` without an address: that it came is what is asked. */
export function bareSuccess(request: Buffer): Buffer {
  const message = Buffer.from(request.subarray(0, HEADER_BYTES));
  message.writeUInt16BE(BINDING_SUCCESS, 0);
  message.writeUInt16BE(0, 2);
  return message;
}

export function answers(message: Buffer, request: Buffer): boolean {
  return (
    message.length >= HEADER_BYTES &&
    message.readUInt16BE(0) === BINDING_SUCCESS &&
    message.subarray(4, HEADER_BYTES).equals(request.subarray(4, HEADER_BYTES))
  );
}

/** XOR-MAPPED-ADDRESS of a success response; null when there is none. */
export function mappedAddress(message: Buffer): MappedAddress | null {
  const end = Math.min(message.length, HEADER_BYTES + message.readUInt16BE(2));
  for (let at = HEADER_BYTES; at + 4 <= end; ) {
    const type = message.readUInt16BE(at);
    const length = message.readUInt16BE(at + 2);
    const value = message.subarray(at + 4, Math.min(end, at + 4 + length));
    if (type === XOR_MAPPED_ADDRESS) return readAddress(value, message.subarray(4, HEADER_BYTES));
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return null;
}

function readAddress(value: Buffer, mask: Buffer): MappedAddress | null {
  const isIpv4 = value[1] === IPV4;
  if (value.length !== (isIpv4 ? IPV4_VALUE_BYTES : IPV6_VALUE_BYTES)) return null;
  const port = value.readUInt16BE(2) ^ (MAGIC >>> 16);
  const bytes = Buffer.from(value.subarray(4).map((byte, index) => byte ^ (mask[index] ?? 0)));
  if (isIpv4) return { address: bytes.join('.'), port };
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  // As everybody writes it.
  return { address: new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1), port };
}
