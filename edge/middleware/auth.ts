import type { RoomName } from '../../shared/ids.ts';
import { checkAdminAccess, checkRoomAccess, roomsInView } from '../auth/access.ts';
import { presentedTokens } from '../auth/credentials.ts';
import { type Identity, identify } from '../auth/identity.ts';
import type { Permission } from '../auth/token-claims.ts';
import { type AppContext, settingsOf } from './context.ts';
import { whetherAllowed } from './problem.ts';
import { limitRate } from './rate-limit.ts';

/** @throws ProblemError 401, 403. `?token=` counts here: some players cannot set a header. */
export async function requireRoomAccess(c: AppContext, room: RoomName, permission: Permission): Promise<void> {
  await checkRoomAccess(settingsOf(c), room, permission, tokensOf(c, { query: true }), Date.now());
}

/**
 * A URL ends up in logs, so `?token=` does not count here. Only a guess costs a token of the rate limit: an operator is never
 * locked out by it.
 * @throws ProblemError 401, 403, 429
 */
export async function requireAdmin(c: AppContext): Promise<void> {
  try {
    await checkAdmin(c);
  } catch (error) {
    if (tokensOf(c, { query: false }).length > 0) limitRate(c);
    throw error;
  }
}

/** @throws ProblemError 401. */
export function requireRoomsView(c: AppContext): Promise<(room: RoomName) => boolean> {
  return roomsInView(settingsOf(c), tokensOf(c, { query: false }), Date.now());
}

/** Who is asking. @throws ProblemError 401, 403, 503. `?token=` does not count here. */
export function requireIdentity(c: AppContext): Promise<Identity> {
  return identify(settingsOf(c), tokensOf(c, { query: false }), Date.now());
}

/** The same where a bearer is welcome and not needed: null when none is presented. @throws ProblemError 401, 403, 503 */
export async function presentedIdentity(c: AppContext): Promise<Identity | null> {
  const tokens = tokensOf(c, { query: false });
  return tokens.length === 0 ? null : identify(settingsOf(c), tokens, Date.now());
}

/** Is it an administrator who is asking? */
export function isAdmin(c: AppContext): Promise<boolean> {
  return whetherAllowed(checkAdmin(c));
}

function checkAdmin(c: AppContext): Promise<void> {
  return checkAdminAccess(settingsOf(c), tokensOf(c, { query: false }), Date.now());
}

function tokensOf(c: AppContext, allow: { query: boolean }): string[] {
  return presentedTokens({
    authorization: c.req.header('Authorization') ?? null,
    xAuthToken: c.req.header('X-Auth-Token') ?? null,
    queryToken: allow.query ? (c.req.query('token') ?? null) : null,
  });
}
