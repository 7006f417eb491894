import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { ProblemError } from '../../shared/errors.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { streamBodySchema } from '../space/stream-info.ts';
import { loginSchema } from './authenticate.ts';
import { parseJson } from './json-body.ts';

/** What the text means, or the problem that it is refused with. */
function read<S extends z.ZodType>(schema: S, text: string): z.output<S> | ProblemError {
  try {
    return parseJson(text, schema);
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
}

const STREAM = { title: 'Show', owner: 'ada', guests: ['ben'] };
const LOGIN = { user: 'ada', token: 'register', client: 'test' };

describe('the body of a stream', () => {
  it('lists everybody once, and no owner as a guest', () => {
    const body = { ...STREAM, title: ' Show ', guests: ['ben', 'ada', 'ben', 'cleo'] };

    expect(read(streamBodySchema, JSON.stringify(body))).toEqual({ ...STREAM, guests: ['ben', 'cleo'] });
  });

  it.each([
    ['no JSON', '{', 'bad_json'],
    ['nothing', '', 'bad_json'],
    ['another value', '[]', 'bad_body'],
    ['no title', JSON.stringify({ owner: 'ada', guests: [] }), 'bad_body'],
    ['an empty title', JSON.stringify({ ...STREAM, title: '  ' }), 'bad_body'],
    ['no guests', JSON.stringify({ title: 'Show', owner: 'ada' }), 'bad_body'],
    ['a guest without a name', JSON.stringify({ ...STREAM, guests: [''] }), 'bad_body'],
    ['too many guests', JSON.stringify({ ...STREAM, guests: Array.from({ length: 501 }, String) }), 'bad_body'],
    ['an unknown member', JSON.stringify({ ...STREAM, admin: true }), 'bad_body'],
    ['a prototype', '{"title":"Show","owner":"ada","guests":[],"__proto__":{}}', 'bad_body'],
  ])('%s is refused', (_name, text, code) => {
    expect(read(streamBodySchema, text)).toMatchObject({ status: 400, code });
  });
});

describe('the body of a login', () => {
  it('is exactly user, token and client', () => {
    expect(read(loginSchema, JSON.stringify(LOGIN))).toEqual(LOGIN);
  });

  it.each([
    ['no user', { token: 'register', client: 'test' }],
    ['no token', { user: 'ada', client: 'test' }],
    ['no client', { user: 'ada', token: 'register' }],
    ['an unknown member', { ...LOGIN, admin: true }],
    ['a user that is a number', { ...LOGIN, user: 7 }],
    ['a user who would be another one', { ...LOGIN, user: '3F9FBD9D-19E9-83BE-91F1-1DFD2D0B0E5E' }],
    ['a token that is an object', { ...LOGIN, token: {} }],
  ])('%s is refused, and the token is not repeated', (_name, body) => {
    const refusal = read(loginSchema, JSON.stringify(body));

    expect(refusal).toMatchObject({ status: 400, code: 'bad_body' });
    expect((refusal as ProblemError).detail).not.toContain('register');
  });
});

describe('fuzz', () => {
  it('every text is a body or a 400 with a short reason', () => {
    const nearly = fc.record(
      { title: fc.anything(), owner: fc.anything(), guests: fc.anything(), user: fc.anything(), token: fc.string() },
      { requiredKeys: [] },
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc.oneof(nearly, fc.dictionary(fc.string({ maxLength: 400 }), fc.string())).map((value) => {
        return JSON.stringify(value, (_key, it) => (typeof it === 'bigint' ? Number(it) : it)) ?? '';
      }),
    );
    fc.assert(
      fc.property(fc.constantFrom<z.ZodType>(streamBodySchema, loginSchema), text, (schema, body) => {
        const result = read(schema, body);
        if (!(result instanceof ProblemError)) return;
        expect(result.status).toBe(400);
        expect(result.detail.length).toBeLessThanOrEqual(500);
      }),
      { numRuns: 2_000 },
    );
  });
});
