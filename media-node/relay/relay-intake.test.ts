/** Which relay is in use, which follows, and when nobody wants one; transports are the test's, packets there are none. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { lobbyIdSchema, mintSessionId, nodeIdSchema } from '../../shared/ids.ts';
import type { DesiredRelay, RelayReport } from '../../shared/protocol/control.ts';
import { createForwarder } from '../forward/forwarder.ts';
import type { SourceTrackInfo } from '../negotiate/plan.ts';
import { offerRelay } from '../negotiate/relay-offer.ts';
import { FakeEndpoint, type FakeTransport } from '../session/testing/fake-endpoint.ts';
import { RELAY_IDLE_MS, RelayIntake } from './relay-intake.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const VIDEO: SourceTrackInfo = {
  mid: '1',
  kind: 'video',
  codec: { name: 'VP8', kind: 'video', clockRate: 90_000, channels: 1, fmtp: '' },
};
const UPSTREAM = {
  ice: { ufrag: 'upstream', pwd: 'p'.repeat(26) },
  fingerprint: { algorithm: 'sha-256', value: Array(32).fill('AA').join(':') },
  candidates: [{ address: '192.0.2.1', port: 8840, family: 4 }],
} as const;

function bed() {
  const endpoint = new FakeEndpoint();
  const world = { wanted: true };
  const reports: RelayReport[] = [];
  let attached = 0;
  const forwarder = createForwarder({ keyframeCache: true, keyframeCacheBytes: 1_000_000 });
  const intake = new RelayIntake({
    context: { endpoint, forwarder, now: () => Date.now(), log: () => {} },
    lobby: lobbyIdSchema.parse('room:main'),
    events: { onTracks: () => attached++, onReport: (report) => reports.push(report) },
    wanted: () => world.wanted,
  });
  let ssrc = 1;
  return {
    endpoint,
    intake,
    reports,
    world,
    attached: () => attached,
    pull(): { wish: DesiredRelay; transport: FakeTransport } {
      const wish = { session: mintSessionId(), generation: 1, upstream: nodeIdSchema.parse('a') };
      const ids = { cname: 'c', nextSsrc: () => ssrc++ };
      const { offer } = offerRelay([{ ...VIDEO, stream: 'room' }], UPSTREAM, ids);
      const { answer } = intake.pull(wish, offer, () => true);
      return { wish, transport: endpoint.transportOf(answer) };
    },
  };
}

test('a relay that nobody wants is idle after a while, and no more as soon as somebody does', () => {
  const { intake, reports, world, pull } = bed();
  pull().transport.connect();
  vi.advanceTimersByTime(RELAY_IDLE_MS * 2);
  expect(reports.some(({ idle }) => idle)).toBe(false);

  world.wanted = false;
  vi.advanceTimersByTime(RELAY_IDLE_MS - 2_000);
  expect(reports.some(({ idle }) => idle)).toBe(false);
  vi.advanceTimersByTime(4_000);
  expect(reports.at(-1)).toMatchObject({ state: 'connected', idle: true });
  expect(intake.reports()).toEqual([reports.at(-1)]);
  world.wanted = true;
  intake.noteDemand();

  expect(reports.at(-1)).toMatchObject({ state: 'connected', idle: false });
});

test('a relay that carries media serves on until its successor does; without a successor that carries any, for a while', () => {
  const { endpoint, intake, pull } = bed();
  const first = pull();
  first.transport.connect();
  const second = pull();
  second.transport.connect();
  intake.want(second.wish);
  vi.advanceTimersByTime(1_000);
  expect([first.transport.closed, second.transport.closed]).toEqual([false, false]);

  vi.advanceTimersByTime(6_000);

  expect([first.transport.closed, second.transport.closed]).toEqual([true, false]);
  expect(intake.connected).toBe(true);
  intake.close();
  expect(endpoint.transportCount).toBe(0);
});

test('a relay that is not up has nothing to serve: the next one takes its place at once', () => {
  const { intake, pull } = bed();
  const first = pull();
  const second = pull();

  expect([first.transport.closed, second.transport.closed]).toEqual([true, false]);
  expect(intake.sessionCount).toBe(1);
});

test('when the one in use dies, its successor is used, up or not', () => {
  const { intake, reports, pull } = bed();
  const first = pull();
  first.transport.connect();
  const second = pull();

  first.transport.options.events.onEnded('silence');

  expect(reports.find(({ session, state }) => session === first.wish.session && state === 'closed')).toMatchObject({
    reason: 'silence',
  });
  expect(intake.connected).toBe(false);
  second.transport.connect();
  expect(intake.connected).toBe(true);
});

test('a relay that the edge wants no more, with another that has not begun, ends after a while', () => {
  const { intake, pull, attached } = bed();
  const first = pull();
  first.transport.connect();
  const before = attached();

  intake.want({ session: mintSessionId(), generation: 2, upstream: nodeIdSchema.parse('b') });
  vi.advanceTimersByTime(2_000);
  expect(first.transport.closed).toBe(false);
  vi.advanceTimersByTime(6_000);

  expect(first.transport.closed).toBe(true);
  expect(attached()).toBeGreaterThan(before);
  expect(intake.desired).not.toBeNull();
  expect(vi.getTimerCount()).toBe(0);
});

test('the same relay twice is refused', () => {
  const { intake, endpoint } = bed();
  const wish = { session: mintSessionId(), generation: 1, upstream: nodeIdSchema.parse('a') };
  let ssrc = 1;
  const { offer } = offerRelay([{ ...VIDEO, stream: 'room' }], UPSTREAM, { cname: 'c', nextSsrc: () => ssrc++ });
  intake.pull(wish, offer, () => true);

  expect(() => intake.pull(wish, offer, () => true)).toThrow(expect.objectContaining({ code: 'session_exists' }));
  expect(endpoint.transportCount).toBe(1);
});
