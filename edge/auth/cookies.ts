/** Cookies as RFC 6265 has them: reading what a client sends, writing what it shall keep. */

/** A client that sends more cookies of one name than this is not read further. */
const MAX_SAME_NAME = 8;

export interface CookieAttributes {
  /** Over https only. Browsers refuse `SameSite=None` without it. */
  secure: boolean;
  /** Pages of other origins may use the API with cookies. */
  crossSite: boolean;
}

/** All values of the cookie, in the order sent: a sibling site may have planted one of the same name. */
export function cookieValues(header: string | null, name: string): string[] {
  const values: string[] = [];
  for (const pair of (header ?? '').split(';')) {
    const equals = pair.indexOf('=');
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
    values.push(
      pair
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1'),
    );
    if (values.length === MAX_SAME_NAME) break;
  }
  return values;
}

/** The value of a `Set-Cookie` field. `maxAgeSeconds` 0 makes the client forget it. */
export function setCookie(name: string, value: string, maxAgeSeconds: number, attributes: CookieAttributes): string {
  const { secure, crossSite } = attributes;
  const fields = [`${name}=${value}`, 'Path=/', `Max-Age=${maxAgeSeconds}`, 'HttpOnly'];
  if (secure) fields.push('Secure');
  fields.push(`SameSite=${secure && crossSite ? 'None' : 'Lax'}`);
  return fields.join('; ');
}
