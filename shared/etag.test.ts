import { describe, expect, test } from 'vitest';
import { evaluateIfMatch, makeEtag, parseStrongEtag } from './etag.ts';

const CURRENT = '"abc"';

describe('makeEtag', () => {
  test('#8 is strong and quoted', () => {
    expect(makeEtag('a1-b/c')).toBe('"a1-b/c"');
  });

  test.each(['', '*', 'a"b', 'a b', 'é'])('#8 refuses %j', (opaque) => {
    expect(() => makeEtag(opaque)).toThrow(RangeError);
  });
});

test.each([
  ['"abc"', 'abc'],
  ['W/"abc"', null],
  ['abc', null],
  ['"', null],
  ['""', null],
  ['"a"b"', null],
])('parseStrongEtag(%s) is %s', (tag, opaque) => {
  expect(parseStrongEtag(tag)).toBe(opaque);
});

describe('evaluateIfMatch', () => {
  test.each([
    ['#47 missing', null, 'ok', 'missing'],
    ['#47 empty', '  ', 'ok', 'missing'],
    ['#49 any', '*', 'ok', 'ok'],
    ['#50 any, in quotes', '"*"', 'ok', 'ok'],
    ['the current tag', '"abc"', 'ok', 'ok'],
    ['blanks around it', ' "abc" ', 'ok', 'ok'],
    ['#48 another tag', '"abd"', 'mismatch', 'mismatch'],
    ['#48 another case', '"ABC"', 'mismatch', 'mismatch'],
    ['#50 a list with it', '"x", "abc"', 'ok', 'ok'],
    ['#50 a list without blanks', '"x","abc"', 'ok', 'ok'],
    ['#50 a list without it', '"x", "y"', 'mismatch', 'mismatch'],
    ['a comma inside a tag', '"x,abc"', 'mismatch', 'mismatch'],
    ['#50 without quotes (vue-wish)', 'abc', 'ok', 'ok'],
    ['#48 without quotes, another', 'abd', 'mismatch', 'mismatch'],
    ['#50 weakened, without quotes', 'W/abc', 'ok', 'mismatch'],
    ['#50 weakened by a proxy', 'W/"abc"', 'ok', 'mismatch'],
    ['#48 weakened, another', 'W/"x"', 'mismatch', 'mismatch'],
    ['an open quote', '"abc', 'mismatch', 'mismatch'],
    ['commas only', ',,', 'mismatch', 'mismatch'],
  ])('%s: %j', (_what, ifMatch, lenient, strict) => {
    expect([
      evaluateIfMatch(ifMatch, CURRENT, { strict: false }),
      evaluateIfMatch(ifMatch, CURRENT, { strict: true }),
    ]).toEqual([lenient, strict]);
  });

  test('a malformed tag never equals a malformed current one', () => {
    expect(evaluateIfMatch('"abc', 'abc"', { strict: true })).toBe('mismatch');
  });
});
