import { expect, it } from 'vitest';
import { clientAddress } from './rate-limit.ts';

const FORWARDED = 'X-Forwarded-For';

it.each([
  ['Cloudflare', { 'CF-Connecting-IP': '192.0.2.1', [FORWARDED]: '192.0.2.9' }, { cloudflare: true }, '192.0.2.1'],
  ['nobody: a header is anybody’s word', { 'CF-Connecting-IP': '192.0.2.1', [FORWARDED]: '192.0.2.9' }, {}, null],
  ['nobody in a runtime of our own', { 'CF-Connecting-IP': '192.0.2.1' }, { cloudflare: true, embedded: true }, null],
  ['a proxy that is trusted', { [FORWARDED]: '192.0.2.7' }, { header: FORWARDED }, '192.0.2.7'],
  [
    'a proxy, after what the client made up',
    { [FORWARDED]: '10.0.0.1, 2001:db8::7' },
    { header: FORWARDED },
    '2001:db8::7',
  ],
  ['a proxy that says nothing', { 'CF-Connecting-IP': '192.0.2.1' }, { header: FORWARDED, cloudflare: true }, null],
  ['nobody', {}, {}, null],
] as const)('who asks, told by %s', (_name, headers, how, expected) => {
  const {
    header = null,
    cloudflare = false,
    embedded = false,
  } = { ...how } as {
    header?: string;
    cloudflare?: boolean;
    embedded?: boolean;
  };
  const request = new Request('https://edge.test/', { headers: headers as Record<string, string> });
  if (cloudflare) Object.defineProperty(request, 'cf', { value: {} });
  expect(clientAddress(request, { clientIpHeader: header, embedded })).toBe(expected);
});
