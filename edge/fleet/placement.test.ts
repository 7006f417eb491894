import { describe, expect, test } from 'vitest';
import { mintBootId, type NodeId } from '../../shared/ids.ts';
import { CONTROL_PROTOCOL_VERSION, type Coordinates, FLEET_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { kmBetween, unitVector } from './geography.ts';
import {
  type Candidate,
  CROWDED_SHARE,
  candidateOf,
  canTake,
  FULL_KM,
  placePublisher,
  placeViewer,
  RELAY_KM,
  STALE_AFTER_MS,
  shareOf,
  TIE_KM,
  UNKNOWN_KM,
  type ViewerWish,
} from './placement.ts';
import { coordinatesOfRegion } from './regions.ts';
import type { NodeSnapshot } from './rpc.ts';

const T0 = 1_700_000_000_000;
const BOOT = mintBootId();
const FRANKFURT = { latitude: 50.1, longitude: 8.7 };
const AMSTERDAM = { latitude: 52.4, longitude: 4.9 };
const PARIS = { latitude: 48.9, longitude: 2.4 };
const TOKYO = { latitude: 35.7, longitude: 139.7 };

function node(name: string, changes: Partial<NodeSnapshot> & { sessions?: number } = {}, pending = 0): Candidate {
  const { sessions = 0, ...rest } = changes;
  const snapshot: NodeSnapshot = {
    node: name as NodeId,
    boot: BOOT,
    linked: true,
    region: '',
    coordinates: null,
    version: '1',
    protocol: CONTROL_PROTOCOL_VERSION,
    engine: 'portable',
    addresses: [],
    capacity: { sessions: 100 },
    load: { sessions, packetsPerSecond: 0, cpu: 0 },
    draining: false,
    seenAt: T0,
    ...rest,
  };
  return candidateOf(snapshot, pending);
}

const nodeIds = (...names: string[]) => new Set(names as NodeId[]);
const ANYWHERE: ViewerWish = { near: null, carrying: new Set(), exclude: [], mayRelay: true };
const viewerAt = (all: Candidate[], wish: Partial<ViewerWish>, randoms: readonly [number, number] = [0, 0]) =>
  placeViewer(all, { ...ANYWHERE, ...wish }, randoms, T0)?.node ?? null;
const publisherAt = (all: Candidate[], wish: { near?: Coordinates; prefer?: string; exclude?: string[] }) =>
  placePublisher(
    all,
    {
      near: wish.near ?? null,
      prefer: (wish.prefer ?? null) as NodeId | null,
      exclude: (wish.exclude ?? []) as NodeId[],
    },
    [0, 0],
    T0,
  )?.node ?? null;

describe('nothing goes to a node that', () => {
  const cpu = 0;
  test.each<[string, Candidate]>([
    ['is not linked', node('a', { linked: false })],
    ['has not been heard of', node('a', { seenAt: T0 - STALE_AFTER_MS - 1 })],
    ['drains', node('a', { draining: true })],
    ['speaks a far version', node('a', { protocol: CONTROL_PROTOCOL_VERSION + 2 })],
    ['is full', node('a', { sessions: 100 })],
    ['will be full with what is on its way', node('a', { sessions: 99 }, 1)],
    [
      'sends all the packets it can',
      node('a', {
        capacity: { sessions: 100, packetsPerSecond: 1_000 },
        load: { sessions: 5, packetsPerSecond: 1_000, cpu },
      }),
    ],
    [
      'has no bandwidth left',
      node('a', {
        capacity: { sessions: 100, bandwidthBps: 8_000 },
        load: { sessions: 5, packetsPerSecond: 0, cpu, bytesOutPerSecond: 1_000 },
      }),
    ],
    [
      'will have none with what is on its way',
      node(
        'a',
        {
          capacity: { sessions: 100, bandwidthBps: 8_000 },
          load: { sessions: 5, packetsPerSecond: 0, cpu, bytesOutPerSecond: 500 },
        },
        5,
      ),
    ],
  ])('%s', (_, only) => {
    expect(viewerAt([only], {})).toBeNull();
    expect(viewerAt([only], { carrying: nodeIds('a') })).toBeNull();
    expect(publisherAt([only], {})).toBeNull();
    expect(publisherAt([only], { prefer: 'a' })).toBeNull();
  });

  test('was just unreachable', () => {
    expect(publisherAt([node('a')], { prefer: 'a', exclude: ['a'] })).toBeNull();
    expect(publisherAt([node('a'), node('b')], { prefer: 'a', exclude: ['a'] })).toBe('b');
    expect(viewerAt([node('a'), node('b')], { carrying: nodeIds('a'), exclude: ['a' as NodeId] })).toBe('b');
  });
});

test('a processor that is busy for a moment refuses nobody where there is no other', () => {
  const busy = node('a', { load: { sessions: 1, packetsPerSecond: 0, cpu: 1.3 } });
  expect(viewerAt([busy], {})).toBe('a');
  expect(viewerAt([busy, node('b', { coordinates: TOKYO })], { near: null })).toBe('b');
});

describe('publishers', () => {
  test('where the viewers are, even if it is busier and farther', () => {
    const nodes = [node('a', { coordinates: PARIS }), node('b', { sessions: 90, coordinates: TOKYO })];
    expect(publisherAt(nodes, { near: PARIS, prefer: 'b' })).toBe('b');
  });

  test('the nearest', () => {
    const nodes = [node('t', { coordinates: TOKYO }), node('f', { coordinates: FRANKFURT }), node('nowhere')];
    expect(publisherAt(nodes, { near: PARIS })).toBe('f');
    expect(publisherAt(nodes, { near: TOKYO })).toBe('t');
  });
});

describe('viewers', () => {
  const europe = [node('f', { coordinates: FRANKFURT }), node('a', { coordinates: AMSTERDAM })];

  test('a node that has the tracks is preferred while it is near enough', () => {
    expect(viewerAt(europe, { near: FRANKFURT, carrying: nodeIds('a') })).toBe('a');
    const world = [...europe, node('t', { coordinates: TOKYO })];
    expect(viewerAt(world, { near: TOKYO, carrying: nodeIds('f') })).toBe('t');
    expect(kmBetween(unitVector(FRANKFURT), unitVector(AMSTERDAM))).toBeLessThan(RELAY_KM);
  });

  test('when it fills up, the next one gets the tracks as well', () => {
    const [f = node('f')] = europe;
    const crowded = node('a', { coordinates: AMSTERDAM, sessions: 95 });
    expect(viewerAt([f, crowded], { near: AMSTERDAM, carrying: nodeIds('a') })).toBe('f');
  });

  test('where no relay can be had, only nodes that have the tracks', () => {
    const all = [...europe, node('t', { coordinates: TOKYO })];
    expect(viewerAt(all, { near: TOKYO, carrying: nodeIds('f'), mayRelay: false })).toBe('f');
    expect(viewerAt(all, { near: TOKYO, mayRelay: false })).toBeNull();
  });

  test('a node that is too old to relay gets viewers only of what it receives itself', () => {
    const old = node('old', { protocol: FLEET_PROTOCOL_VERSION - 1 });
    expect(viewerAt([old], {})).toBeNull();
    expect(viewerAt([old], { carrying: nodeIds('old') })).toBe('old');
  });
});

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const place = fc.record({
  latitude: fc.double({ min: -90, max: 90, noNaN: true }),
  longitude: fc.double({ min: -180, max: 180, noNaN: true }),
});
const someNode = fc
  .record({
    name: fc.stringMatching(/^[a-z]{1,6}$/),
    sessions: fc.integer({ min: 0, max: 110 }),
    coordinates: fc.option(place),
    linked: fc.boolean(),
    draining: fc.boolean(),
    protocol: fc.integer({ min: 1, max: 4 }),
    seenAt: fc.integer({ min: T0 - 30_000, max: T0 + 5 }),
    cpu: fc.double({ min: 0, max: 3, noNaN: true }),
  })
  .map(({ name, cpu, sessions, ...rest }) => node(name, { ...rest, load: { sessions, packetsPerSecond: 0, cpu } }));

test('whatever the fleet: one is chosen exactly when one fits, and it fits', () => {
  const scenario = fc.record({
    all: fc.uniqueArray(someNode, { maxLength: 12, selector: (one) => one.snapshot.node }),
    near: fc.option(place),
    carryingEvery: fc.integer({ min: 1, max: 4 }),
    excludeEvery: fc.integer({ min: 2, max: 4 }),
    mayRelay: fc.boolean(),
    randoms: fc.tuple(random, random),
  });
  fc.assert(
    fc.property(scenario, ({ all, near, carryingEvery, excludeEvery, mayRelay, randoms }) => {
      const names = all.map((one) => one.snapshot.node);
      const wish: ViewerWish = {
        near,
        carrying: new Set(names.filter((_, index) => index % carryingEvery === 0)),
        exclude: names.filter((_, index) => index % excludeEvery === 1),
        mayRelay,
      };
      const fits = all.filter(
        (one) =>
          canTake(one, T0) &&
          !wish.exclude.includes(one.snapshot.node) &&
          (wish.carrying.has(one.snapshot.node) || (mayRelay && one.snapshot.protocol >= FLEET_PROTOCOL_VERSION)),
      );
      const chosen = placeViewer(all, wish, randoms, T0);
      expect(chosen === null).toBe(fits.length === 0);
      if (chosen === null) return;
      expect(fits).toContain(chosen.candidate);
      expect(chosen.carries).toBe(wish.carrying.has(chosen.node));
    }),
    { numRuns: 2_000 },
  );
});

test('nobody goes past two nearer nodes that have the tracks and are not crowded', () => {
  const scenario = fc.record({
    near: place,
    places: fc.array(place, { minLength: 1, maxLength: 8 }),
    x: random,
    y: random,
  });
  fc.assert(
    fc.property(scenario, ({ near, places, x, y }) => {
      const all = places.map((coordinates, index) => node(`n${index}`, { coordinates }));
      const carrying = new Set(all.map((one) => one.snapshot.node));
      const chosen = placeViewer(all, { ...ANYWHERE, near, carrying }, [x, y], T0);
      const nearest = Math.min(...places.map((coordinates) => kmBetween(unitVector(near), unitVector(coordinates))));
      expect(chosen?.km).toBeLessThanOrEqual(nearest + 150);
    }),
  );
});

test('whoever is chosen costs no more than the cheapest of all and the tie', () => {
  const nodes = fc.uniqueArray(someNode, { maxLength: 30, selector: (one) => one.snapshot.node });
  fc.assert(
    fc.property(fc.record({ near: place, all: nodes, x: random, y: random }), ({ near, all, x, y }) => {
      const priceOf = (one: Candidate) => {
        const km = one.where === null ? UNKNOWN_KM : kmBetween(unitVector(near), one.where);
        const beyond = Math.min(1, Math.max(0, shareOf(one) - CROWDED_SHARE) / (1 - CROWDED_SHARE));
        return km + FULL_KM * beyond ** 2;
      };
      const chosen = placePublisher(all, { near, prefer: null, exclude: [] }, [x, y], T0);
      if (chosen === null) return;
      const cheapest = Math.min(...all.filter((one) => canTake(one, T0)).map(priceOf));
      expect(priceOf(chosen.candidate)).toBeLessThanOrEqual(cheapest + TIE_KM + 1e-6);
    }),
    { numRuns: 2_000 },
  );
});

test('the better of any two equals is chosen: the busiest of several never', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { minLength: 2, maxLength: 8 }), random, random, (loads, x, y) => {
      const nodes = loads.map((sessions, index) => node(`n${index}`, { sessions }));
      const chosen = placePublisher(nodes, { near: null, prefer: null, exclude: [] }, [x, y], T0);
      const most = Math.max(...loads);
      expect(chosen).not.toBeNull();
      if (chosen !== null && loads.filter((sessions) => sessions === most).length === 1) {
        expect(shareOf(chosen.candidate)).toBeLessThan(most / 100);
      }
    }),
  );
});

test.each([
  ['eu-central-1', FRANKFURT],
  ['eu-central-1b', FRANKFURT],
  ['europe-west3-a', FRANKFURT],
  ['fra', FRANKFURT],
  ['Paris', PARIS],
  ['JP', TOKYO],
])('region %s is known', (region, expected) => {
  expect(coordinatesOfRegion(region)).toEqual(expected);
});

test.each(['', 'my-basement', 'local', 'test'])('region %j says nothing', (region) => {
  expect(coordinatesOfRegion(region)).toBeNull();
});

test('distances', () => {
  expect(kmBetween(unitVector(PARIS), unitVector(TOKYO))).toBeCloseTo(9_720, -2);
  expect(
    kmBetween(unitVector({ latitude: 90, longitude: 0 }), unitVector({ latitude: -90, longitude: 0 })),
  ).toBeCloseTo(20_015, -1);
  expect(kmBetween(unitVector(PARIS), unitVector(PARIS))).toBe(0);
});
