import { type AppContext, settingsOf } from '../middleware/context.ts';
import { whetherAllowed } from '../middleware/problem.ts';
import { iceServers, linkField } from './ice-servers.ts';

/** The `Link` field with the ICE servers (RFC 9725 §4.6). `withCredentials`: whoever asks may come in. */
export function iceLinks(
  c: AppContext,
  withCredentials: boolean,
  others: readonly string[] = [],
): Record<string, string> {
  const servers = iceServers(settingsOf(c), withCredentials);
  const link = linkField(servers, c.req.header('User-Agent') ?? null, others);
  return link === null ? {} : { Link: link };
}

/** For OPTIONS: the TURN credentials are for those who may come in, which `access` refuses to others by a `ProblemError`. */
export async function iceLinksFor(c: AppContext, access: Promise<unknown>): Promise<Record<string, string>> {
  return iceLinks(c, await whetherAllowed(access));
}
