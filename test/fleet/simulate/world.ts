/** The world of the simulation: where people live, where nodes stand, what is on tonight. */
import { coordinatesOfRegion } from '../../../edge/fleet/regions.ts';
import type { Coordinates } from '../../../shared/protocol/control.ts';
import { type Random, Weighted } from './random.ts';

/** Cities around which people live, with how many of them watch, roughly. */
const CITIES: readonly (readonly [string, number])[] = [
  ['london', 9],
  ['paris', 10],
  ['frankfurt', 9],
  ['amsterdam', 6],
  ['madrid', 6],
  ['milan', 6],
  ['warsaw', 5],
  ['stockholm', 4],
  ['istanbul', 6],
  ['newyork', 10],
  ['chicago', 6],
  ['atlanta', 6],
  ['dallas', 6],
  ['losangeles', 9],
  ['seattle', 4],
  ['toronto', 4],
  ['mexico', 6],
  ['bogota', 3],
  ['saopaulo', 9],
  ['buenosaires', 3],
  ['lagos', 4],
  ['johannesburg', 3],
  ['cairo', 4],
  ['dubai', 3],
  ['mumbai', 9],
  ['delhi', 8],
  ['singapore', 5],
  ['jakarta', 6],
  ['bangkok', 4],
  ['manila', 4],
  ['hongkong', 5],
  ['seoul', 6],
  ['tokyo', 9],
  ['sydney', 4],
];
/** People live within about this of their city. */
const SPREAD_DEGREES = 4;
const BIG_ROOM_SHARE = 0.5;

export interface Location {
  near: Coordinates;
  weight: number;
}

export interface Site {
  name: string;
  coordinates: Coordinates;
  sessions: number;
}

export interface World {
  locations: Location[];
  sites: Site[];
  /** How many of all viewers watch each room; the first is the one that everybody talks about. */
  rooms: number[];
}

export interface WorldSize {
  nodes: number;
  locations: number;
  rooms: number;
  /** Sessions that all nodes can carry together. */
  sessions: number;
}

export function makeWorld(size: WorldSize, random: Random): World {
  const cities = CITIES.map(([name, weight]) => ({ centre: placeOf(name), weight }));
  const byWeight = new Weighted(cities.map(({ weight }) => weight));
  const around = (degrees: number) => {
    const city = cities[byWeight.pick(random)] ?? cities[0];
    if (city === undefined) throw new Error('there are no cities');
    return moved(city.centre, degrees, random);
  };
  const locations = Array.from({ length: size.locations }, () => ({
    near: around(SPREAD_DEGREES),
    weight: random.exponential(1) + 0.1,
  }));
  // Some machines are four times as big as others.
  const powers = Array.from({ length: size.nodes }, () => 2 ** random.int(3));
  const power = powers.reduce((sum, one) => sum + one, 0);
  const sites = powers.map((one, index) => ({
    name: `node-${index}`,
    coordinates: around(0.5),
    sessions: Math.max(2, Math.round((size.sessions * one) / power)),
  }));
  const rest = Array.from({ length: Math.max(0, size.rooms - 1) }, (_, index) => 1 / (index + 1));
  const sum = rest.reduce((total, one) => total + one, 0);
  const rooms = [BIG_ROOM_SHARE, ...rest.map((one) => ((1 - BIG_ROOM_SHARE) * one) / sum)];
  return { locations, sites, rooms };
}

function placeOf(city: string): Coordinates {
  const place = coordinatesOfRegion(city);
  if (place === null) throw new Error(`where is ${city}?`);
  return place;
}

function moved({ latitude, longitude }: Coordinates, degrees: number, random: Random): Coordinates {
  const east = longitude + random.between(-degrees, degrees);
  return {
    latitude: Math.max(-60, Math.min(70, latitude + random.between(-degrees, degrees))),
    longitude: east > 180 ? east - 360 : east < -180 ? east + 360 : east,
  };
}
