/** Connectivity checks as a peer sends them, written apart from the codec under test. */
import { createHmac, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

export interface CheckOptions {
  username: string | null;
  password: string | null;
  useCandidate?: boolean;
  iceControlled?: boolean;
  /** Extra attributes before MESSAGE-INTEGRITY. */
  extra?: readonly (readonly [number, Buffer])[];
  /** …and behind it. */
  behindIntegrity?: readonly (readonly [number, Buffer])[];
  fingerprint?: boolean;
  type?: number;
}

/** Without PRIORITY and ICE-CONTROLLING unless they come as `extra`: just as FFmpeg 8.0 does. */
export function stunCheck(options: CheckOptions): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt16BE(options.type ?? 1, 0);
  head.writeUInt32BE(0x2112a442, 4);
  randomBytes(12).copy(head, 8);
  let message = head;
  const add = (type: number, value: Buffer): void => {
    const padded = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
    padded.writeUInt16BE(type, 0);
    padded.writeUInt16BE(value.length, 2);
    value.copy(padded, 4);
    message = Buffer.concat([message, padded]);
    message.writeUInt16BE(message.length - 20, 2);
  };
  if (options.username !== null) add(0x0006, Buffer.from(options.username));
  if (options.useCandidate) add(0x0025, Buffer.alloc(0));
  if (options.iceControlled) add(0x8029, randomBytes(8));
  for (const [type, value] of options.extra ?? []) add(type, value);
  if (options.password !== null) {
    const covered = Buffer.from(message);
    covered.writeUInt16BE(message.length + 24 - 20, 2);
    add(0x0008, createHmac('sha1', options.password).update(covered).digest());
  }
  for (const [type, value] of options.behindIntegrity ?? []) add(type, value);
  if (options.fingerprint ?? true) {
    const covered = Buffer.from(message);
    covered.writeUInt16BE(message.length + 8 - 20, 2);
    const value = Buffer.alloc(4);
    value.writeUInt32BE((crc32(covered) ^ 0x5354554e) >>> 0, 0);
    add(0x8028, value);
  }
  return message;
}

/** Type, error code and attribute types of a response. */
export function readStun(message: Buffer): { type: number; errorCode: number | null; attributes: Map<number, Buffer> } {
  const attributes = new Map<number, Buffer>();
  for (let offset = 20; offset < message.length; ) {
    const length = message.readUInt16BE(offset + 2);
    attributes.set(message.readUInt16BE(offset), message.subarray(offset + 4, offset + 4 + length));
    offset += 4 + Math.ceil(length / 4) * 4;
  }
  const error = attributes.get(0x0009);
  const errorCode = error === undefined ? null : error.readUInt8(2) * 100 + error.readUInt8(3);
  return { type: message.readUInt16BE(0), errorCode, attributes };
}
