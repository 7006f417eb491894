/** WHIP and WHEP as servers do it, not only as the RFC has it: redirects, 200 for 201, any success for a DELETE. */
import { type Signalling, SignallingError } from '../support/client/signalling.ts';

const MAX_REDIRECTS = 5;
const REQUEST_DEADLINE_MS = 10_000;
const OPENED: readonly number[] = [200, 201];

/** Restarts of ICE are not there: load has no use for them. */
export function tolerantSignalling(url: string, token: string | undefined): Signalling {
  const authorization: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  let resource: string | null = null;
  return {
    async open(offer) {
      const headers = { ...authorization, 'Content-Type': 'application/sdp' };
      const { response, from } = await followRedirects(url, { method: 'POST', headers, body: offer });
      const sdp = await response.text();
      if (!OPENED.includes(response.status)) throw new SignallingError(response.status, sdp);
      const location = response.headers.get('Location');
      // Without one there is nothing to delete; the end of DTLS has to do.
      resource = location === null ? null : new URL(location, from).href;
      return { sdp, etag: response.headers.get('ETag') ?? '' };
    },
    restart: () => Promise.reject(new Error('load does not restart ICE')),
    async close() {
      if (resource === null) return;
      const { response } = await followRedirects(resource, { method: 'DELETE', headers: authorization });
      await response.body?.cancel();
      if (!response.ok) throw new SignallingError(response.status, '');
    },
  };
}

/**
 * RFC 9725 §4.5: 307 and 308 keep method, body and token. By hand, because `fetch` drops the token on the way to
 * another host.
 */
async function followRedirects(url: string, init: RequestInit): Promise<{ response: Response; from: string }> {
  let from = url;
  for (let redirects = 0; ; redirects++) {
    const signal = AbortSignal.timeout(REQUEST_DEADLINE_MS);
    const response = await fetch(from, { ...init, redirect: 'manual', signal });
    const location = response.headers.get('Location');
    if ((response.status !== 307 && response.status !== 308) || location === null || redirects === MAX_REDIRECTS) {
      return { response, from };
    }
    await response.body?.cancel();
    const next = new URL(location, from);
    if (from.startsWith('https:') && next.protocol !== 'https:') {
      throw new Error(`redirected from https to ${next.protocol.slice(0, -1)}: not followed`);
    }
    from = next.href;
  }
}
