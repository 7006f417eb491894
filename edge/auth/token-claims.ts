/**
 * JSON Web Tokens: HS256, HS384 or HS512 under `JWT_SECRET`, `exp` required.
 *
 * Claims that mean something here (all optional):
 *   room         name of the one room, or a list of names, that the token is good for
 *   permissions  list of what it allows: "publish", "play"; absent: both
 *   publish, play  false takes that permission away
 *   role, admin  `"admin"`, or true / 1 / "true" / "1": may use the admin API
 */
import { errors, jwtVerify } from 'jose';
import { z } from 'zod';
import type { RoomName } from '../../shared/ids.ts';

export type Permission = 'publish' | 'play';

export interface TokenClaims {
  /** Null: good for every room. */
  rooms: readonly string[] | null;
  publish: boolean;
  play: boolean;
  admin: boolean;
}

export interface TokenRules {
  secret: string;
  audience: string | null;
}

const ALGORITHMS = ['HS256', 'HS384', 'HS512'];
const CLOCK_LEEWAY_SECONDS = 30;

const claimsSchema = z.object({
  room: z.union([z.string(), z.array(z.string())]).optional(),
  permissions: z.array(z.string()).optional(),
  publish: z.boolean().optional(),
  play: z.boolean().optional(),
  role: z.unknown().optional(),
  admin: z.unknown().optional(),
});

const encoder = new TextEncoder();

/** The claims of a token that is genuine, in date and meant for us; null for every other string. */
export async function verifyToken(token: string, rules: TokenRules, nowMs: number): Promise<TokenClaims | null> {
  // Three dot-separated parts: anything else is an ordinary token and not worth an exception.
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return null;
  try {
    const { payload } = await jwtVerify(token, encoder.encode(rules.secret), {
      algorithms: ALGORITHMS,
      requiredClaims: ['exp'],
      clockTolerance: CLOCK_LEEWAY_SECONDS,
      currentDate: new Date(nowMs),
      ...(rules.audience === null ? {} : { audience: rules.audience }),
    });
    return claimsOf(payload);
  } catch (error) {
    if (error instanceof errors.JOSEError) return null;
    throw error;
  }
}

/** Claims of an unexpected type make the token invalid: guessing would widen what it allows. */
export function claimsOf(payload: unknown): TokenClaims | null {
  const parsed = claimsSchema.safeParse(payload);
  if (!parsed.success) return null;
  const { room, permissions, publish, play, role, admin } = parsed.data;
  return {
    rooms: room === undefined ? null : typeof room === 'string' ? [room] : room,
    publish: publish !== false && (permissions?.includes('publish') ?? true),
    play: play !== false && (permissions?.includes('play') ?? true),
    admin: role === 'admin' || admin === true || admin === 1 || admin === '1' || admin === 'true',
  };
}

export function coversRoom(claims: TokenClaims, room: RoomName): boolean {
  return claims.rooms === null || claims.rooms.includes(room);
}
