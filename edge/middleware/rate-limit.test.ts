import { expect, it } from 'vitest';
import { clientAddress } from './rate-limit.ts';

it.each([
  ['Cloudflare', { 'CF-Connecting-IP': '192.0.2.1', 'X-Forwarded-For': '192.0.2.9' }, '192.0.2.1'],
  ['a proxy', { 'X-Forwarded-For': '192.0.2.7' }, '192.0.2.7'],
  ['a proxy, after what the client made up', { 'X-Forwarded-For': '10.0.0.1, 2001:db8::7' }, '2001:db8::7'],
  ['nobody', {}, null],
])('who asks, told by %s', (_name, headers, expected) => {
  expect(clientAddress(new Headers(headers as Record<string, string>))).toBe(expected);
});
