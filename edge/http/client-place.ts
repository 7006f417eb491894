/** Where a client is, as far as somebody says who can be believed: Cloudflare, or the proxy of `CLIENT_PLACE_HEADER`. */
import { type Coordinates, coordinatesSchema } from '../../shared/protocol/control.ts';
import type { Settings } from '../env.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';

/** About the middle of where people live there. */
const CONTINENTS: Readonly<Record<string, Coordinates>> = {
  AF: { latitude: 2, longitude: 20 },
  AS: { latitude: 25, longitude: 95 },
  EU: { latitude: 50, longitude: 10 },
  NA: { latitude: 39, longitude: -95 },
  OC: { latitude: -30, longitude: 145 },
  SA: { latitude: -18, longitude: -56 },
};

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
  const { latitude, longitude, continent } = request.cf ?? {};
  return coordinatesOf(latitude, longitude) ?? CONTINENTS[String(continent)] ?? null;
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
