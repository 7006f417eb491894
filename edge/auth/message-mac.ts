/**
 * HMAC-SHA-256 under `SESSION_SECRET`. Every use has a context of its own, so that what was written for one purpose can
 * never be read for another.
 */
import { toBase64url } from './base64url.ts';
import { bytesEqual } from './constant-time.ts';

const encoder = new TextEncoder();
const keys = new Map<string, Promise<CryptoKey>>();

export async function macOf(context: string, message: string, secret: string): Promise<Uint8Array> {
  const signature = await crypto.subtle.sign('HMAC', await keyOf(secret), encoder.encode(`${context}\n${message}`));
  return new Uint8Array(signature);
}

/** `{message}.{mac}`; the message must be text without blanks and control characters that its reader understands. */
export async function signed(context: string, message: string, secret: string): Promise<string> {
  return `${message}.${toBase64url(await macOf(context, message, secret))}`;
}

/** The message of a text that `signed` made with the same context and secret; null for every other text. */
export async function verified(context: string, text: string, secret: string): Promise<string | null> {
  const end = text.lastIndexOf('.');
  if (end < 0) return null;
  const message = text.slice(0, end);
  // Compared as text, so that one message has exactly one signed form.
  const expected = toBase64url(await macOf(context, message, secret));
  return bytesEqual(encoder.encode(text.slice(end + 1)), encoder.encode(expected)) ? message : null;
}

/** Importing a key costs more than a MAC; there is one secret per deployment. */
function keyOf(secret: string): Promise<CryptoKey> {
  const known = keys.get(secret);
  if (known !== undefined) return known;
  const key = crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ]);
  keys.set(secret, key);
  return key;
}
