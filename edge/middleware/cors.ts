/**
 * CORS (WHATWG Fetch) on every response, errors included: a browser shows a page nothing of a response without it, not
 * even the status.
 */
import type { AppContext } from './context.ts';
import { settingsOrNull } from './context.ts';

/** OPTIONS, because some players script it themselves; PATCH is what two clients take as the switch for trickle ICE. */
export const ALLOWED_METHODS = 'OPTIONS, GET, HEAD, POST, PATCH, DELETE';
/** `Authorization` has to be named (`*` does not cover it); Eyevinn's publisher sends `ETag` as a request header. */
const ALLOWED_HEADERS =
  'Authorization, Content-Type, If-Match, ETag, Accept, Last-Event-ID, Vestibule-Replaces, X-Auth-Token, X-Req-Token, X-Csrf-Token';
/** The last one lets Eyevinn's publisher read the trickle switch from another origin. */
const EXPOSED_HEADERS =
  'Location, Link, ETag, Accept-Patch, Accept-Post, Allow, Retry-After, WWW-Authenticate, X-Req-Token, X-Csrf-Token, ' +
  'Access-Control-Allow-Methods';
/** Browsers cap this themselves (Chromium at two hours). */
const PREFLIGHT_MAX_AGE_SECONDS = 7200;

/** A preflight asks for permission before the real request; any other OPTIONS is a request of its own. */
export function isPreflight(request: Request): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.headers.has('Origin') &&
    request.headers.has('Access-Control-Request-Method')
  );
}

/** The headers of one response. `allowed` is `*` or the origins that may read it. */
export function corsHeaders(
  allowed: '*' | readonly string[],
  origin: string | null,
  isOptions: boolean,
): Record<string, string> {
  const headers: Record<string, string> = { 'Access-Control-Expose-Headers': EXPOSED_HEADERS };
  if (allowed === '*') {
    headers['Access-Control-Allow-Origin'] = '*';
  } else {
    headers.Vary = 'Origin';
    if (origin !== null && allowed.includes(origin)) {
      headers['Access-Control-Allow-Origin'] = origin;
      headers['Access-Control-Allow-Credentials'] = 'true';
    }
  }
  if (isOptions) {
    headers['Access-Control-Allow-Methods'] = ALLOWED_METHODS;
    headers['Access-Control-Allow-Headers'] = ALLOWED_HEADERS;
    headers['Access-Control-Max-Age'] = String(PREFLIGHT_MAX_AGE_SECONDS);
  }
  return headers;
}

/** Hono middleware: adds the headers to whatever the rest answers, errors included. */
export async function cors(c: AppContext, next: () => Promise<void>): Promise<void> {
  await next();
  const allowed = settingsOrNull(c)?.allowedOrigins ?? '*';
  const isOptions = c.req.raw.method === 'OPTIONS';
  const headers = corsHeaders(allowed, c.req.header('Origin') ?? null, isOptions);
  for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
  // Few resources take a PUT, and `Allow` says which.
  if (isOptions && /\bPUT\b/.test(c.res.headers.get('Allow') ?? '')) {
    c.res.headers.set('Access-Control-Allow-Methods', `${ALLOWED_METHODS}, PUT`);
  }
}
