import { describe, expect, it } from 'vitest';
import { type Env, MisconfiguredError, readSettings } from './env.ts';

const required = { SESSION_SECRET: '0123456789abcdef', NODE_TOKEN: 'node' };

/** Only settings are read; the bindings play no part. */
function env(settings: Partial<Record<string, string | number | boolean>>): Env {
  return settings as unknown as Env;
}

function problemsOf(settings: Record<string, string>): readonly string[] {
  try {
    readSettings(env(settings));
    return [];
  } catch (error) {
    if (error instanceof MisconfiguredError) return error.problems;
    throw error;
  }
}

describe('settings', () => {
  it('has defaults for everything but the two secrets', () => {
    expect(readSettings(env(required))).toMatchObject({
      allowedOrigins: '*',
      authToken: null,
      maxSubsPerRoom: 0,
      rateLimitRps: 0,
      publisherGraceMs: 15_000,
      strictPreconditions: false,
    });
  });

  it('names every mistake at once', () => {
    const problems = problemsOf({
      SESSION_SECRET: 'short',
      ROOM_TOKENS: 'a;b:c;b:d',
      RATE_LIMIT_RPS: '-1',
      MAX_SUBS_PER_ROOM: '1.5',
      ALLOWED_ORIGIN: 'example.org',
      PUBLIC_URL: 'ftp://x',
      STUN_URLS: 'http:x',
      TURN_PASSWORD: 'x',
      STRICT_PRECONDITIONS: 'maybe',
      PUBLISHER_GRACE_MS: '99999999999',
      S3_BUCKET: 'b',
      S3_ACCESS_KEY: 'k',
    }).map((problem) => problem.split(' ')[0]);

    expect(new Set(problems)).toEqual(
      new Set([
        'SESSION_SECRET',
        'NODE_TOKEN',
        'ROOM_TOKENS',
        'RATE_LIMIT_RPS',
        'MAX_SUBS_PER_ROOM',
        'ALLOWED_ORIGIN',
        'PUBLIC_URL',
        'STUN_URLS',
        'TURN_USERNAME',
        'STRICT_PRECONDITIONS',
        'PUBLISHER_GRACE_MS',
        'S3_ENDPOINT,',
      ]),
    );
  });

  it.each([
    [{ S3_ENDPOINT: 'https://s3.example' }, 'S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY'],
    [{ S3_ENDPOINT: 'https://s3.example', S3_BUCKET: 'b', S3_ACCESS_KEY: 'hush', S3_SECRET_KEY: ' ' }, 'S3_SECRET_KEY'],
  ])('a store that is named in part: %j', (given, missing) => {
    const problems = problemsOf({ ...required, ...given });
    expect(problems).toEqual([`${missing} must be given, too: an S3 store needs endpoint, bucket and both keys`]);
  });

  it('a store that is named in full, and none', () => {
    const store = { S3_ENDPOINT: 'https://s3.example', S3_BUCKET: 'b', S3_ACCESS_KEY: 'k', S3_SECRET_KEY: 's' };
    expect(readSettings(env({ ...required, ...store })).s3).toMatchObject({
      bucket: 'b',
      region: 'auto',
      pathStyle: true,
    });
    expect(readSettings(env({ ...required, S3_REGION: 'eu' })).s3).toBeNull();
    // A wrong endpoint is one mistake, and no missing one.
    expect(problemsOf({ ...required, ...store, S3_ENDPOINT: 's3' })).toEqual([
      expect.stringMatching(/^S3_ENDPOINT must/),
    ]);
  });

  it('never repeats a secret', () => {
    const problems = problemsOf({ ...required, SESSION_SECRET: 'hush', NODE_TOKEN: 'hush hush', ROOM_TOKENS: 'hush' });

    expect(problems).toHaveLength(3);
    expect(problems.join()).not.toContain('hush');
  });

  it('reads lists, tokens with colons, and empty values as unset', () => {
    const settings = readSettings(
      env({
        ...required,
        ROOM_TOKENS: ' r1:a:b ; r2:c;',
        ALLOWED_ORIGIN: 'https://A.example/, http://localhost:3000',
        STUN_URLS: 'stun:a, stun:b:3478',
        AUTH_TOKEN: '',
        RATE_LIMIT_RPS: '2.5',
      }),
    );

    expect(Object.fromEntries(settings.roomTokens)).toEqual({ r1: 'a:b', r2: 'c' });
    expect(settings.allowedOrigins).toEqual(['https://a.example', 'http://localhost:3000']);
    expect(settings.stunUrls).toEqual(['stun:a', 'stun:b:3478']);
    expect(settings.authToken).toBeNull();
    // A burst that is not given is what one second allows.
    expect(settings.rateLimitBurst).toBe(3);
  });

  it.each(['https://accounts.example/jwks', 'http://localhost:3000/jwks', 'http://127.0.0.1/'])(
    'JWKS_URL=%s',
    (url) => {
      expect(readSettings(env({ ...required, JWKS_URL: url })).jwksUrl).toBe(url);
    },
  );

  it.each([
    'http://accounts.example/jwks',
    'http://localhost.example/',
    'ftp://localhost/',
    'jwks',
    'http://10.0.0.1/',
  ])('JWKS_URL=%s is refused: anybody could send other keys', (url) => {
    expect(problemsOf({ ...required, JWKS_URL: url })).toEqual([expect.stringMatching(/^JWKS_URL must be an https/)]);
  });

  it('reads what lobbies need', () => {
    expect(readSettings(env(required))).toMatchObject({
      memberGraceMs: 15_000,
      liveAllowedHosts: [],
      registerToken: null,
    });
    expect(
      readSettings(env({ ...required, LIVE_ALLOWED_HOSTS: 'A.Example, 10.0.0.1,::1', MEMBER_GRACE_MS: '0' })),
    ).toMatchObject({ memberGraceMs: 0, liveAllowedHosts: ['a.example', '10.0.0.1', '::1'] });
    expect(problemsOf({ ...required, LIVE_ALLOWED_HOSTS: 'rtmp://a.example/live' })).toHaveLength(1);
  });

  it('takes numbers and booleans as a `vars` table writes them', () => {
    const settings = readSettings(env({ ...required, MAX_SUBS_PER_ROOM: 5, STRICT_PRECONDITIONS: true }));

    expect(settings).toMatchObject({ maxSubsPerRoom: 5, strictPreconditions: true });
  });
});
