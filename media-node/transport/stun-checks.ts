/**
 * The half of STUN (RFC 8489) that an agent needs which sends connectivity checks: writing binding requests and reading
 * what comes back. The half that answers them is `stun.ts`.
 */
import { timingSafeEqual } from 'node:crypto';
import { fingerprintOf, integrityOf } from './stun.ts';

const HEADER_BYTES = 20;
const ATTRIBUTE_HEADER_BYTES = 4;
export const TRANSACTION_ID_BYTES = 12;
const INTEGRITY_BYTES = 20;
const FINGERPRINT_BYTES = 4;
const MAGIC_COOKIE = 0x2112a442;

const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;

const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const PRIORITY = 0x0024;
const USE_CANDIDATE = 0x0025;
const FINGERPRINT = 0x8028;
const ROLE = { controlled: 0x8029, controlling: 0x802a } as const;

export const TIE_BREAKER_BYTES = 8;
/** Of a peer-reflexive candidate with the highest local preference (RFC 8445 §5.1.2.1): what checks are sent with. */
export const PEER_REFLEXIVE_PRIORITY = 110 * 2 ** 24 + 65_535 * 2 ** 8 + 255;

export interface CheckToSend {
  /** `theirs:ours` (RFC 8445 §7.2.2). */
  username: string;
  /** Theirs. */
  password: string;
  /** `TRANSACTION_ID_BYTES` random bytes. */
  transactionId: Buffer;
  /** What we would give a peer-reflexive candidate that is learned by this check (RFC 8445 §7.1.1). */
  priority: number;
  /** Ours, and `TIE_BREAKER_BYTES` random bytes. */
  role: { name: keyof typeof ROLE; tieBreaker: Buffer };
  /** Nominates the pair. */
  useCandidate: boolean;
}

/** A binding request. */
export function writeBindingRequest(check: CheckToSend): Buffer {
  const priority = Buffer.alloc(4);
  priority.writeUInt32BE(check.priority);
  const attributes: [number, Buffer][] = [
    [USERNAME, Buffer.from(check.username)],
    [PRIORITY, priority],
    [ROLE[check.role.name], check.role.tieBreaker],
  ];
  if (check.useCandidate) attributes.push([USE_CANDIDATE, Buffer.alloc(0)]);
  const content = attributes.reduce((sum, [, value]) => sum + ATTRIBUTE_HEADER_BYTES + padded(value.length), 0);
  const integrityOffset = HEADER_BYTES + content;
  const fingerprintOffset = integrityOffset + ATTRIBUTE_HEADER_BYTES + INTEGRITY_BYTES;
  const out = Buffer.alloc(fingerprintOffset + ATTRIBUTE_HEADER_BYTES + FINGERPRINT_BYTES);
  out.writeUInt16BE(BINDING_REQUEST, 0);
  out.writeUInt16BE(out.length - HEADER_BYTES, 2);
  out.writeUInt32BE(MAGIC_COOKIE, 4);
  check.transactionId.copy(out, 8, 0, TRANSACTION_ID_BYTES);
  let offset = HEADER_BYTES;
  for (const [type, value] of attributes) {
    out.writeUInt16BE(type, offset);
    out.writeUInt16BE(value.length, offset + 2);
    value.copy(out, offset + ATTRIBUTE_HEADER_BYTES);
    offset += ATTRIBUTE_HEADER_BYTES + padded(value.length);
  }
  out.writeUInt16BE(MESSAGE_INTEGRITY, integrityOffset);
  out.writeUInt16BE(INTEGRITY_BYTES, integrityOffset + 2);
  integrityOf(out, integrityOffset, check.password).copy(out, integrityOffset + ATTRIBUTE_HEADER_BYTES);
  out.writeUInt16BE(FINGERPRINT, fingerprintOffset);
  out.writeUInt16BE(FINGERPRINT_BYTES, fingerprintOffset + 2);
  out.writeUInt32BE(fingerprintOf(out, fingerprintOffset), fingerprintOffset + ATTRIBUTE_HEADER_BYTES);
  return out;
}

/** Whether it may be an answer; nothing in it is authenticated. */
export function isBindingSuccess(data: Buffer): boolean {
  return data.length >= HEADER_BYTES && data.readUInt16BE(0) === BINDING_SUCCESS;
}

/**
 * The transaction id (hex) of a binding success that was signed with `password`; null for everything else. Error answers
 * tell nothing that can be trusted (most are unsigned), so a check that got one is as good as unanswered.
 */
export function readBindingSuccess(data: Buffer, password: string): string | null {
  if (!isBindingSuccess(data)) return null;
  if (data.readUInt16BE(2) !== data.length - HEADER_BYTES || data.length % 4 !== 0) return null;
  if (data.readUInt32BE(4) !== MAGIC_COOKIE) return null;
  let signed = false;
  for (let offset = HEADER_BYTES; offset < data.length; ) {
    const type = data.readUInt16BE(offset);
    const length = data.readUInt16BE(offset + 2);
    const start = offset + ATTRIBUTE_HEADER_BYTES;
    const next = start + padded(length);
    if (next > data.length) return null;
    if (type === FINGERPRINT) {
      if (length !== FINGERPRINT_BYTES || next !== data.length) return null;
      if (data.readUInt32BE(start) !== fingerprintOf(data, offset)) return null;
    } else if (type === MESSAGE_INTEGRITY && !signed) {
      if (length !== INTEGRITY_BYTES) return null;
      const given = data.subarray(start, start + INTEGRITY_BYTES);
      if (!timingSafeEqual(given, integrityOf(data, offset, password))) return null;
      signed = true;
    }
    offset = next;
  }
  return signed ? data.toString('hex', 8, HEADER_BYTES) : null;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}
