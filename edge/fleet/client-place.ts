/** Where a client is, as far as its request says. Nothing of it is kept. */
import type { Coordinates } from '../../shared/protocol/control.ts';
import { coordinatesOfContinent, coordinatesOfCountry } from './regions.ts';

export interface ClientPlace {
  /** Null: not known. */
  near: Coordinates | null;
  /** A continent (`EU`), in lower case, or `xx`: enough to spread the audience of a room over several objects. */
  area: string;
}

/** What Cloudflare puts beside a request, of which this looks at the place only. */
interface RequestPlace {
  latitude?: unknown;
  longitude?: unknown;
  country?: unknown;
  continent?: unknown;
}

const UNKNOWN_AREA = 'xx';

/**
 * From `request.cf` on Cloudflare; elsewhere from the header fields that Cloudflare's "visitor location headers" and other
 * proxies can add (`CF-IPLatitude`, `CF-IPLongitude`, `CF-IPCountry`, `CF-IPContinent`). Who forges them is sent to a node
 * far away, and has harmed nobody else.
 */
export function clientPlace(request: { headers: Headers; cf?: unknown }): ClientPlace {
  const cf: RequestPlace = typeof request.cf === 'object' && request.cf !== null ? request.cf : {};
  const said = (value: unknown, header: string) => text(value) ?? text(request.headers.get(header));
  const country = said(cf.country, 'cf-ipcountry');
  const continent = said(cf.continent, 'cf-ipcontinent');
  const near =
    coordinates(said(cf.latitude, 'cf-iplatitude'), said(cf.longitude, 'cf-iplongitude')) ??
    (country === null ? null : coordinatesOfCountry(country)) ??
    (continent === null ? null : coordinatesOfContinent(continent));
  const isContinent = continent !== null && coordinatesOfContinent(continent) !== null;
  return { near, area: isContinent ? continent.toLowerCase() : areaOf(near) };
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function coordinates(latitudeText: string | null, longitudeText: string | null): Coordinates | null {
  if (latitudeText === null || longitudeText === null) return null;
  const latitude = Number(latitudeText);
  const longitude = Number(longitudeText);
  const isSane = Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180;
  return isSane ? { latitude, longitude } : null;
}

/** A rough grid in place of a continent's name. */
function areaOf(near: Coordinates | null): string {
  if (near === null) return UNKNOWN_AREA;
  const { latitude, longitude } = near;
  if (longitude < -30) return latitude < 13 ? 'sa' : 'na';
  if (longitude < 60) return latitude < 35 ? 'af' : 'eu';
  return latitude < -10 ? 'oc' : 'as';
}
