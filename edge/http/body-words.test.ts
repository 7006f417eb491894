import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { ProblemError } from '../../shared/errors.ts';
import { streamBodySchema } from '../space/stream-info.ts';
import { liveBodySchema } from '../stream-lobby/live-target.ts';
import { loginSchema } from './authenticate.ts';
import { parseJson } from './json-body.ts';
import { drainSchema } from './node-routes.ts';
import { linkSchema } from './record-routes.ts';
import { recordingBodySchema } from './wanted-recording.ts';

const SCHEMAS: [string, z.ZodType][] = [
  ['a stream', streamBodySchema],
  ['a login', loginSchema],
  ['going live', liveBodySchema],
  ['draining', drainSchema],
  ['recording', recordingBodySchema],
  ['a link to a recording', linkSchema],
];

function detailOf(schema: z.ZodType, body: unknown): string {
  try {
    parseJson(typeof body === 'string' ? body : JSON.stringify(body), schema);
  } catch (error) {
    if (error instanceof ProblemError) return error.detail;
    throw error;
  }
  throw new Error('it was taken');
}

describe('says in plain words what is wrong with a body', () => {
  const stream = { title: 'Show', owner: 'ada', guests: [] };
  test.each<[string, z.ZodType, unknown, string]>([
    ['a member is missing', streamBodySchema, { owner: 'ada', guests: [] }, '"title" is missing: it must be a text'],
    ['of another type', streamBodySchema, { ...stream, guests: 'ben' }, '"guests" must be a list'],
    [
      'deep inside',
      streamBodySchema,
      { ...stream, guests: ['ben', ''] },
      '"guests[1]" must be 1 to 100 printable characters',
    ],
    [
      'too many',
      streamBodySchema,
      { ...stream, guests: Array.from({ length: 501 }, String) },
      '"guests" must have at most 500 entries',
    ],
    ['unknown', streamBodySchema, { ...stream, admin: 1 }, 'the body may not have "admin": that is not known here'],
    ['no object', streamBodySchema, [], 'the body must be an object'],
    ['too short', loginSchema, { user: 'ada', token: '', client: '' }, '"token" must have at least 1 characters'],
    ['no whole number', drainSchema, { timeoutMs: 1.5 }, '"timeoutMs" must be a whole number'],
    ['too small', drainSchema, { timeoutMs: -1 }, '"timeoutMs" must be at least 0'],
    ['none of those', recordingBodySchema, { format: 'avi' }, '"format" must be "mp4" or "webm" or "raw"'],
    [
      'of two forms the one that was meant',
      liveBodySchema,
      { rtmpEndpoint: 'rtmp://a.example', rtmpKey: 'a b' },
      '"rtmpKey" must be printable ASCII without blanks',
    ],
    [
      'of two forms neither',
      liveBodySchema,
      { rtmpUrl: 'rtmp://a.example', rtmpKey: 'k' },
      'the body must be {rtmpUrl, streamKey} or {rtmpEndpoint, rtmpKey}',
    ],
    ['not JSON', drainSchema, '{timeoutMs:', 'the body is not JSON'],
  ])('%s', (_name, schema, body, words) => {
    const detail = detailOf(schema, body);
    expect(detail.slice(0, words.length)).toBe(words);
    expect(detail.slice(words.length)).toMatch(/^\. For example: \{.*\}$/);
  });

  test('three faults are named, and how many more there are', () => {
    const detail = detailOf(streamBodySchema, { title: '', owner: '', guests: ['', ''] });
    expect(detail).toContain('"guests[0]" must');
    expect(detail).not.toContain('"guests[1]"');
    expect(detail).toContain('; and 1 more');
  });

  test('a long name is cut', () => {
    const detail = detailOf(recordingBodySchema, { ['x'.repeat(1000)]: 1 });
    expect(detail.length).toBeLessThan(200);
  });
});

test.each(SCHEMAS)('the example for %s would be taken', (_name, schema) => {
  const examples = schema.meta()?.examples as unknown[];
  expect(examples).toHaveLength(1);
  expect(() => parseJson(JSON.stringify(examples[0]), schema)).not.toThrow();
});
