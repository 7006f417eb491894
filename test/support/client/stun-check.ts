/** The controlling agent's half of STUN (RFC 8489, RFC 8445 §7.1): writes connectivity checks and reads their answers. */
import { createHmac, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const HEADER_BYTES = 20;
const INTEGRITY_BYTES = 20;
const MAGIC_COOKIE = 0x2112a442;
const FINGERPRINT_XOR = 0x5354554e;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const BINDING_ERROR = 0x0111;
const ATTRIBUTE = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  priority: 0x0024,
  useCandidate: 0x0025,
  fingerprint: 0x8028,
  iceControlling: 0x802a,
} as const;
/** Of a peer-reflexive candidate (RFC 8445 §5.1.2.2): 110 << 24 and the highest local preference. */
const PEER_REFLEXIVE_PRIORITY = 0x6effffff;

export interface Check {
  /** `theirs:ours` */
  username: string;
  /** Theirs. */
  password: string;
  useCandidate: boolean;
  /** FFmpeg 8.0 sends neither PRIORITY nor ICE-CONTROLLING. */
  bare: boolean;
}

/** A binding request and its transaction id (hex). */
export function writeCheck(check: Check): { datagram: Buffer; transaction: string } {
  const transactionId = randomBytes(12);
  const attributes: [number, Buffer][] = [[ATTRIBUTE.username, Buffer.from(check.username)]];
  if (!check.bare) {
    const priority = Buffer.alloc(4);
    priority.writeUInt32BE(PEER_REFLEXIVE_PRIORITY);
    attributes.push([ATTRIBUTE.priority, priority], [ATTRIBUTE.iceControlling, randomBytes(8)]);
  }
  if (check.useCandidate) attributes.push([ATTRIBUTE.useCandidate, Buffer.alloc(0)]);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(BINDING_REQUEST, 0);
  header.writeUInt32BE(MAGIC_COOKIE, 4);
  transactionId.copy(header, 8);
  let message: Buffer = Buffer.concat([header, ...attributes.map(([type, value]) => attribute(type, value))]);
  message = append(message, ATTRIBUTE.messageIntegrity, INTEGRITY_BYTES, (covered) =>
    createHmac('sha1', check.password).update(covered).digest(),
  );
  message = append(message, ATTRIBUTE.fingerprint, 4, (covered) => {
    const value = Buffer.alloc(4);
    value.writeUInt32BE((crc32(covered) ^ FINGERPRINT_XOR) >>> 0);
    return value;
  });
  return { datagram: message, transaction: transactionId.toString('hex') };
}

/** The answer to a check; null when it is none or not signed with `password`. Error answers need no signature. */
export function readAnswer(data: Buffer, password: string): { transaction: string; errorCode: number | null } | null {
  if (data.length < HEADER_BYTES || data.readUInt32BE(4) !== MAGIC_COOKIE) return null;
  const type = data.readUInt16BE(0);
  if (type !== BINDING_SUCCESS && type !== BINDING_ERROR) return null;
  const transaction = data.toString('hex', 8, HEADER_BYTES);
  let signed = false;
  let errorCode: number | null = null;
  for (let offset = HEADER_BYTES; offset + 4 <= data.length; ) {
    const length = data.readUInt16BE(offset + 2);
    const value = data.subarray(offset + 4, offset + 4 + length);
    const name = data.readUInt16BE(offset);
    if (name === ATTRIBUTE.errorCode && length >= 4) errorCode = (value[2] ?? 0) * 100 + (value[3] ?? 0);
    if (name === ATTRIBUTE.messageIntegrity) {
      const covered = Buffer.from(data.subarray(0, offset));
      covered.writeUInt16BE(offset + 4 + INTEGRITY_BYTES - HEADER_BYTES, 2);
      signed = createHmac('sha1', password).update(covered).digest().equals(value);
    }
    offset += 4 + ((length + 3) & ~3);
  }
  if (type === BINDING_SUCCESS && !signed) return null;
  return { transaction, errorCode: type === BINDING_ERROR ? (errorCode ?? 0) : null };
}

function attribute(type: number, value: Buffer): Buffer {
  const out = Buffer.alloc(4 + ((value.length + 3) & ~3));
  out.writeUInt16BE(type, 0);
  out.writeUInt16BE(value.length, 2);
  value.copy(out, 4);
  return out;
}

/** Appends an attribute whose value covers everything before it, the length field counting it already. */
function append(message: Buffer, type: number, bytes: number, sign: (covered: Buffer) => Buffer): Buffer {
  message.writeUInt16BE(message.length - HEADER_BYTES + 4 + bytes, 2);
  return Buffer.concat([message, attribute(type, sign(message))]);
}
