/**
 * Which tokens does a request present? There may be several, and clients send odd ones: the Eyevinn player passes its
 * key without a scheme, the Eyevinn publisher says `Bearer undefined` when it has none while the token is in the URL,
 * MediaMTX' pages speak Basic, vue-wish sends no header at all.
 */

/** Longest token looked at; a JWT with a few claims has some 300 characters. */
const MAX_TOKEN_CHARS = 4096;
/** What JavaScript clients send when they have no token. */
const NO_TOKEN = new Set(['', 'undefined', 'null']);

export interface CredentialSources {
  authorization: string | null;
  xAuthToken: string | null;
  /** `?token=`, where the resource allows it. */
  queryToken: string | null;
}

/** The tokens presented, without duplicates, most deliberate first. */
export function presentedTokens(sources: CredentialSources): string[] {
  const found = [
    ...(sources.authorization === null ? [] : tokensOfAuthorization(sources.authorization)),
    sources.xAuthToken ?? '',
    sources.queryToken ?? '',
  ];
  const wanted = found.map((token) => token.trim()).filter((token) => !NO_TOKEN.has(token));
  return [...new Set(wanted)].filter((token) => token.length <= MAX_TOKEN_CHARS);
}

function tokensOfAuthorization(value: string): string[] {
  const match = /^(\S+)[ \t]+(.*)$/.exec(value.trim());
  // `Bearer` alone is a scheme without a token; anything else that is one word is a raw token.
  if (match === null) return /^(bearer|basic)$/i.test(value.trim()) ? [] : [value];
  const [, scheme = '', rest = ''] = match;
  // The Eyevinn publisher puts `Bearer` before a key that its users have given with `Bearer` already.
  if (/^bearer$/i.test(scheme)) return [rest.replace(/^(?:bearer[ \t]+)+/i, '')];
  if (/^basic$/i.test(scheme)) return passwordOf(rest);
  return [value];
}

function passwordOf(basic: string): string[] {
  try {
    const decoded = new TextDecoder().decode(Uint8Array.from(atob(basic.trim()), (char) => char.charCodeAt(0)));
    const colon = decoded.indexOf(':');
    return colon < 0 ? [] : [decoded.slice(colon + 1)];
  } catch {
    return [];
  }
}
