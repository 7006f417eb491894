import { expect, test } from 'vitest';
import { clientPlace } from './client-place.ts';

const place = (cf: unknown, headers: Record<string, string> = {}) => clientPlace({ cf, headers: new Headers(headers) });

test.each<[string, ReturnType<typeof place>, { latitude: number; longitude: number } | null, string]>([
  [
    'coordinates as Cloudflare writes them',
    place({ latitude: '48.85', longitude: '2.35', continent: 'EU' }),
    { latitude: 48.85, longitude: 2.35 },
    'eu',
  ],
  ['a country alone', place({ country: 'JP', continent: 'AS' }), { latitude: 35.7, longitude: 139.7 }, 'as'],
  ['a continent alone', place({ country: 'T1', continent: 'OC' }), { latitude: -32, longitude: 147 }, 'oc'],
  [
    'header fields of a proxy',
    place(undefined, { 'cf-iplatitude': '-23.5', 'cf-iplongitude': '-46.6' }),
    { latitude: -23.5, longitude: -46.6 },
    'sa',
  ],
  ['nothing', place(undefined), null, 'xx'],
  ['coordinates that cannot be', place({ latitude: '91', longitude: '0' }), null, 'xx'],
  ['no numbers', place({ latitude: 'x', longitude: {}, continent: 7 }), null, 'xx'],
])('%s', (_, { near, area }, expectedNear, expectedArea) => {
  expect(near).toEqual(expectedNear);
  expect(area).toBe(expectedArea);
});
