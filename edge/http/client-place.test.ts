import { expect, test } from 'vitest';
import { coordinatesOfContinent, coordinatesOfCountry } from '../fleet/regions.ts';
import { placeIn } from './client-place.ts';

const PARIS = { latitude: 48.85, longitude: 2.35 };

test.each([
  ['Cloudflare', { latitude: '48.85', longitude: '2.35', continent: 'EU' }, PARIS],
  ['Cloudflare, the country only', { country: 'NZ', continent: 'OC' }, coordinatesOfCountry('NZ')],
  ['Cloudflare, the continent only', { continent: 'OC' }, coordinatesOfContinent('OC')],
  ['Cloudflare, nothing (Tor)', { country: 'T1' }, null],
  ['nonsense', { latitude: '91', longitude: '2' }, null],
  ['blanks', { latitude: ' ', longitude: '' }, null],
])('the place by %s', (_, cf, place) => {
  const request = new Request('https://edge.test/');
  Object.defineProperty(request, 'cf', { value: cf });
  expect(placeIn(request, { clientPlaceHeader: null, embedded: false })).toEqual(place);
  expect(placeIn(request, { clientPlaceHeader: null, embedded: true }), 'anybody may say so here').toBeNull();
});

test.each([
  ['48.85,2.35', PARIS],
  [' 48.85 , 2.35 ', PARIS],
  ['48.85', null],
  ['x,y', null],
  ['', null],
])('a header that a setting names: %j', (value, place) => {
  const request = new Request('https://edge.test/', { headers: { 'X-Place': value } });
  expect(placeIn(request, { clientPlaceHeader: 'X-Place', embedded: true })).toEqual(place);
  expect(placeIn(request, { clientPlaceHeader: null, embedded: true }), 'no setting names it').toBeNull();
});
