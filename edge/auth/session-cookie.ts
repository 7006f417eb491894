/**
 * The cookie `session.id`: proves that its holder opened this session of this user in this lobby. It is written once, when
 * the session is opened, and says nothing about whether the session still lives: the lobby knows that.
 *
 *   base64url(JSON [session, lobby, user]).base64url(HMAC)
 */
import { z } from 'zod';
import { type LobbyId, lobbyIdSchema, type SessionId, sessionIdSchema } from '../../shared/ids.ts';
import { fromBase64url, toBase64url } from './base64url.ts';
import { type CookieAttributes, cookieValues, setCookie } from './cookies.ts';
import { signed, verified } from './message-mac.ts';

export interface SessionCookie {
  lobby: LobbyId;
  session: SessionId;
  /** `Identity.user` of whoever opened it. */
  user: string;
}

const SESSION_COOKIE = 'session.id';
const MAX_AGE_SECONDS = 30 * 24 * 3600;
/** Browsers keep no longer ones. */
const MAX_COOKIE_CHARS = 4096;
const CONTEXT = 'vestibule session cookie 1';

const fieldsSchema = z.tuple([sessionIdSchema, lobbyIdSchema, z.string().min(1)]);

/** The value of the `Set-Cookie` field. */
export async function writeSessionCookie(
  cookie: SessionCookie,
  secret: string,
  attributes: CookieAttributes,
): Promise<string> {
  const fields = [cookie.session, cookie.lobby, cookie.user];
  const message = toBase64url(new TextEncoder().encode(JSON.stringify(fields)));
  return setCookie(SESSION_COOKIE, await signed(CONTEXT, message, secret), MAX_AGE_SECONDS, attributes);
}

/** The value of the `Set-Cookie` field that makes a client forget the cookie. */
export function expiredSessionCookie(attributes: CookieAttributes): string {
  return setCookie(SESSION_COOKIE, '', 0, attributes);
}

/** The first genuine session cookie in a `Cookie` field; null when there is none, which is 401. */
export async function readSessionCookie(header: string | null, secret: string): Promise<SessionCookie | null> {
  for (const value of cookieValues(header, SESSION_COOKIE)) {
    if (value.length > MAX_COOKIE_CHARS) continue;
    const message = await verified(CONTEXT, value, secret);
    const cookie = message === null ? null : cookieOf(message);
    if (cookie !== null) return cookie;
  }
  return null;
}

/** Null for what another version of ours wrote. */
function cookieOf(message: string): SessionCookie | null {
  const bytes = fromBase64url(message);
  if (bytes === null) return null;
  try {
    const fields = fieldsSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
    if (!fields.success) return null;
    const [session, lobby, user] = fields.data;
    return { session, lobby, user };
  } catch {
    return null;
  }
}
