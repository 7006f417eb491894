/** What a member's track is called among all of its lobby: here, and to those who get it. */
import { createHash } from 'node:crypto';
import type { SessionId } from '../../shared/ids.ts';
import type { Lineage } from '../../shared/protocol/control.ts';

const NAME_CHARS = 16;

/** The tracks of all sessions of one lineage have the same keys, names and streams, if the client has them in the same order. */
export function namesOf({ session }: Lineage, { mid, stream }: { mid: string; stream: string }) {
  const key = `${session}/${mid}`;
  return { key, name: nameOf(key), stream: `${session}/${stream}` };
}

/** First session of the lineage, and mid. */
export function splitKey(key: string): [SessionId, string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash) as SessionId, key.slice(slash + 1)];
}

/** The same for all listeners on all nodes, without saying whose session it is. */
function nameOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, NAME_CHARS);
}
