/**
 * One life of one media node: what carries a session, or the tracks of a lobby. What a former life of a node carried is gone
 * with it, so the id of the node alone never says where something is.
 */
import { z } from 'zod';
import { bootIdSchema, nodeIdSchema } from '../shared/ids.ts';

export const carrierSchema = z.object({ node: nodeIdSchema, boot: bootIdSchema });
export type Carrier = z.infer<typeof carrierSchema>;

/** Is it the same life of the same node? Null is nowhere. */
export function isOn(place: Carrier | null, carrier: Carrier): boolean {
  return place !== null && place.node === carrier.node && place.boot === carrier.boot;
}

/** Each of them once, and nothing else of what stands beside it. */
export function distinctCarriers(places: readonly (Carrier | null)[]): Carrier[] {
  const found: Carrier[] = [];
  for (const place of places) {
    if (place === null || found.some((one) => isOn(one, place))) continue;
    found.push({ node: place.node, boot: place.boot });
  }
  return found;
}
