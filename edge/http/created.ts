import type { AppContext } from '../middleware/context.ts';
import { iceLinks } from './ice-links.ts';
import { SDP_TYPE } from './media-types.ts';

interface NewSession {
  sdp: string;
  /** Quoted and strong, as the node gave it. */
  etag: string;
  /** Path-absolute and without a query: the one form that every known client resolves. */
  location: string;
  acceptPatch: string;
  /** For how long an offer of ours may be answered. */
  validForMs?: number;
  /** Further links, beside those to ICE servers. */
  links?: readonly string[];
}

/** 201 of WHIP and WHEP (RFC 9725 §4.2): the caller was allowed in, so the links carry the TURN credentials. */
export function created(c: AppContext, session: NewSession): Response {
  const headers = new Headers({
    'Content-Type': SDP_TYPE,
    Location: session.location,
    ETag: session.etag,
    'Accept-Patch': session.acceptPatch,
    'Cache-Control': 'no-store',
  });
  for (const [name, value] of Object.entries(iceLinks(c, true, session.links))) headers.set(name, value);
  if (session.validForMs !== undefined) {
    headers.set('Expires', new Date(Date.now() + session.validForMs).toUTCString());
  }
  return new Response(session.sdp, { status: 201, headers });
}
