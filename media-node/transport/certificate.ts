import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { Fingerprint } from '../negotiate/plan.ts';
import { CURVES } from './dtls-crypto.ts';
import { CipherContext } from './werift-internals.ts';

/** A certificate and its key as PEM text, ECDSA on P-256. */
export interface CertificatePem {
  certPem: string;
  keyPem: string;
}

/** The DTLS identity of a process. */
export interface DtlsCertificate {
  readonly der: Buffer;
  readonly privateKey: KeyObject;
  readonly fingerprint: Fingerprint;
}

/** werift's numbers for ECDSA with SHA-256 (RFC 5246 §7.4.1.4.1). */
const ECDSA_WITH_SHA256 = { signature: 3, hash: 4 } as const;

/** A fresh self-signed ECDSA P-256 certificate; about 15 ms of CPU, so once per process. */
export async function createCertificate(): Promise<CertificatePem> {
  return CipherContext.createSelfSignedCertificateWithKey(ECDSA_WITH_SHA256, CURVES.secp256r1);
}

/** @throws when the text is no certificate, no key, or the key is not an EC key that belongs to the certificate */
export function readCertificate(pem: CertificatePem): DtlsCertificate {
  const x509 = new X509Certificate(pem.certPem);
  const privateKey = createPrivateKey(pem.keyPem);
  if (privateKey.asymmetricKeyType !== 'ec' || !x509.checkPrivateKey(privateKey)) {
    throw new Error('the DTLS key must be an EC key and belong to the certificate');
  }
  return { der: x509.raw, privateKey, fingerprint: { algorithm: 'sha-256', value: x509.fingerprint256 } };
}
