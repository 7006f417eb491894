/** A publisher on one node, viewers near three of them: one relay to each of the others, and everything works across it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshRoom, until } from '../e2e/support/until.ts';
import { FleetBed, flowsOn } from './fleet-bed.ts';
import { NEW_YORK, PARIS, SYDNEY } from './places.ts';

let bed: FleetBed;

beforeAll(async () => {
  bed = await FleetBed.open({ nodes: { paris: PARIS, 'new-york': NEW_YORK, sydney: SYDNEY } });
});
afterAll(() => bed?.close());

test('viewers are served near by, and each further node pulls the tracks once', async () => {
  const room = freshRoom();
  const publisher = await bed.publish(PARIS, room);
  const viewers = await Promise.all([PARIS, PARIS, NEW_YORK, NEW_YORK, SYDNEY, SYDNEY].map((at) => bed.play(at, room)));

  expect(bed.nodeOf(publisher)).toBe('paris');
  expect(viewers.map((viewer) => bed.nodeOf(viewer))).toEqual([
    'paris',
    'paris',
    'new-york',
    'new-york',
    'sydney',
    'sydney',
  ]);
  await Promise.all(viewers.map((viewer) => flowsOn(viewer)));
  for (const id of ['new-york', 'sydney']) {
    expect(bed.tap.requests(id, 'relay-pull')).toHaveLength(1);
    await until('the relay is connected', () => bed.tap.relays(id).some(({ state }) => state === 'connected'));
  }
  expect(bed.tap.requests('paris', 'relay-pull')).toHaveLength(0);
});
