/**
 * Great-circle distances. Places are unit vectors from the earth's centre: the distance of two of them costs one root and
 * one arcsine, and no sine of an angle has to be taken again for every viewer.
 */
import type { Coordinates } from '../../shared/protocol/control.ts';

export interface UnitVector {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

const EARTH_RADIUS_KM = 6371;
const RADIANS_PER_DEGREE = Math.PI / 180;

export function unitVector({ latitude, longitude }: Coordinates): UnitVector {
  const phi = latitude * RADIANS_PER_DEGREE;
  const lambda = longitude * RADIANS_PER_DEGREE;
  const radius = Math.cos(phi);
  return { x: radius * Math.cos(lambda), y: radius * Math.sin(lambda), z: Math.sin(phi) };
}

/** Kilometres along the surface, by way of the chord, which is exact for small distances too. */
export function kmBetween(a: UnitVector, b: UnitVector): number {
  const dx = a.x - b.x;
  const dy = a.y - b.y;
  const dz = a.z - b.z;
  const halfChord = Math.sqrt(dx * dx + dy * dy + dz * dz) / 2;
  // Rounding may make the chord of two antipodes a hair longer than the diameter.
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, halfChord));
}

/** Of two places this is less, the farther they are apart: a bound that costs three products tells most of them apart. */
export function closeness(a: UnitVector, b: UnitVector): number {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}

/** Places that are less close than this are farther apart than `km`. */
export function closenessAt(km: number): number {
  // A hair less, so that rounding never hides a place that is just near enough.
  return km >= EARTH_RADIUS_KM * Math.PI ? -2 : Math.cos(Math.max(0, km) / EARTH_RADIUS_KM) - 1e-9;
}
