/**
 * The part of STUN (RFC 8489) that a lite ICE agent needs: reading binding requests and writing binding responses.
 *
 * Why not werift's codec: it lets an attribute behind MESSAGE-INTEGRITY replace an authenticated one of the same name
 * (RFC 8489 §14.5 says that such attributes are ignored), it cannot parse first and authenticate later, which routing by
 * USERNAME needs, and it takes 47 µs for a check and its answer where this takes about 8.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { ipBytes } from './ip-bytes.ts';

const HEADER_BYTES = 20;
const ATTRIBUTE_HEADER_BYTES = 4;
const TRANSACTION_ID_BYTES = 12;
const INTEGRITY_BYTES = 20;
const MAGIC_COOKIE = 0x2112a442;
const FINGERPRINT_XOR = 0x5354554e;

const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const BINDING_ERROR = 0x0111;

const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const ERROR_CODE = 0x0009;
const UNKNOWN_ATTRIBUTES = 0x000a;
const MESSAGE_INTEGRITY_SHA256 = 0x001c;
const XOR_MAPPED_ADDRESS = 0x0020;
const PRIORITY = 0x0024;
const USE_CANDIDATE = 0x0025;
const FINGERPRINT = 0x8028;
const ICE_CONTROLLED = 0x8029;

/** Attributes below this one must be understood or refused (RFC 8489 §14). */
const COMPREHENSION_OPTIONAL = 0x8000;
/** Two 256-byte fragments and the colon (RFC 8839 §5.4); longer ones are not ICE. */
const MAX_USERNAME_BYTES = 513;
/** What fits in an answer that is no longer than the request. */
const MAX_UNKNOWN_ATTRIBUTES = 16;

/** A binding request as it came in; nothing in it is authenticated until `hasIntegrity` says so. */
export interface BindingRequest {
  readonly raw: Buffer;
  readonly username: string | null;
  readonly useCandidate: boolean;
  /** The peer thinks that it is the controlled agent. */
  readonly iceControlled: boolean;
  /** Comprehension-required attributes that we do not know. */
  readonly unknown: readonly number[];
  /** Where MESSAGE-INTEGRITY starts in `raw`; -1 without one. */
  readonly integrityOffset: number;
}

export type BindingErrorCode = 400 | 401 | 420 | 487;

const REASONS: Record<BindingErrorCode, string> = {
  400: 'Bad Request',
  401: 'Unauthenticated',
  420: 'Unknown Attribute',
  487: 'Role Conflict',
};

/**
 * Reads a binding request. Null for everything else: other methods, indications and responses (`stun-checks.ts` reads
 * those), malformed messages and those with a wrong FINGERPRINT.
 */
export function parseBindingRequest(data: Buffer): BindingRequest | null {
  if (data.length < HEADER_BYTES || data.readUInt16BE(0) !== BINDING_REQUEST) return null;
  if (data.readUInt16BE(2) !== data.length - HEADER_BYTES || data.length % 4 !== 0) return null;
  if (data.readUInt32BE(4) !== MAGIC_COOKIE) return null;

  let username: string | null = null;
  let useCandidate = false;
  let iceControlled = false;
  let integrityOffset = -1;
  const unknown: number[] = [];
  for (let offset = HEADER_BYTES; offset < data.length; ) {
    const type = data.readUInt16BE(offset);
    const length = data.readUInt16BE(offset + 2);
    const start = offset + ATTRIBUTE_HEADER_BYTES;
    const next = start + ((length + 3) & ~3);
    if (next > data.length) return null;
    if (type === FINGERPRINT) {
      // The last attribute, or it is none (RFC 8489 §14.7).
      if (length !== 4 || next !== data.length || data.readUInt32BE(start) !== fingerprintOf(data, offset)) return null;
    } else if (integrityOffset >= 0) {
      // Behind MESSAGE-INTEGRITY nothing else counts.
    } else if (type === MESSAGE_INTEGRITY) {
      if (length !== INTEGRITY_BYTES) return null;
      integrityOffset = offset;
    } else if (type === USERNAME) {
      if (length > MAX_USERNAME_BYTES) return null;
      username ??= data.toString('utf8', start, start + length);
    } else if (type === USE_CANDIDATE) {
      useCandidate = true;
    } else if (type === ICE_CONTROLLED) {
      iceControlled = true;
    } else if (type < COMPREHENSION_OPTIONAL && type !== PRIORITY && type !== MESSAGE_INTEGRITY_SHA256) {
      if (unknown.length < MAX_UNKNOWN_ATTRIBUTES) unknown.push(type);
    }
    offset = next;
  }
  return { raw: data, username, useCandidate, iceControlled, unknown, integrityOffset };
}

/** The part of the user name that names us: everything before the colon (RFC 8445 §7.2.2). */
export function localFragment(username: string): string {
  const colon = username.indexOf(':');
  return colon < 0 ? username : username.slice(0, colon);
}

/** Whether MESSAGE-INTEGRITY is there and was made with `password`. */
export function hasIntegrity(request: BindingRequest, password: string): boolean {
  const offset = request.integrityOffset;
  if (offset < 0) return false;
  const start = offset + ATTRIBUTE_HEADER_BYTES;
  const given = request.raw.subarray(start, start + INTEGRITY_BYTES);
  return timingSafeEqual(given, integrityOf(request.raw, offset, password));
}

/** A success response that tells the peer the address we saw, signed with our password. */
export function bindingSuccess(request: BindingRequest, address: string, port: number, password: string): Buffer {
  const ip = ipBytes(address);
  const value = Buffer.alloc(4 + ip.length);
  value[1] = ip.length === 4 ? 1 : 2;
  value.writeUInt16BE(port ^ (MAGIC_COOKIE >>> 16), 2);
  // XORed with the cookie and then the transaction id, which stand in this order in the header (RFC 8489 §14.2).
  for (let i = 0; i < ip.length; i++) value[4 + i] = (ip[i] ?? 0) ^ (request.raw[4 + i] ?? 0);
  return respond(BINDING_SUCCESS, request, [[XOR_MAPPED_ADDRESS, value]], password);
}

/** An error response; signed when `password` is given, which 400 and 401 are not (RFC 8489 §9.1.3). */
export function bindingError(request: BindingRequest, code: BindingErrorCode, password: string | null): Buffer {
  const reason = Buffer.from(REASONS[code]);
  const value = Buffer.concat([Buffer.from([0, 0, Math.floor(code / 100), code % 100]), reason]);
  const attributes: [number, Buffer][] = [[ERROR_CODE, value]];
  if (code === 420) {
    const types = Buffer.alloc(request.unknown.length * 2);
    request.unknown.forEach((type, index) => {
      types.writeUInt16BE(type, index * 2);
    });
    attributes.push([UNKNOWN_ATTRIBUTES, types]);
  }
  return respond(BINDING_ERROR, request, attributes, password);
}

function respond(
  type: number,
  request: BindingRequest,
  attributes: readonly (readonly [number, Buffer])[],
  password: string | null,
): Buffer {
  let body = 0;
  for (const [, value] of attributes) body += ATTRIBUTE_HEADER_BYTES + ((value.length + 3) & ~3);
  const integrityOffset = HEADER_BYTES + body;
  if (password !== null) body += ATTRIBUTE_HEADER_BYTES + INTEGRITY_BYTES;
  const fingerprintOffset = HEADER_BYTES + body;
  body += ATTRIBUTE_HEADER_BYTES + 4;

  const out = Buffer.alloc(HEADER_BYTES + body);
  out.writeUInt16BE(type, 0);
  out.writeUInt16BE(body, 2);
  request.raw.copy(out, 4, 4, 8 + TRANSACTION_ID_BYTES);
  let offset = HEADER_BYTES;
  for (const [name, value] of attributes) {
    out.writeUInt16BE(name, offset);
    out.writeUInt16BE(value.length, offset + 2);
    value.copy(out, offset + ATTRIBUTE_HEADER_BYTES);
    offset += ATTRIBUTE_HEADER_BYTES + ((value.length + 3) & ~3);
  }
  if (password !== null) {
    out.writeUInt16BE(MESSAGE_INTEGRITY, integrityOffset);
    out.writeUInt16BE(INTEGRITY_BYTES, integrityOffset + 2);
    integrityOf(out, integrityOffset, password).copy(out, integrityOffset + ATTRIBUTE_HEADER_BYTES);
  }
  out.writeUInt16BE(FINGERPRINT, fingerprintOffset);
  out.writeUInt16BE(4, fingerprintOffset + 2);
  out.writeUInt32BE(fingerprintOf(out, fingerprintOffset), fingerprintOffset + ATTRIBUTE_HEADER_BYTES);
  return out;
}

/** HMAC over everything before `offset`, with the length field as if MESSAGE-INTEGRITY were the last attribute. */
export function integrityOf(data: Buffer, offset: number, password: string): Buffer {
  const head = Buffer.from(data.subarray(0, 4));
  head.writeUInt16BE(offset + ATTRIBUTE_HEADER_BYTES + INTEGRITY_BYTES - HEADER_BYTES, 2);
  return createHmac('sha1', password).update(head).update(data.subarray(4, offset)).digest();
}

/** FINGERPRINT is always last, so the length field already counts it. */
export function fingerprintOf(data: Buffer, offset: number): number {
  return (crc32(data.subarray(0, offset)) ^ FINGERPRINT_XOR) >>> 0;
}
