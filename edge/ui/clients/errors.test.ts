import { describe, expect, it } from 'vitest';
import { ClientError, parseRetryAfter } from './errors.ts';

const NOW = Date.parse('2026-11-21T10:00:00Z');

describe('parseRetryAfter', () => {
  it.each([
    { value: null, ms: null },
    { value: '7', ms: 7_000 },
    { value: ' 0 ', ms: 0 },
    { value: 'Sat, 21 Nov 2026 10:00:30 GMT', ms: 30_000 },
    { value: 'Sat, 21 Nov 2026 09:00:00 GMT', ms: 0 },
    { value: 'soon', ms: null },
  ])('reads $value as $ms ms', ({ value, ms }) => {
    expect(parseRetryAfter(value, NOW)).toBe(ms);
  });
});

describe('ClientError.fromResponse', () => {
  const problem = { 'Content-Type': 'application/problem+json', 'Retry-After': '5' };
  it.each([
    {
      name: 'the error text of a problem',
      response: () => Response.json({ error: 'room is full', code: 'full' }, { status: 403, headers: problem }),
      expected: { message: 'room is full', code: 'full', status: 403, retryAfterMs: 5_000 },
    },
    {
      name: 'the detail when there is no error',
      response: () => Response.json({ title: 'No', detail: 'not now' }, { status: 503 }),
      expected: { message: 'not now', code: 'http_503', status: 503, retryAfterMs: null },
    },
    {
      name: 'a short plain text',
      response: () => new Response('invalid room', { status: 400 }),
      expected: { message: 'invalid room', code: 'http_400', status: 400 },
    },
    {
      name: 'our own words for the page of a proxy',
      response: () => new Response('<html>Bad gateway', { status: 502, headers: { 'Content-Type': 'text/html' } }),
      expected: { message: 'The server answered with status 502', status: 502 },
    },
    {
      name: 'our own words for broken JSON',
      response: () => new Response('{', { status: 409, headers: { 'Content-Type': 'application/json' } }),
      expected: { message: 'Somebody else is live in this room', status: 409 },
    },
  ])('gives $name', async ({ response, expected }) => {
    expect(await ClientError.fromResponse(response(), NOW)).toMatchObject(expected);
  });
});

describe('ClientError.fromUnknown', () => {
  it.each([
    { thrown: new TypeError('Failed to fetch'), code: 'network' },
    { thrown: new DOMException('late', 'TimeoutError'), code: 'timeout' },
    { thrown: new Error('x'), code: 'internal' },
    { thrown: 'x', code: 'internal' },
  ])('names $thrown $code', ({ thrown, code }) => {
    expect(ClientError.fromUnknown(thrown).code).toBe(code);
  });
});
