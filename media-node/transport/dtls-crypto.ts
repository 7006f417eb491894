/**
 * Key agreement, signatures and fingerprints of the DTLS handshake, all on node:crypto: werift's are pure JavaScript or
 * missing (see werift-internals.ts).
 */
import {
  createECDH,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import type { Fingerprint } from '../negotiate/plan.ts';

/** Named groups (RFC 8422 §5.1.1) in our order of preference: X25519 costs about half of P-256. */
export const CURVES = { x25519: 29, secp256r1: 23 } as const;
export type Curve = (typeof CURVES)[keyof typeof CURVES];
export const SUPPORTED_CURVES: readonly Curve[] = [CURVES.x25519, CURVES.secp256r1];

export function isSupportedCurve(value: number): value is Curve {
  return (SUPPORTED_CURVES as readonly number[]).includes(value);
}

/** One side's ephemeral key. */
export interface KeyShare {
  readonly curve: Curve;
  /** As it goes on the wire. */
  readonly publicKey: Buffer;
  /** @throws when the peer's key is not a point of the curve */
  agree(peerPublicKey: Buffer): Buffer;
}

const X25519_BYTES = 32;
/** DER of a SubjectPublicKeyInfo for X25519 up to the key itself (RFC 8410 §4). */
const X25519_SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

export function createKeyShare(curve: Curve): KeyShare {
  if (curve === CURVES.secp256r1) {
    const ecdh = createECDH('prime256v1');
    return { curve, publicKey: ecdh.generateKeys(), agree: (peer) => ecdh.computeSecret(peer) };
  }
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  return {
    curve,
    // As JWK, which OpenSSL's encoder of DER has no part in: it takes 35 µs to find itself.
    publicKey: Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'),
    agree(peer) {
      if (peer.length !== X25519_BYTES) throw new RangeError('X25519 keys have 32 bytes');
      const key = createPublicKey({ key: Buffer.concat([X25519_SPKI_PREFIX, peer]), format: 'der', type: 'spki' });
      return diffieHellman({ privateKey, publicKey: key });
    },
  };
}

/** Signature schemes (RFC 5246 §7.4.1.4.1: hash, then algorithm) that we verify, best known first. */
const SIGNATURES: ReadonlyMap<number, { hash: string; keyType: 'ec' | 'rsa' }> = new Map([
  [0x0403, { hash: 'sha256', keyType: 'ec' }],
  [0x0503, { hash: 'sha384', keyType: 'ec' }],
  [0x0603, { hash: 'sha512', keyType: 'ec' }],
  [0x0401, { hash: 'sha256', keyType: 'rsa' }],
  [0x0501, { hash: 'sha384', keyType: 'rsa' }],
  [0x0601, { hash: 'sha512', keyType: 'rsa' }],
]);
export const SIGNATURE_SCHEMES: readonly number[] = [...SIGNATURES.keys()];
/** What our own certificate signs with. */
export const ECDSA_SHA256 = 0x0403;

export function signEcdsaSha256(data: Buffer, privateKey: KeyObject): Buffer {
  return sign('sha256', data, privateKey);
}

/** False for a bad signature, an unknown scheme and one that does not fit the key. */
export function verifySignature(scheme: number, data: Buffer, publicKey: KeyObject, signature: Buffer): boolean {
  const known = SIGNATURES.get(scheme);
  if (known === undefined || publicKey.asymmetricKeyType !== known.keyType) return false;
  return verify(known.hash, data, publicKey, signature);
}

/** @throws when `der` is no certificate */
export function publicKeyOf(der: Buffer): KeyObject {
  return new X509Certificate(der).publicKey;
}

/** RFC 8122 §5, with the names that SDP gives them. */
const FINGERPRINT_HASHES: ReadonlyMap<string, string> = new Map([
  ['sha-1', 'sha1'],
  ['sha-224', 'sha224'],
  ['sha-256', 'sha256'],
  ['sha-384', 'sha384'],
  ['sha-512', 'sha512'],
]);

/** Whether one of `fingerprints` is that of the certificate. Hashes that we do not know never match. */
export function matchesFingerprint(der: Buffer, fingerprints: readonly Fingerprint[]): boolean {
  return fingerprints.some(({ algorithm, value }) => {
    const hash = FINGERPRINT_HASHES.get(algorithm.toLowerCase());
    if (hash === undefined) return false;
    return createHash(hash).update(der).digest('hex') === value.replaceAll(':', '').toLowerCase();
  });
}
