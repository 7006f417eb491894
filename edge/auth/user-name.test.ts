import { describe, expect, it } from 'vitest';
import type { StreamId } from '../../shared/ids.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { memberOf, requireMember } from './identity.ts';
import { isDerivedUuid, userNameSchema, userUuid } from './user-name.ts';

describe('user names', () => {
  it.each(['ada', 'root@video.example', 'Ada Lovelace', 'Zoë 🦊', '山田', 'x'.repeat(100), '👩‍👩‍👧'])(
    '%j is one',
    (name) => {
      expect(userNameSchema.parse(name)).toBe(name);
    },
  );

  it.each(['', ' ada', 'ada ', 'a\nb', 'a\u0000', '\ud800', 'a\u2028b', '\u00a0', 'x'.repeat(101), 7, null])(
    '%j is none',
    (name) => {
      expect(userNameSchema.safeParse(name).success).toBe(false);
    },
  );

  it('a UUID is one name in either case', () => {
    expect(userNameSchema.parse('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11')).toBe('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
  });
});

describe('UUIDs of users', () => {
  it('are the same for ever', async () => {
    expect(await userUuid('ada')).toBe('85e86c82-0653-8e6d-939d-5950fde9b811');
  });

  it('are well-formed, differ, and are told from UUIDs that users bring', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.string(), async (a, b) => {
        const [one, other] = [await userUuid(a), await userUuid(b)];
        expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(isDerivedUuid(one.toUpperCase())).toBe(true);
        expect(one === other).toBe(a === b);
      }),
    );
    expect(isDerivedUuid('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')).toBe(false);
    expect(isDerivedUuid('ada')).toBe(false);
  });
});

describe('members', () => {
  const info = { uuid: 'x' as StreamId, title: 't', owner: 'ada', guests: ['ben', 'cleo@video.example'] };

  it.each([
    [['ada'], 'ada'],
    [['sub-of-ada', 'ada'], 'ada'],
    [['x', 'y', 'cleo@video.example'], 'cleo@video.example'],
    [['ben', 'ada'], 'ada'],
    [['Ada'], null],
    [['dora'], null],
  ])('%j is %j in the stream', (names, expected) => {
    const identity = { user: names[0] ?? '', names };
    expect(memberOf(info, identity)).toBe(expected);
    if (expected === null) expect(() => requireMember(info, identity)).toThrow('only the owner and the guests');
    else expect(requireMember(info, identity)).toBe(expected);
  });
});
