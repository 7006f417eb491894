/**
 * JSON Web Tokens that say who somebody is: ours from `POST /authenticate`, and those that others mint. The issuer is
 * trusted with names, whoever it is: `JWT_SECRET` and the keys at `JWKS_URL` may each speak for anybody.
 *
 * The algorithm in the header decides which keys are looked at, before any signature is: HS* is checked with the secret
 * only, RS256, ES256 and EdDSA with the public keys only, everything else (`none` included) with none at all.
 */
import { decodeProtectedHeader, errors, type JWTVerifyOptions, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import type { Settings } from '../env.ts';
import { macOf } from './message-mac.ts';
import { remoteKeys } from './remote-keys.ts';
import { USER_NAME, userNameSchema } from './user-name.ts';

export type MemberTokenSettings = Pick<Settings, 'jwtSecret' | 'jwtAudience' | 'jwksUrl' | 'sessionSecret'>;

export const MEMBER_TOKEN_LIFE_SECONDS = 12 * 3600;

const SECRET_ALGORITHMS = ['HS256', 'HS384', 'HS512'];
const PUBLIC_KEY_ALGORITHMS = ['RS256', 'ES256', 'EdDSA'];
const CLOCK_LEEWAY_SECONDS = 30;
const KEY_CONTEXT = 'vestibule member tokens 1';

/** A claim that is not of its type makes the token invalid: guessing would change who it speaks for. */
const claimsSchema = z.object({
  sub: userNameSchema.optional(),
  uuid: userNameSchema.optional(),
  userId: z.union([userNameSchema, z.int().nonnegative()]).optional(),
  home: z
    .string()
    .regex(USER_NAME)
    .regex(/^[^@]+$/)
    .optional(),
});

/**
 * The names of whoever a token speaks for: `sub`, `uuid`, `userId@home`, as far as it has them. Null: the token is not
 * genuine, not in date, or not meant for us.
 * @throws ProblemError 503 `keys_unavailable` when the token needs the keys at `JWKS_URL` and they cannot be had.
 */
export async function namesInToken(
  token: string,
  settings: MemberTokenSettings,
  nowMs: number,
): Promise<string[] | null> {
  // Three dot-separated parts: anything else is an ordinary token and not worth an exception.
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return null;
  const options = (algorithms: string[]): JWTVerifyOptions => ({
    algorithms,
    requiredClaims: ['exp'],
    clockTolerance: CLOCK_LEEWAY_SECONDS,
    currentDate: new Date(nowMs),
    ...(settings.jwtAudience === null ? {} : { audience: settings.jwtAudience }),
  });
  try {
    const algorithm = algorithmOf(token);
    if (SECRET_ALGORITHMS.includes(algorithm)) {
      const { payload } = await jwtVerify(token, await memberTokenKey(settings), options(SECRET_ALGORITHMS));
      return namesIn(payload);
    }
    if (PUBLIC_KEY_ALGORITHMS.includes(algorithm) && settings.jwksUrl !== null) {
      const keys = remoteKeys(settings.jwksUrl);
      const { payload } = await jwtVerify(token, keys, options(PUBLIC_KEY_ALGORITHMS));
      return namesIn(payload);
    }
    return null;
  } catch (error) {
    if (error instanceof errors.JOSEError) return null;
    throw error;
  }
}

/** What the header says, unverified; empty when it says nothing. */
function algorithmOf(token: string): string {
  try {
    return decodeProtectedHeader(token).alg ?? '';
  } catch {
    return '';
  }
}

/** Null: a claim makes no sense. Empty: the token names nobody. */
export function namesIn(payload: unknown): string[] | null {
  const parsed = claimsSchema.safeParse(payload);
  if (!parsed.success) return null;
  const { sub, uuid, userId, home } = parsed.data;
  const names = [
    ...(sub === undefined ? [] : [sub]),
    ...(uuid === undefined ? [] : [uuid]),
    ...(userId === undefined || home === undefined ? [] : [`${userId}@${home}`]),
  ];
  return [...new Set(names)];
}

/**
 * A token for one of our members. It is no ticket to any room, although rooms take tokens under the same secret: it
 * lists the rooms that it is good for, and there are none.
 */
export async function writeMemberToken(
  member: { user: string; uuid: string },
  settings: MemberTokenSettings,
  nowMs: number,
): Promise<string> {
  const issuedAt = Math.floor(nowMs / 1000);
  const jwt = new SignJWT({ uuid: member.uuid, room: [] })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(member.user)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + MEMBER_TOKEN_LIFE_SECONDS);
  if (settings.jwtAudience !== null) jwt.setAudience(settings.jwtAudience);
  return jwt.sign(await memberTokenKey(settings));
}

/**
 * `JWT_SECRET`; without one a key of our own, derived from `SESSION_SECRET`. A made-up `JWT_SECRET` would do as well but for
 * the rooms, which it would close.
 */
async function memberTokenKey(settings: MemberTokenSettings): Promise<Uint8Array> {
  const { jwtSecret, sessionSecret } = settings;
  return jwtSecret === null ? macOf(KEY_CONTEXT, '', sessionSecret) : new TextEncoder().encode(jwtSecret);
}
