/** Where nodes and clients of these tests are. */

/** Degrees north and east. */
export interface Place {
  latitude: number;
  longitude: number;
}

export const NEW_YORK: Place = { latitude: 40.71, longitude: -74.01 };
export const PARIS: Place = { latitude: 48.86, longitude: 2.35 };
export const MUMBAI: Place = { latitude: 19.08, longitude: 72.88 };
export const SYDNEY: Place = { latitude: -33.87, longitude: 151.21 };
export const SAO_PAULO: Place = { latitude: -23.55, longitude: -46.63 };

/** The embedded edge of these tests believes this field (`CLIENT_PLACE_HEADER`). */
export const PLACE_HEADER = 'x-test-place';

/** What a client at this place has to send with each request. */
export function fromPlace({ latitude, longitude }: Place): Record<string, string> {
  return { [PLACE_HEADER]: `${latitude},${longitude}` };
}
