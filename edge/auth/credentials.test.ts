import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { presentedTokens } from './credentials.ts';

const none = { authorization: null, xAuthToken: null, queryToken: null };

describe('presented tokens', () => {
  it.each([
    ['Bearer abc', ['abc']],
    ['bearer abc', ['abc']],
    ['BEARER   abc  ', ['abc']],
    ['Bearer Bearer abc', ['abc']],
    ['abc', ['abc']],
    ['Token abc', ['Token abc']],
    ['Bearer', []],
    ['Bearer ', []],
    ['Bearer undefined', []],
    ['Bearer null', []],
    ['', []],
    [`Basic ${btoa('user:pass:word')}`, ['pass:word']],
    [`Basic ${btoa('nocolon')}`, []],
    ['Basic !!!', []],
  ])('#91 #94 Authorization: %j', (authorization, expected) => {
    expect(presentedTokens({ ...none, authorization })).toEqual(expected);
  });

  it('takes every source, the header first, each token once', () => {
    const tokens = presentedTokens({ authorization: 'Bearer a', xAuthToken: 'b', queryToken: 'a' });

    expect(tokens).toEqual(['a', 'b']);
  });

  it('falls back to the URL when the header says `Bearer undefined`', () => {
    expect(presentedTokens({ ...none, authorization: 'Bearer undefined', queryToken: 'q' })).toEqual(['q']);
  });

  it('does not look at tokens of absurd length', () => {
    expect(presentedTokens({ ...none, authorization: `Bearer ${'x'.repeat(5000)}` })).toEqual([]);
  });

  it('survives any header', () => {
    const header = fc.option(fc.string({ unit: 'binary', maxLength: 300 }));
    const scheme = fc.constantFrom('', 'Bearer ', 'bearer\t', 'Basic ', 'Digest ');
    fc.assert(
      fc.property(scheme, header, header, header, (prefix, authorization, xAuthToken, queryToken) => {
        const sources = { authorization: prefix + (authorization ?? ''), xAuthToken, queryToken };

        for (const token of presentedTokens(sources)) expect(token.trim()).not.toBe('');
      }),
      { numRuns: 10_000 },
    );
  });
});
