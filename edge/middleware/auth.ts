import type { RoomName } from '../../shared/ids.ts';
import { checkAdminAccess, checkRoomAccess, roomsInView } from '../auth/access.ts';
import { presentedTokens } from '../auth/credentials.ts';
import type { Permission } from '../auth/token-claims.ts';
import { type AppContext, settingsOf } from './context.ts';

/** @throws ProblemError 401, 403. `?token=` counts here: some players cannot set a header. */
export async function requireRoomAccess(c: AppContext, room: RoomName, permission: Permission): Promise<void> {
  await checkRoomAccess(settingsOf(c), room, permission, tokensOf(c, { query: true }), Date.now());
}

/** @throws ProblemError 401, 403. A URL ends up in logs, so `?token=` does not count here. */
export async function requireAdmin(c: AppContext): Promise<void> {
  await checkAdminAccess(settingsOf(c), tokensOf(c, { query: false }), Date.now());
}

/** @throws ProblemError 401. */
export function requireRoomsView(c: AppContext): Promise<(room: RoomName) => boolean> {
  return roomsInView(settingsOf(c), tokensOf(c, { query: false }), Date.now());
}

function tokensOf(c: AppContext, allow: { query: boolean }): string[] {
  return presentedTokens({
    authorization: c.req.header('Authorization') ?? null,
    xAuthToken: c.req.header('X-Auth-Token') ?? null,
    queryToken: allow.query ? (c.req.query('token') ?? null) : null,
  });
}
