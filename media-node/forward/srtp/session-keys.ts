/**
 * SRTP key derivation (RFC 3711 §4.3 with a key derivation rate of 0; RFC 7714 §11 uses the same function for GCM).
 *
 * Keys are `KeyObject`s: with a raw Buffer some Node releases spend 10 µs more on each cipher.
 */
import { createCipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import type { SrtpProfile } from '../../transport/types.ts';

const KEY_BYTES = 16;
const AUTH_KEY_BYTES = 20;
const GCM_SALT_BYTES = 12;
const CM_SALT_BYTES = 14;
/** Key derivation counter blocks are 16 bytes, the last two are the block counter. */
const BLOCK_BYTES = 16;
/** Where the label byte falls when it is shifted left by 48 bits into a 112-bit value. */
const LABEL_OFFSET = 7;

/** One direction of one kind (RTP or RTCP). */
export interface PacketKeys {
  cipherKey: KeyObject;
  /** 12 bytes for GCM, 14 for AES-CM. */
  salt: Buffer;
  /** HMAC-SHA1 key; null for GCM, which authenticates by itself. */
  authKey: KeyObject | null;
}

/** One direction of a session. */
export interface SessionKeys {
  profile: SrtpProfile;
  rtp: PacketKeys;
  rtcp: PacketKeys;
}

/** For RTP, then for RTCP: cipher key, salt, authentication key (AES-CM only); as whoever is no JavaScript wants them. */
export function keyBytes({ rtp, rtcp }: SessionKeys): Buffer {
  return Buffer.concat(
    [rtp, rtcp].flatMap(({ cipherKey, salt, authKey }) => [
      cipherKey.export(),
      salt,
      ...(authKey === null ? [] : [authKey.export()]),
    ]),
  );
}

/** RFC 3711 §4.3.2: what is derived, for which kind of packet. */
const LABELS = { rtp: { cipher: 0, auth: 1, salt: 2 }, rtcp: { cipher: 3, auth: 4, salt: 5 } } as const;

/** Derives one direction's session keys from its master key (16 bytes) and salt (12 bytes for GCM, 14 for AES-CM). */
export function deriveSessionKeys(profile: SrtpProfile, masterKey: Buffer, masterSalt: Buffer): SessionKeys {
  const saltBytes = profile === 'AEAD_AES_128_GCM' ? GCM_SALT_BYTES : CM_SALT_BYTES;
  if (masterKey.length !== KEY_BYTES || masterSalt.length !== saltBytes) {
    throw new RangeError(`${profile} wants a key of ${KEY_BYTES} and a salt of ${saltBytes} bytes`);
  }
  const master = createSecretKey(masterKey);
  const derive = (label: number, bytes: number) => deriveKey(master, masterSalt, label, bytes);
  const packetKeys = (labels: (typeof LABELS)['rtp' | 'rtcp']): PacketKeys => ({
    cipherKey: createSecretKey(derive(labels.cipher, KEY_BYTES)),
    salt: derive(labels.salt, saltBytes),
    authKey: profile === 'AEAD_AES_128_GCM' ? null : createSecretKey(derive(labels.auth, AUTH_KEY_BYTES)),
  });
  return { profile, rtp: packetKeys(LABELS.rtp), rtcp: packetKeys(LABELS.rtcp) };
}

/** AES-CM PRF: keystream of the master key at counter `(label << 48) XOR salt`. A 96-bit salt counts as its left part. */
export function deriveKey(master: KeyObject, salt: Buffer, label: number, bytes: number): Buffer {
  const counter = Buffer.alloc(BLOCK_BYTES);
  salt.copy(counter);
  counter[LABEL_OFFSET] = (counter[LABEL_OFFSET] as number) ^ label;
  return createCipheriv('aes-128-ctr', master, counter).update(Buffer.alloc(bytes));
}
