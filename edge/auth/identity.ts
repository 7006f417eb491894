/**
 * Who is asking. A person has up to three names, depending on who made the token: `sub`, `uuid`, `userId@home`; a stream
 * lists its people by any of them. Within a stream a member is called as the stream calls them (`memberOf`), so that the
 * same person is the same user there, whichever token they bring.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { StreamInfo } from '../space/rpc.ts';
import { forbidden, unauthorized } from './access.ts';
import { type MemberTokenSettings, namesInToken } from './member-token.ts';

export interface Identity {
  /** The first of the names. */
  user: string;
  names: readonly string[];
}

/**
 * Whoever the first good one of the bearer `tokens` speaks for.
 * @throws ProblemError 401 `unauthorized` when none is good; 403 `insufficient_scope` when it names nobody; 503
 * `keys_unavailable`.
 */
export async function identify(
  settings: MemberTokenSettings,
  tokens: readonly string[],
  nowMs: number,
): Promise<Identity> {
  let nameless = false;
  for (const token of tokens) {
    const names = await namesInToken(token, settings, nowMs);
    const [user] = names ?? [];
    if (names !== null && user !== undefined) return { user, names };
    nameless ||= names !== null;
  }
  throw nameless ? forbidden('the token does not say who you are') : unauthorized(tokens);
}

/** Is this (also) the user of that name? */
export function isUser(identity: Identity, user: string): boolean {
  return identity.names.includes(user);
}

/** The name under which the stream knows this person; null: it does not. */
export function memberOf(stream: StreamInfo, identity: Identity): string | null {
  return [stream.owner, ...stream.guests].find((name) => isUser(identity, name)) ?? null;
}

/** The same. @throws ProblemError 403 `not_a_member` */
export function requireMember(stream: StreamInfo, identity: Identity): string {
  const user = memberOf(stream, identity);
  if (user === null)
    throw new ProblemError(403, 'not_a_member', 'only the owner and the guests of the stream may enter');
  return user;
}
