import { describe, expect, it } from 'vitest';
import { mintSessionId, type SpaceName, type StreamId, streamLobbyId } from '../../shared/ids.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { toBase64url } from './base64url.ts';
import { csrfCookie, csrfToken } from './csrf.ts';
import { signed } from './message-mac.ts';
import { expiredSessionCookie, readSessionCookie, type SessionCookie, writeSessionCookie } from './session-cookie.ts';

const SECRET = 'session-secret-of-this-test';
const PLAIN = { secure: false, crossSite: false };
const lobby = streamLobbyId('s1' as SpaceName, '3b241101-e2bb-4255-8caf-4136c566a962' as StreamId);
const cookie: SessionCookie = { lobby, session: mintSessionId(), user: 'Ädä "the;first" 🦊' };

/** What a client sends back for a `Set-Cookie`. */
async function sentBack(it: SessionCookie = cookie, secret = SECRET): Promise<string> {
  return (await writeSessionCookie(it, secret, PLAIN)).split(';')[0] ?? '';
}

describe('the session cookie', () => {
  it('says which session of which user in which lobby', async () => {
    expect(await readSessionCookie(await sentBack(), SECRET)).toEqual(cookie);
  });

  it('is found among others, and behind forged ones of its name', async () => {
    const header = `a=b; session.id=forged; session.id=; session.idx=1;${await sentBack()} ; z`;

    expect(await readSessionCookie(header, SECRET)).toEqual(cookie);
    expect(await readSessionCookie(`session.id="${(await sentBack()).slice(11)}"`, SECRET)).toEqual(cookie);
  });

  it('has the attributes that keep it from scripts and, when it can, from other sites', async () => {
    const written = (secure: boolean, crossSite: boolean) => writeSessionCookie(cookie, SECRET, { secure, crossSite });

    expect(await written(false, false)).toMatch(
      /^session\.id=[\w.-]+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/,
    );
    expect(await written(true, false)).toMatch(/; HttpOnly; Secure; SameSite=Lax$/);
    expect(await written(true, true)).toMatch(/; HttpOnly; Secure; SameSite=None$/);
    expect(await written(false, true), 'browsers refuse None without Secure').toMatch(/; HttpOnly; SameSite=Lax$/);
    expect(expiredSessionCookie(PLAIN)).toBe('session.id=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax');
  });

  it('is not read when it is absent, of another secret, or signed for another purpose', async () => {
    const message = (await sentBack()).slice('session.id='.length).split('.')[0] ?? '';

    for (const header of [null, '', 'session.id', `x${await sentBack()}`, await sentBack(cookie, `${SECRET}!`)]) {
      expect(await readSessionCookie(header, SECRET)).toBeNull();
    }
    expect(
      await readSessionCookie(`session.id=${await signed('another purpose', message, SECRET)}`, SECRET),
    ).toBeNull();
  });

  it('genuine but of another shape is none', async () => {
    const texts = ['', '[]', '{}', 'null', JSON.stringify(['x', lobby, 'u']), JSON.stringify([cookie.session, lobby])];
    for (const text of texts) {
      const value = await signed('vestibule session cookie 1', toBase64url(new TextEncoder().encode(text)), SECRET);
      expect(await readSessionCookie(`session.id=${value}`, SECRET)).toBeNull();
    }
  });

  it('fuzz: only what was written is read', async () => {
    const good = await sentBack();
    const value = good.slice('session.id='.length);
    const changed = fc
      .tuple(fc.nat(value.length - 1), fc.constantFrom(...'AQgw_-.=%;" é'))
      .map(([at, char]) => value.slice(0, at) + char + value.slice(at + 1));
    const cut = fc.tuple(fc.nat(value.length), fc.nat(value.length)).map(([a, b]) => value.slice(a, b));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[\w-]{0,80}\.[\w-]{0,50}$/), changed, cut),
        async (text) => {
          fc.pre(text !== value);
          const read = await readSessionCookie(`session.id=${text}`, SECRET);
          // What stands behind a semicolon or a blank is not part of the value.
          if (`session.id=${text}`.split(';')[0]?.trim() !== good) expect(read).toBeNull();
        },
      ),
      { numRuns: 10_000 },
    );
  });
});

describe('the token against forged requests', () => {
  it('stays the same while the cookie is good, and is another for every user and browser', async () => {
    const first = await csrfToken('ada', null, SECRET);
    const header = `session.id=x; ${csrfCookie(first, PLAIN).split(';')[0]}`;

    expect(await csrfToken('ada', header, SECRET)).toBe(first);
    expect(await csrfToken('ben', header, SECRET)).not.toBe(first);
    expect(await csrfToken('ada', null, SECRET)).not.toBe(first);
    expect(await csrfToken('ada', header, `${SECRET}!`)).not.toBe(first);
    expect(csrfCookie(first, PLAIN)).toMatch(/^csrf=[a-z2-7]{26}\.[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly;/);
  });
});
