/**
 * The token against forged requests: a cookie that scripts cannot read, and the same text in a header that only pages of
 * an allowed origin can. Random and signed for one user, so that nobody can plant one that fits somebody else.
 *
 *   {random}.{HMAC over user and random}
 */
import { randomBase32 } from '../../shared/ids.ts';
import { type CookieAttributes, cookieValues, setCookie } from './cookies.ts';
import { signed, verified } from './message-mac.ts';

const CSRF_COOKIE = 'csrf';
const RANDOM_BYTES = 16;
const MAX_AGE_SECONDS = 12 * 3600;
/** A random part is 26 characters, a MAC 43. */
const MAX_TOKEN_CHARS = 80;

/** The user's token: the one in the `Cookie` field while it is good, so that two tabs share one, else a new one. */
export async function csrfToken(user: string, cookieHeader: string | null, secret: string): Promise<string> {
  for (const value of cookieValues(cookieHeader, CSRF_COOKIE)) {
    if (value.length <= MAX_TOKEN_CHARS && (await verified(contextOf(user), value, secret)) !== null) return value;
  }
  return signed(contextOf(user), randomBase32(RANDOM_BYTES), secret);
}

/** The value of the `Set-Cookie` field. */
export function csrfCookie(token: string, attributes: CookieAttributes): string {
  return setCookie(CSRF_COOKIE, token, MAX_AGE_SECONDS, attributes);
}

/** User names have no line breaks. */
function contextOf(user: string): string {
  return `vestibule csrf 1\n${user}`;
}
