/** What is true of whole classes of responses. */
import { expect } from 'vitest';
import type { Reply } from './wire.ts';

/** Fields that pages of another origin have to read (protocol.md #14, #37; seeds row 35). */
export const EXPOSED = [
  'location',
  'link',
  'etag',
  'accept-patch',
  'accept-post',
  'retry-after',
  'www-authenticate',
  'x-req-token',
  'access-control-allow-methods',
];

/** A page of any origin may read this response and the fields that matter (#37, #39). */
export function expectCors(reply: Reply): void {
  expect(reply.header('Access-Control-Allow-Origin')).toBe('*');
  expect(reply.list('Access-Control-Expose-Headers')).toEqual(expect.arrayContaining(EXPOSED));
}

/** Traces of what runs behind the answer. */
const INTERNALS = [
  /\bat .+\(.+:\d+:\d+\)/,
  /\/work\/|\/tmp\/|\/home\/|node_modules|file:\/\//,
  /\.(ts|js|mjs)\b/,
  /TypeError|RangeError|SyntaxError|ReferenceError|undefined|\[object/,
  /Durable ?Object|workerd|miniflare|werift|Hono|zod/i,
];

/** A refusal: RFC 9457 with the extra `error` that pages show, readable from every origin, telling nothing else. */
export function expectProblem(reply: Reply, status: number | readonly number[], error?: string | RegExp): void {
  const allowed = typeof status === 'number' ? [status] : status;
  expect(allowed, reply.body).toContain(reply.status);
  expect(reply.header('Content-Type')).toBe('application/problem+json');
  expect(reply.header('Cache-Control')).toBe('no-store');
  expectCors(reply);
  const problem = reply.json as Record<string, unknown>;
  expect(Object.keys(problem).sort()).toEqual(['code', 'detail', 'error', 'status', 'title', 'type']);
  expect(problem.type).toBe('about:blank');
  expect(problem.status).toBe(reply.status);
  expect(problem.code).toMatch(/^[a-z][a-z0-9_]+$/);
  expect(problem.error).toBe(problem.detail);
  if (error instanceof RegExp) expect(problem.error).toMatch(error);
  else if (error !== undefined) expect(problem.error).toBe(error);
  for (const pattern of INTERNALS) expect(reply.body).not.toMatch(pattern);
  // Nothing of a success may stand in a refusal.
  expect(reply.header('Location')).toBeNull();
  expect(reply.header('ETag')).toBeNull();
  if (reply.status === 405) expect(reply.list('Allow')).toContain('options');
  if (reply.status === 401) expect(reply.header('WWW-Authenticate')).toMatch(/^Bearer realm="[^"]+"/);
  if ([409, 429, 503].includes(reply.status)) {
    const retryAfter = reply.header('Retry-After');
    if (retryAfter !== null || reply.status !== 409) expect(retryAfter).toMatch(/^[1-9]\d*$/);
  }
}

/** A success without content (#45, #76, #83). */
export function expectEmpty(reply: Reply, status: number): void {
  expect(reply.status, reply.body).toBe(status);
  expect(reply.bytes.byteLength).toBe(0);
  expectCors(reply);
  if (status === 200) expect(reply.header('Content-Length')).toBe('0');
  // RFC 9110 §8.6: not in a 204.
  if (status === 204) expect(reply.header('Content-Length')).toBeNull();
}
