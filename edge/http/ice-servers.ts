/**
 * STUN and TURN servers for clients: as `Link` fields (RFC 9725 §4.6) and as `RTCIceServer` objects.
 *
 * The byte form of a link matters: MediaMTX' pages match it with one regular expression. Order matters too: OBS keeps
 * the first server only and speaks TURN over UDP only, so that one comes first.
 */
import type { Settings } from '../env.ts';

type IceSettings = Pick<Settings, 'stunUrls' | 'turnUrls' | 'turnUsername' | 'turnPassword'>;

export interface IceServer {
  urls: string;
  username?: string;
  credential?: string;
}

/** `withCredentials` false leaves out what needs a credential: an anonymous caller must not learn it. */
export function iceServers(settings: IceSettings, withCredentials: boolean): IceServer[] {
  const { turnUsername: username, turnPassword: credential } = settings;
  const turn = [...settings.turnUrls].sort((a, b) => turnRank(a) - turnRank(b));
  const secret = username !== null && credential !== null ? { username, credential } : {};
  const turnServers = turn.map((urls) => ({ urls, ...secret }));
  const hidden = !withCredentials && username !== null;
  return [...(hidden ? [] : turnServers), ...settings.stunUrls.map((urls) => ({ urls }))];
}

function turnRank(url: string): number {
  if (url.startsWith('turns:')) return 2;
  return /[?&]transport=tcp/i.test(url) ? 1 : 0;
}

export function iceLink({ urls, username, credential }: IceServer): string {
  const link = `<${urls}>; rel="ice-server"`;
  if (username === undefined || credential === undefined) return link;
  return `${link}; username=${quoted(username)}; credential=${quoted(credential)}; credential-type="password"`;
}

/**
 * The value of the `Link` field; null when there is nothing to say. The runtime joins repeated fields with a comma and a
 * blank. OBS does not skip that blank and loses every server after the first, so it gets them joined without one, which
 * RFC 8288 allows as well; others (medooze, MediaMTX) look for the blank.
 */
export function linkField(
  servers: readonly IceServer[],
  userAgent: string | null,
  others: readonly string[] = [],
): string | null {
  const links = [...servers.map(iceLink), ...others];
  if (links.length === 0) return null;
  return links.join(userAgent?.includes('OBS-Studio/') ? ',' : ', ');
}

/** RFC 9110 §5.6.4. Characters that cannot stand in a field are left out: settings are text, fields are not. */
function quoted(text: string): string {
  return `"${text.replace(/[^\t\x20-\x7e]/g, '').replace(/["\\]/g, '\\$&')}"`;
}
