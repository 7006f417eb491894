/** What users are called. Any text that people can read and type; what it means is up to whoever vouches for it. */
import { z } from 'zod';

/** No control characters, no unpaired surrogates (they have no UTF-8), no blanks at the ends. Counts code points. */
export const USER_NAME = /^(?![\s])[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]{1,100}(?<!\s)$/u;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** A UUID is one name however it is written; case matters in all others. */
export const userNameSchema = z
  .string()
  .regex(USER_NAME, 'must be 1 to 100 printable characters')
  .transform((name) => (UUID.test(name) ? name.toLowerCase() : name));

/** Any fixed text would do; another one would give everybody another UUID. */
const NAMESPACE = 'vestibule user 1\n';
const UUID_BYTES = 16;

/**
 * The UUID of a user, the same on every instance and after every restart: version 8 (RFC 9562 §5.8) out of SHA-256, which
 * version 5 would be out of SHA-1.
 */
export async function userUuid(user: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(NAMESPACE + user));
  const bytes = new Uint8Array(digest, 0, UUID_BYTES);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Looks like a UUID that `userUuid` makes: as a user's name it could stand for another user. */
export function isDerivedUuid(text: string): boolean {
  return UUID.exec(text)?.[1] === '8';
}
