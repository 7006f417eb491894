import type { CookieAttributes } from '../auth/cookies.ts';
import { type AppContext, settingsOf } from './context.ts';

/**
 * How the cookies of this deployment have to be: `Secure` when clients come over https (as PUBLIC_URL says when something
 * stands in front), open to other sites when pages of other origins may use the API with cookies. That never goes with
 * `ALLOWED_ORIGIN=*`: browsers send no cookies there.
 */
export function cookieAttributes(c: AppContext): CookieAttributes {
  const { publicUrl, allowedOrigins } = settingsOf(c);
  const { origin, protocol } = new URL(publicUrl ?? c.req.url);
  return {
    secure: protocol === 'https:',
    crossSite: allowedOrigins !== '*' && allowedOrigins.some((allowed) => allowed !== origin),
  };
}
