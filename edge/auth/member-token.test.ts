import { createServer, type Server } from 'node:http';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import type { RoomName } from '../../shared/ids.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { checkAdminAccess, checkRoomAccess } from './access.ts';
import { identify } from './identity.ts';
import { MEMBER_TOKEN_LIFE_SECONDS, type MemberTokenSettings, namesIn, writeMemberToken } from './member-token.ts';

const JWT_SECRET = 'the key of the tokens, long enough for every HMAC';
const NOW_MS = Date.UTC(2026, 10, 21, 12);
const inAnHour = { exp: NOW_MS / 1000 + 3600 };
const ADA = { user: 'ada', uuid: '5f0c6a3e-1b1d-8e5a-9a59-3a8d0c9b1f11' };

const settings: MemberTokenSettings = {
  jwtSecret: JWT_SECRET,
  jwtAudience: null,
  jwksUrl: null,
  sessionSecret: 'session-secret-of-this-test',
};
const ownKey: MemberTokenSettings = { ...settings, jwtSecret: null };

function sign(claims: JWTPayload, options: { alg?: string; secret?: string } = {}): Promise<string> {
  const key = new TextEncoder().encode(options.secret ?? JWT_SECRET);
  return new SignJWT(claims).setProtectedHeader({ alg: options.alg ?? 'HS256' }).sign(key);
}

/** The names, or the status of the refusal. */
async function names(token: string | string[], rules = settings, nowMs = NOW_MS): Promise<readonly string[] | number> {
  try {
    return (await identify(rules, [token].flat(), nowMs)).names;
  } catch (error) {
    if (error instanceof ProblemError) return error.status;
    throw error;
  }
}

function base64url(value: unknown): string {
  return btoa(JSON.stringify(value)).replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_');
}

describe('our own tokens', () => {
  it.each([
    ['JWT_SECRET', settings],
    ['a key of our own', ownKey],
  ])('signed with %s say who it is until they expire', async (_key, rules) => {
    const jwt = await writeMemberToken(ADA, rules, NOW_MS);
    const expiresAtMs = NOW_MS + MEMBER_TOKEN_LIFE_SECONDS * 1000;

    expect(await names(jwt, rules)).toEqual(['ada', ADA.uuid]);
    expect(await names(jwt, rules, expiresAtMs + 29_000)).toEqual(['ada', ADA.uuid]);
    expect(await names(jwt, rules, expiresAtMs + 31_000)).toBe(401);
  });

  it('are no good elsewhere', async () => {
    const jwt = await writeMemberToken(ADA, ownKey, NOW_MS);

    expect(await names(jwt, settings)).toBe(401);
    expect(await names(jwt, { ...ownKey, sessionSecret: 'session-secret-of-another' })).toBe(401);
    expect(await names(await writeMemberToken(ADA, settings, NOW_MS), ownKey)).toBe(401);
  });

  it('open no room, and no admin API', async () => {
    const auth = { ...settings, authToken: null, adminToken: null, roomTokens: new Map<RoomName, string>() };
    const jwt = await writeMemberToken(ADA, settings, NOW_MS);

    for (const permission of ['publish', 'play'] as const) {
      await expect(checkRoomAccess(auth, 'r1' as RoomName, permission, [jwt], NOW_MS)).rejects.toMatchObject({
        status: 403,
      });
    }
    await expect(checkAdminAccess(auth, [jwt], NOW_MS)).rejects.toMatchObject({ status: 403 });
  });

  it('carry the audience when one is configured', async () => {
    const strict = { ...settings, jwtAudience: 'vestibule' };

    expect(await names(await writeMemberToken(ADA, strict, NOW_MS), strict)).toEqual(['ada', ADA.uuid]);
    expect(await names(await writeMemberToken(ADA, settings, NOW_MS), strict)).toBe(401);
  });
});

describe('tokens minted with JWT_SECRET elsewhere', () => {
  it.each(['HS256', 'HS384', 'HS512'])('are taken with %s', async (alg) => {
    expect(await names(await sign({ ...inAnHour, sub: 'ada' }, { alg }))).toEqual(['ada']);
  });

  it.each<[string, JWTPayload, string[] | number]>([
    ['a uuid', { uuid: 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' }, ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
    ['userId and home', { userId: 'ada', home: 'video.example' }, ['ada@video.example']],
    ['a number as userId', { userId: 7, home: 'video.example' }, ['7@video.example']],
    ['all of them', { sub: 's', uuid: 'u', userId: 'i', home: 'h' }, ['s', 'u', 'i@h']],
    ['one name twice', { sub: 'u', uuid: 'u' }, ['u']],
    ['userId without home', { userId: 'ada' }, 403],
    ['nobody', {}, 403],
    ['a home that ends another userId', { userId: 'a', home: 'b@c' }, 401],
    ['a sub of a wrong type', { sub: 7 as unknown as string }, 401],
    ['an empty sub', { sub: '' }, 401],
    ['a uuid of a wrong type', { sub: 'ada', uuid: ['x'] }, 401],
    ['a sub with a line break', { sub: 'ada\n' }, 401],
    ['a sub that is too long', { sub: 'x'.repeat(101) }, 401],
  ])('naming %s', async (_name, claims, expected) => {
    expect(await names(await sign({ ...inAnHour, ...claims }))).toEqual(expected);
  });

  it.each<[string, JWTPayload]>([
    ['without exp', { sub: 'ada' }],
    ['expired', { sub: 'ada', exp: NOW_MS / 1000 - 31 }],
    ['not yet valid', { ...inAnHour, sub: 'ada', nbf: NOW_MS / 1000 + 31 }],
  ])('are refused %s', async (_name, claims) => {
    expect(await names(await sign(claims))).toBe(401);
  });

  it('are looked through until one is good', async () => {
    const good = await sign({ ...inAnHour, sub: 'ada' });

    expect(await names(['raw', await sign(inAnHour), good])).toEqual(['ada']);
    expect(await names([])).toBe(401);
  });
});

describe('tokens minted with a key at JWKS_URL', () => {
  let server: Server;
  let status = 200;
  let fetches = 0;
  let url = '';
  const keys = new Map<string, CryptoKey>();
  let publicJwk: JWK = { kty: 'RSA' };

  const signWith = (alg: string, claims: JWTPayload = { ...inAnHour, sub: 'ada' }, kid = alg): Promise<string> => {
    const key = keys.get(alg);
    if (key === undefined) throw new Error(`no key for ${alg}`);
    return new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(key);
  };
  /** Every test asks by a URL of its own: sets are kept by URL. */
  const at = (name: string): MemberTokenSettings => ({ ...settings, jwksUrl: `${url}/${name}` });

  beforeAll(async () => {
    const jwks: object[] = [];
    for (const alg of ['RS256', 'ES256', 'EdDSA', 'PS256']) {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      keys.set(alg, privateKey);
      const jwk = { ...(await exportJWK(publicKey)), kid: alg, alg, use: 'sig' };
      if (alg === 'RS256') publicJwk = jwk;
      jwks.push(jwk);
    }
    // A symmetric key must never be taken from a public place.
    jwks.push({ kty: 'oct', kid: 'oct', alg: 'HS256', k: base64url('published') });
    server = createServer((_request, response) => {
      fetches += 1;
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ keys: jwks }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    url = `http://127.0.0.1:${address.port}`;
  });
  afterAll(() => {
    server.close();
  });

  it.each(['RS256', 'ES256', 'EdDSA'])('are taken with %s, and the keys are fetched once', async (alg) => {
    const before = fetches;

    expect(await names(await signWith(alg), at(alg))).toEqual(['ada']);
    expect(await names(await signWith(alg, { ...inAnHour, sub: 'ben' }), at(alg))).toEqual(['ben']);
    expect(fetches - before).toBe(1);
  });

  it('are refused like others: expired, for another audience, by another key, without a JWKS_URL', async () => {
    const rules = at('refused');
    const { privateKey } = await generateKeyPair('RS256');
    const forged = await new SignJWT({ ...inAnHour, sub: 'ada' })
      .setProtectedHeader({ alg: 'RS256', kid: 'RS256' })
      .sign(privateKey);

    expect(await names(await signWith('RS256', { sub: 'ada', exp: 1 }), rules)).toBe(401);
    expect(await names(await signWith('RS256'), { ...rules, jwtAudience: 'vestibule' })).toBe(401);
    expect(await names(forged, rules)).toBe(401);
    expect(await names(await signWith('RS256'), settings)).toBe(401);
    expect(await names(await signWith('PS256'), rules), 'an algorithm that we do not list').toBe(401);
  });

  it('never pass by a confusion of algorithms', async () => {
    const rules = at('confused');
    const payload = base64url({ ...inAnHour, sub: 'ada' });
    // The public key as an HMAC secret, in the forms that careless libraries took.
    for (const secret of [JSON.stringify(publicJwk), publicJwk.n ?? '', 'published']) {
      for (const kid of ['RS256', 'oct']) {
        const key = new TextEncoder().encode(secret);
        const token = await new SignJWT({ ...inAnHour, sub: 'ada' })
          .setProtectedHeader({ alg: 'HS256', kid })
          .sign(key);
        expect(await names(token, { ...rules, jwtSecret: null })).toBe(401);
        expect(await names(token, rules)).toBe(401);
      }
    }
    for (const alg of ['none', 'None', '', 'HS256 ', 'A128KW']) {
      expect(await names(`${base64url({ alg, kid: 'RS256' })}.${payload}.AA`, rules)).toBe(401);
    }
  });

  it('an unknown key is not looked for again and again', async () => {
    const rules = at('unknown');
    const before = fetches;

    for (let i = 0; i < 5; i++) expect(await names(await signWith('RS256', undefined, `kid-${i}`), rules)).toBe(401);
    expect(fetches - before).toBe(1);
  });

  it('a look for an unknown key that fails does not shut out the known ones', async () => {
    const rules = at('rotating');
    const silent = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    expect(await names(await signWith('RS256'), rules)).toEqual(['ada']);
    const before = fetches;
    status = 500;
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 31_000 });

    expect(await names(await signWith('RS256', undefined, 'new'), rules), 'after the cooldown').toBe(503);
    expect(await names(await signWith('RS256'), rules)).toEqual(['ada']);
    expect(await names(await signWith('RS256', undefined, 'new'), rules)).toBe(401);
    expect(fetches - before).toBe(1);
    status = 200;
    vi.useRealTimers();
    silent.mockRestore();
  });

  it('a server that fails is 503 and is left alone for a while; other tokens do not need it', async () => {
    const rules = at('failing');
    const silent = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const before = fetches;
    status = 500;

    for (let i = 0; i < 5; i++) expect(await names(await signWith('RS256'), rules)).toBe(503);
    expect(await names(await sign({ ...inAnHour, sub: 'ada' }), rules)).toEqual(['ada']);
    expect(fetches - before).toBe(1);
    expect(await names(await signWith('RS256'), { ...settings, jwksUrl: 'http://127.0.0.1:1/' })).toBe(503);
    status = 200;
    silent.mockRestore();
  });
});

describe('fuzz', () => {
  it('whatever is presented is a user, 401 or 403, never an exception', async () => {
    const good = await writeMemberToken(ADA, settings, NOW_MS);
    const [header = '', payload = '', signature = ''] = good.split('.');
    const part = fc.oneof(
      fc.constantFrom(header, payload, signature, ''),
      fc.json().map((text) => base64url(text)),
      fc.object().map((value) => base64url({ alg: 'HS256', ...value })),
      fc.stringMatching(/^[\w-]{0,60}$/),
    );
    const token = fc.oneof(
      fc.tuple(part, part, part).map((parts) => parts.join('.')),
      fc.string({ unit: 'binary' }),
      fc.nat(good.length - 1).map((at) => good.slice(0, at) + (good[at] === 'A' ? 'B' : 'A') + good.slice(at + 1)),
    );
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        fc.pre(text !== good);
        expect([401, 403]).toContain(await names(text));
      }),
      { numRuns: 10_000 },
    );
  });

  it('claims of any shape give names that are names, or none', () => {
    const claim = fc.oneof(fc.string({ unit: 'binary' }), fc.anything());
    fc.assert(
      fc.property(
        fc.record({ sub: claim, uuid: claim, userId: claim, home: claim }, { requiredKeys: [] }),
        (claims) => {
          for (const name of namesIn(claims) ?? []) expect(name).toMatch(/^[^\p{Cc}\p{Cs}]{1,201}$/u);
        },
      ),
      { numRuns: 10_000 },
    );
  });
});
