/** Where a client is, as far as somebody says who can be believed: Cloudflare, or the proxy of `CLIENT_PLACE_HEADER`. */
import { type Coordinates, coordinatesSchema } from '../../shared/protocol/control.ts';
import type { Settings } from '../env.ts';
import { coordinatesOfContinent, coordinatesOfCountry } from '../fleet/regions.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';

/** Null: nobody says. */
export function clientPlace(c: AppContext): Coordinates | null {
  return placeIn(c.req.raw, settingsOf(c));
}

export function placeIn(
  request: Request,
  { clientPlaceHeader, embedded }: Pick<Settings, 'clientPlaceHeader' | 'embedded'>,
): Coordinates | null {
  if (clientPlaceHeader !== null) {
    const [latitude = '', longitude = ''] = (request.headers.get(clientPlaceHeader) ?? '').split(',');
    return coordinatesOf(latitude, longitude);
  }
  // In a runtime of our own `cf` is made of a header that anybody can send.
  if (embedded) return null;
  const { latitude, longitude, country, continent } = request.cf ?? {};
  const place = coordinatesOf(latitude, longitude) ?? coordinatesOfCountry(String(country));
  return place ?? coordinatesOfContinent(String(continent));
}

/** Cloudflare writes degrees as text. */
function coordinatesOf(latitude: unknown, longitude: unknown): Coordinates | null {
  if (!isDegrees(latitude) || !isDegrees(longitude)) return null;
  const place = { latitude: Number(latitude), longitude: Number(longitude) };
  return coordinatesSchema.safeParse(place).data ?? null;
}

function isDegrees(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '';
}
