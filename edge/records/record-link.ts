/** Links to one recording that work without a token, for a while: what `<video src>` and a download need. */

import { toBase64url } from '../auth/base64url.ts';
import { bytesEqual } from '../auth/constant-time.ts';
import { macOf } from '../auth/message-mac.ts';

/** Keeps these MACs apart from anything else that may be keyed with the same secret. */
const MAC_CONTEXT = 'vestibule record link 1';
const EXPIRY = /^[1-9]\d{0,15}$/;
const encoder = new TextEncoder();

/** Path and query; good until `expiresAt` (Unix ms). */
export async function writeRecordLink(name: string, expiresAt: number, secret: string): Promise<string> {
  const expires = String(Math.ceil(expiresAt / 1000));
  return `/records/${name}?expires=${expires}&signature=${await signatureOf(name, expires, secret)}`;
}

export async function isRecordLinkGood(
  link: { name: string; expires: string | null; signature: string | null },
  secret: string,
  now: number,
): Promise<boolean> {
  const { name, expires, signature } = link;
  if (expires === null || signature === null || !EXPIRY.test(expires)) return false;
  const expected = await signatureOf(name, expires, secret);
  return bytesEqual(encoder.encode(signature), encoder.encode(expected)) && now < Number(expires) * 1000;
}

async function signatureOf(name: string, expires: string, secret: string): Promise<string> {
  return toBase64url(await macOf(MAC_CONTEXT, `${name}\n${expires}`, secret));
}
