import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import type { RoomName } from '../../shared/ids.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { checkAdminAccess, checkRoomAccess, roomsInView } from './access.ts';

const JWT_SECRET = 'the key of the tokens, long enough for every HMAC';
const NOW_MS = Date.UTC(2026, 10, 21, 12);
const NOW_SECONDS = NOW_MS / 1000;
const room = 'r1' as RoomName;
const other = 'r2' as RoomName;

const open = {
  authToken: null as string | null,
  roomTokens: new Map<RoomName, string>(),
  adminToken: null as string | null,
  jwtSecret: null as string | null,
  jwtAudience: null as string | null,
};

function sign(claims: Record<string, unknown>, options: { alg?: string; secret?: string } = {}): Promise<string> {
  const jwt = new SignJWT(claims).setProtectedHeader({ alg: options.alg ?? 'HS256' });
  return jwt.sign(new TextEncoder().encode(options.secret ?? JWT_SECRET));
}

const inAnHour = { exp: NOW_SECONDS + 3600 };

/** The status that the check refuses with; null when it lets in. */
async function refusal(check: Promise<unknown>): Promise<{ status: number; challenge: string | undefined } | null> {
  try {
    await check;
    return null;
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { status: error.status, challenge: error.headers['WWW-Authenticate'] };
  }
}

const enter = (settings: typeof open, tokens: string[], permission: 'publish' | 'play' = 'publish', where = room) =>
  refusal(checkRoomAccess(settings, where, permission, tokens, NOW_MS));

const MISSING = { status: 401, challenge: 'Bearer realm="vestibule"' };
const INVALID = { status: 401, challenge: 'Bearer realm="vestibule", error="invalid_token"' };
const FORBIDDEN = { status: 403, challenge: 'Bearer realm="vestibule", error="insufficient_scope"' };

describe('room access', () => {
  it('is open when nothing is configured, whatever is presented', async () => {
    expect(await enter(open, [])).toBeNull();
    expect(await enter(open, ['anything'])).toBeNull();
  });

  it('asks for the global token', async () => {
    const settings = { ...open, authToken: 'global' };

    expect(await enter(settings, [])).toEqual(MISSING);
    expect(await enter(settings, ['wrong'])).toEqual(INVALID);
    expect(await enter(settings, ['globa'])).toEqual(INVALID);
    expect(await enter(settings, ['wrong', 'global'])).toBeNull();
  });

  it('lets a room’s own token replace the global one, and a JWT stand beside it', async () => {
    const settings = { ...open, authToken: 'global', roomTokens: new Map([[room, 'mine']]), jwtSecret: JWT_SECRET };

    expect(await enter(settings, ['mine'])).toBeNull();
    expect(await enter(settings, ['global'])).toEqual(INVALID);
    expect(await enter(settings, ['mine'], 'play', other)).toEqual(INVALID);
    expect(await enter(settings, ['global'], 'play', other)).toBeNull();
    expect(await enter(settings, [await sign({ ...inAnHour, room })])).toBeNull();
  });

  it('leaves other rooms open when only one has a token', async () => {
    const settings = { ...open, roomTokens: new Map([[room, 'mine']]) };

    expect(await enter(settings, [], 'play', other)).toBeNull();
    expect(await enter(settings, [])).toEqual(MISSING);
  });
});

describe('JSON web tokens', () => {
  const settings = { ...open, jwtSecret: JWT_SECRET };

  it.each(['HS256', 'HS384', 'HS512'])('accepts %s', async (alg) => {
    expect(await enter(settings, [await sign(inAnHour, { alg })])).toBeNull();
  });

  it.each([
    ['no exp', {}, INVALID],
    ['expired', { exp: NOW_SECONDS - 31 }, INVALID],
    ['expired within the leeway', { exp: NOW_SECONDS - 29 }, null],
    ['not yet valid', { ...inAnHour, nbf: NOW_SECONDS + 31 }, INVALID],
    ['not yet valid within the leeway', { ...inAnHour, nbf: NOW_SECONDS + 29 }, null],
    ['the right room', { ...inAnHour, room }, null],
    ['one of its rooms', { ...inAnHour, room: ['x', room] }, null],
    ['another room', { ...inAnHour, room: other }, FORBIDDEN],
    ['a room of a wrong type', { ...inAnHour, room: 7 }, INVALID],
    ['publish: false', { ...inAnHour, publish: false }, FORBIDDEN],
    ['play: false', { ...inAnHour, play: false }, null],
    ['permissions to play', { ...inAnHour, permissions: ['play'] }, FORBIDDEN],
    ['permissions to publish', { ...inAnHour, permissions: ['publish'] }, null],
    ['no permission at all', { ...inAnHour, permissions: [] }, FORBIDDEN],
    ['permissions, then publish: false', { ...inAnHour, permissions: ['publish'], publish: false }, FORBIDDEN],
    ['permissions of a wrong type', { ...inAnHour, permissions: 'publish' }, INVALID],
  ])('publishing with %s', async (_name, claims, expected) => {
    expect(await enter(settings, [await sign(claims)])).toEqual(expected);
  });

  it.each([
    ['play: false', { play: false }],
    ['permissions to publish', { permissions: ['publish'] }],
  ])('playing is refused with %s', async (_name, claims) => {
    expect(await enter(settings, [await sign({ ...inAnHour, ...claims })], 'play')).toEqual(FORBIDDEN);
  });

  it('checks the audience when one is configured', async () => {
    const strict = { ...settings, jwtAudience: 'vestibule' };

    expect(await enter(strict, [await sign({ ...inAnHour, aud: 'vestibule' })])).toBeNull();
    expect(await enter(strict, [await sign({ ...inAnHour, aud: ['x', 'vestibule'] })])).toBeNull();
    expect(await enter(strict, [await sign({ ...inAnHour, aud: 'other' })])).toEqual(INVALID);
    expect(await enter(strict, [await sign(inAnHour)])).toEqual(INVALID);
  });

  it('refuses other keys, `alg: none`, and tampered payloads', async () => {
    const good = await sign(inAnHour);
    const [header, , signature] = good.split('.');
    const payload = btoa(JSON.stringify({ ...inAnHour, admin: true })).replaceAll('=', '');
    const unsigned = `${btoa('{"alg":"none"}').replaceAll('=', '')}.${payload}.`;

    expect(await enter(settings, [await sign(inAnHour, { secret: 'another key that nobody here knows' })])).toEqual(
      INVALID,
    );
    expect(await enter(settings, [`${header}.${payload}.${signature}`])).toEqual(INVALID);
    expect(await enter(settings, [unsigned])).toEqual(INVALID);
    expect(await enter(settings, [`${unsigned}AA`])).toEqual(INVALID);
  });

  it('refuses whatever else looks like a token, with 401 and without an exception', async () => {
    const good = await sign(inAnHour);
    const [header = '', payload = '', signature = ''] = good.split('.');
    const part = fc.oneof(
      fc.stringMatching(/^[\w-]{0,60}$/),
      fc.json({ maxDepth: 2 }).map((json) => btoa(encodeURIComponent(json)).replaceAll('=', '')),
      fc.constantFrom(header, payload, signature, '', 'e30', 'bnVsbA', 'W10'),
    );
    const forged = fc
      .oneof(
        fc.tuple(part, part, part).map((parts) => parts.join('.')),
        fc.string({ maxLength: 300 }),
        fc.tuple(fc.nat(good.length - 1), fc.constantFrom('A', '_', '.', '')).map(([at, by]) => {
          return good.slice(0, at) + by + good.slice(at + 1);
        }),
      )
      .filter((token) => token !== good);
    await fc.assert(
      fc.asyncProperty(forged, async (token) => {
        // The last character of a signature has two spare bits, so one other spelling may decode to the same bytes.
        fc.pre(token.slice(0, -1) !== good.slice(0, -1));

        expect(await enter(settings, [token])).toEqual(INVALID);
      }),
      { numRuns: 10_000 },
    );
  });
});

describe('admin access', () => {
  const enterAdmin = (settings: typeof open, tokens: string[]) => refusal(checkAdminAccess(settings, tokens, NOW_MS));

  it('is never open', async () => {
    expect(await enterAdmin(open, [])).toEqual(MISSING);
    expect(await enterAdmin(open, [''])).toEqual(INVALID);
    expect(await enterAdmin({ ...open, authToken: 'global' }, ['global'])).toEqual(INVALID);
  });

  it('takes the admin token', async () => {
    expect(await enterAdmin({ ...open, adminToken: 'boss' }, ['boss'])).toBeNull();
    expect(await enterAdmin({ ...open, adminToken: 'boss' }, ['bos'])).toEqual(INVALID);
  });

  it.each([
    [{ role: 'admin' }, null],
    [{ admin: true }, null],
    [{ admin: 1 }, null],
    [{ admin: '1' }, null],
    [{ admin: 'true' }, null],
    [{ admin: false }, FORBIDDEN],
    [{ role: 'viewer' }, FORBIDDEN],
    [{ role: ['admin'] }, FORBIDDEN],
    [{}, FORBIDDEN],
  ])('a JWT with %j', async (claims, expected) => {
    const settings = { ...open, jwtSecret: JWT_SECRET };

    expect(await enterAdmin(settings, [await sign({ ...inAnHour, ...claims })])).toEqual(expected);
  });
});

describe('rooms in view', () => {
  it('hides rooms with their own token from strangers', async () => {
    const inView = await roomsInView({ ...open, roomTokens: new Map([[room, 'mine']]) }, [], NOW_MS);

    expect([room, other].filter(inView)).toEqual([other]);
  });

  it('asks for a token when one is configured', async () => {
    const settings = { ...open, authToken: 'global', adminToken: 'boss', roomTokens: new Map([[room, 'mine']]) };

    expect(await refusal(roomsInView(settings, [], NOW_MS))).toEqual(MISSING);
    expect([room, other].filter(await roomsInView(settings, ['global'], NOW_MS))).toEqual([room, other]);
    expect([room, other].filter(await roomsInView(settings, ['boss'], NOW_MS))).toEqual([room, other]);
  });

  it('shows a JWT its own rooms', async () => {
    const settings = { ...open, jwtSecret: JWT_SECRET };
    const inView = await roomsInView(settings, [await sign({ ...inAnHour, room })], NOW_MS);

    expect([room, other].filter(inView)).toEqual([room]);
  });
});
