/**
 * Who may do what. A room's own token comes before the global one, and replaces it; a JWT is good wherever one is
 * configured; without any of them a room is open.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { RoomName } from '../../shared/ids.ts';
import type { Settings } from '../env.ts';
import { secretsEqual } from './constant-time.ts';
import { coversRoom, type Permission, type TokenClaims, verifyToken } from './token-claims.ts';

type AuthSettings = Pick<Settings, 'authToken' | 'roomTokens' | 'adminToken' | 'jwtSecret' | 'jwtAudience'>;

const REALM = 'Bearer realm="vestibule"';

/** Does anything here ask for a token? */
export function authEnabled(settings: AuthSettings): boolean {
  return settings.authToken !== null || settings.jwtSecret !== null || settings.roomTokens.size > 0;
}

/**
 * Returns when one of `tokens` allows `permission` in `room`.
 * @throws ProblemError 401 `unauthorized`, 403 `insufficient_scope`.
 */
export async function checkRoomAccess(
  settings: AuthSettings,
  room: RoomName,
  permission: Permission,
  tokens: readonly string[],
  nowMs: number,
): Promise<void> {
  const secret = settings.roomTokens.get(room) ?? settings.authToken;
  if (secret === null && settings.jwtSecret === null) return;
  if (secret !== null && (await includesSecret(tokens, secret))) return;
  const claims = await verifiedClaims(settings, tokens, nowMs);
  if (claims.some((one) => one[permission] && coversRoom(one, room))) return;
  throw claims.length > 0 ? forbidden(`the token does not allow to ${permission} in this room`) : unauthorized(tokens);
}

/**
 * Returns when one of `tokens` is the admin token or an admin's JWT.
 * @throws ProblemError 401 `unauthorized` (always, when neither is configured), 403 `insufficient_scope`.
 */
export async function checkAdminAccess(
  settings: AuthSettings,
  tokens: readonly string[],
  nowMs: number,
): Promise<void> {
  if (settings.adminToken !== null && (await includesSecret(tokens, settings.adminToken))) return;
  const claims = await verifiedClaims(settings, tokens, nowMs);
  if (claims.some((one) => one.admin)) return;
  throw claims.length > 0 ? forbidden('the token is not an administrator’s') : unauthorized(tokens);
}

/**
 * Which rooms may the caller see in a list? Open deployments show all but rooms with a token of their own; otherwise the
 * global token, the admin token and any JWT open the list, a JWT for its own rooms only.
 * @throws ProblemError 401 `unauthorized`.
 */
export async function roomsInView(
  settings: AuthSettings,
  tokens: readonly string[],
  nowMs: number,
): Promise<(room: RoomName) => boolean> {
  for (const secret of [settings.authToken, settings.adminToken]) {
    if (secret !== null && (await includesSecret(tokens, secret))) return () => true;
  }
  const claims = await verifiedClaims(settings, tokens, nowMs);
  if (claims.length > 0) return (room) => claims.some((one) => coversRoom(one, room));
  if (settings.authToken !== null || settings.jwtSecret !== null) throw unauthorized(tokens);
  return (room) => !settings.roomTokens.has(room);
}

async function verifiedClaims(
  settings: AuthSettings,
  tokens: readonly string[],
  nowMs: number,
): Promise<TokenClaims[]> {
  const { jwtSecret, jwtAudience } = settings;
  if (jwtSecret === null) return [];
  const rules = { secret: jwtSecret, audience: jwtAudience };
  const claims = await Promise.all(tokens.map((token) => verifyToken(token, rules, nowMs)));
  return claims.filter((one) => one !== null);
}

/** Looks at every token, so that the time says nothing about which one fits. */
async function includesSecret(tokens: readonly string[], secret: string): Promise<boolean> {
  const matches = await Promise.all(tokens.map((token) => secretsEqual(token, secret)));
  return matches.includes(true);
}

/** RFC 6750 §3: a request without credentials gets no error code. */
export function unauthorized(tokens: readonly string[]): ProblemError {
  const detail = tokens.length > 0 ? 'the token is not valid here' : 'a token is required';
  const challenge = tokens.length > 0 ? `${REALM}, error="invalid_token"` : REALM;
  return new ProblemError(401, 'unauthorized', detail, { headers: { 'WWW-Authenticate': challenge } });
}

export function forbidden(detail: string): ProblemError {
  const challenge = `${REALM}, error="insufficient_scope"`;
  return new ProblemError(403, 'insufficient_scope', detail, { headers: { 'WWW-Authenticate': challenge } });
}
