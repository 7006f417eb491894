/** Relays in trouble: loss, lost and replaced upstreams, what nobody asked for, and what they leave behind. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadAddon } from '../../media-node/forward/native/addon.ts';
import { NativeEngine } from '../../media-node/forward/native/native-engine.ts';
import { PortableEngine } from '../../media-node/forward/portable-engine.ts';
import { RELAY_EXPIRY_MS } from '../../media-node/relay/pulled-relay.ts';
import type { ProblemError } from '../../shared/errors.ts';
import { mintSessionId, nodeIdSchema } from '../../shared/ids.ts';
import { lobbyOf, type NodeUnderTest } from '../support/node-under-test.ts';
import { UdpProxy } from '../support/udp-proxy.ts';
import { until } from '../support/until.ts';
import { describeVideo, moreFrames } from './bed.ts';
import { openFleet, ROOM } from './fleet-bed.ts';

const LOSS = 0.05;
const addon = await loadAddon();

function addressOf(node: NodeUnderTest): string {
  const [candidate] = node.endpoint.candidates;
  return `${candidate?.address}:${candidate?.port}`;
}

function problemOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    const { status, code } = error as ProblemError;
    return `${status} ${code}`;
  }
  return 'none';
}

test('loss on the way between nodes is repaired there: viewers notice nothing', async () => {
  const { nodes, publish, play } = await openFleet(2);
  const [a, b] = nodes as [NodeUnderTest, NodeUnderTest];
  const publisher = await publish(a);
  await using proxy = await UdpProxy.open(addressOf(a));
  b.relayFrom(a, ROOM, { offer: (sdp) => proxy.rewrite(sdp) });
  const viewer = await play(b);
  await moreFrames(viewer, 5);

  proxy.impair({ lossRate: LOSS });
  await moreFrames(viewer, 60);
  proxy.impair({ lossRate: 0 });
  await moreFrames(viewer, 10);
  await until(
    () => viewer.video.missing === 0,
    () => describeVideo(viewer),
  );

  expect(proxy.down.dropped).toBeGreaterThan(0);
  // The relay asked its own upstream: the publisher lost nothing and was asked for nothing.
  expect(publisher.nacksReceived).toBe(0);
  const numbers = viewer.video.frames.map(({ number }) => number).toSorted((x, y) => x - y);
  expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
});

test('a relay is replaced while it flows: no viewer misses a packet, and the old one ends after the new one is up', async () => {
  const { nodes, publish, play } = await openFleet(3);
  const [a, b, c] = nodes as [NodeUnderTest, NodeUnderTest, NodeUnderTest];
  await publish(a);
  c.relayFrom(a, ROOM);
  const first = b.relayFrom(a, ROOM);
  const viewer = await play(b);
  await moreFrames(viewer, 20);

  const second = b.relayFrom(c, ROOM);
  expect(b.node.hello().relays).toHaveLength(2);
  await until(() => b.node.hello().relays?.length === 1, 'the handover');
  await moreFrames(viewer, 30);

  expect(second.resumed).toBe(true);
  expect(b.node.hello().relays?.map(({ session }) => session)).toEqual([second.session]);
  expect(first.session).not.toBe(second.session);
  expect(viewer.video).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0 });
  expect(viewer.audio).toMatchObject({ missing: 0, timestampRegressions: 0 });
  await until(() => a.node.hello().load.sessions === 2, 'the upstream to be told');
});

test('an upstream that dies is told from a pause within seconds; viewers wait and go on with another one', async () => {
  const { nodes, publish, play } = await openFleet(3);
  const [a, b, c] = nodes as [NodeUnderTest, NodeUnderTest, NodeUnderTest];
  const lost = a.publishing(ROOM);
  const publisher = await publish(a, { signalling: lost });
  await using proxy = await UdpProxy.open(addressOf(a));
  const { session } = b.relayFrom(a, ROOM, { offer: (sdp) => proxy.rewrite(sdp) });
  const viewer = await play(b);
  await moreFrames(viewer, 10);
  const state = (): string | undefined => b.lastRelayReport(session)?.state;

  // The publisher is silent for longer than an upstream may be: checks tell that the node is there.
  await publisher.abandon();
  const pausedMs = performance.now();
  await until(() => performance.now() - pausedMs > 4_000, 'a pause');
  expect(state()).toBe('connected');

  proxy.impair({ cut: true });
  const cutMs = performance.now();
  await until(() => state() === 'silent', 'silence');
  expect(performance.now() - cutMs).toBeLessThan(10_000);

  // The publisher is back on another node.
  await publish(c);
  const next = b.relayFrom(c, ROOM);
  await moreFrames(viewer, 30);

  expect(next.resumed).toBe(true);
  expect(viewer.video).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0 });
  expect(viewer.session.transport.endReason).toBeNull();
});

test('a downstream node that says nothing any more is sent nothing after 10 s; a viewer may be silent for longer', async () => {
  const { nodes, publish, play } = await openFleet(2);
  const [a, b] = nodes as [NodeUnderTest, NodeUnderTest];
  await publish(a);
  await using proxy = await UdpProxy.open(addressOf(a));
  b.relayFrom(a, ROOM, { offer: (sdp) => proxy.rewrite(sdp) });
  const [viewer, near] = [await play(b), await play(a)];
  await moreFrames(viewer, 5);

  proxy.impair({ cut: true });
  await near.abandon();
  const cutMs = performance.now();
  a.endpoint.tick(cutMs + RELAY_EXPIRY_MS - 2_000);
  expect(a.node.hello().lobbies).toMatchObject([{ subscribers: 1, relays: { to: [b.id] } }]);
  a.endpoint.tick(cutMs + RELAY_EXPIRY_MS + 100);

  expect(a.node.hello().lobbies).toEqual([{ lobby: lobbyOf(ROOM), subscribers: 1 }]);
  expect(a.node.hello().load.sessions).toBe(2);
});

test('while a relay is desired its viewers stay; what is not desired ends', async () => {
  const { nodes, publish, play } = await openFleet(2);
  const [a, b] = nodes as [NodeUnderTest, NodeUnderTest];
  await publish(a);
  const { session } = b.relayFrom(a, ROOM);
  const viewer = await play(b);
  await moreFrames(viewer, 5);
  const wish = (of: typeof session) => ({ session: of, generation: 1, upstream: nodeIdSchema.parse('a') });

  // The edge has another in mind that has not begun yet, and then loses its upstream, too.
  b.apply(ROOM, { publisher: null, relay: wish(session) });
  await moreFrames(viewer, 5);
  a.request<'close'>({ method: 'close', session });
  await until(() => b.lastRelayReport(session)?.state === 'closed', 'the end of the relay');
  b.apply(ROOM, { publisher: null, relay: wish(mintSessionId()) });
  const late = await play(b);
  expect(b.node.hello()).toMatchObject({ lobbies: [{ subscribers: 2 }], relays: [] });
  b.relayFrom(a, ROOM);
  await Promise.all([moreFrames(viewer, 10), moreFrames(late, 10)]);

  // As an edge says it that knows no relays.
  b.apply(ROOM, { publisher: null });
  expect(await viewer.session.transport.ended).toBe('closed');
  expect(b.node.hello()).toMatchObject({ lobbies: [], relays: [], load: { sessions: 0 } });
  await until(() => a.node.hello().load.sessions === 1, 'the upstream to be told');
});

test('what the edge did not ask for is refused, and disturbs nobody', async () => {
  const { nodes, publish, play } = await openFleet(2);
  const [a, b] = nodes as [NodeUnderTest, NodeUnderTest];
  await publish(a);
  const viewer = await play(a);
  await moreFrames(viewer, 5);
  const session = mintSessionId();
  const offer = {
    method: 'relay-offer',
    lobby: lobbyOf('nowhere'),
    session,
    downstream: nodeIdSchema.parse('b'),
  } as const;

  expect(problemOf(() => a.request<'relay-offer'>({ ...offer, source: null }))).toBe('404 no_publisher');
  expect(problemOf(() => a.request<'answer'>({ method: 'answer', session, answer: 'v=0' }))).toBe('404 no_session');
  expect(problemOf(() => b.relayFrom(a, 'nowhere'))).toBe('404 no_publisher');
  await publish(b);
  expect(problemOf(() => b.relayFrom(a, ROOM))).toBe('409 publisher_here');
  expect(problemOf(() => a.relayFrom(a, ROOM, { offer: () => 'v=0\r\n' }))).toBe('409 publisher_here');

  // Somebody on the way who swaps a certificate in either direction, or does not know the password.
  const swapped = (sdp: string): string => sdp.replaceAll(/(a=fingerprint:sha-256 )../g, '$1FF');
  const unknown = (sdp: string): string => sdp.replaceAll(/(a=ice-pwd:)..../g, '$1zzzz');
  b.apply(ROOM, { publisher: null });
  for (const wishes of [{ offer: swapped }, { answer: swapped }]) {
    const relay = b.relayFrom(a, ROOM, wishes);
    await until(() => b.lastRelayReport(relay.session)?.state === 'closed', 'the refusal');
    expect(b.node.hello().relays).toEqual([]);
  }
  const deaf = b.relayFrom(a, ROOM, { offer: unknown });
  await until(() => a.endpoint.counters.received > 0, 'checks');
  expect(b.lastRelayReport(deaf.session)?.state ?? 'connecting').toBe('connecting');
  b.apply(ROOM, { publisher: null });
  await moreFrames(viewer, 10);

  expect(viewer.video).toMatchObject({ missing: 0, duplicates: 0 });
});

test.each([
  ['portable', () => new PortableEngine()],
  ['native', () => new NativeEngine(addon)],
])('200 relays leave no transport, session, address or descriptor behind: %s', async (_, engine) => {
  const { nodes, publish } = await openFleet(2, engine);
  const [a, b] = nodes as [NodeUnderTest, NodeUnderTest];
  await publish(a);
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const idle = { descriptors: descriptors(), table: a.endpoint.tableSize, sessions: a.node.hello().load.sessions };

  for (let round = 0; round < 200; round++) {
    const { session } = b.relayFrom(a, ROOM);
    // Ended by either side, before or after it was up.
    if (round % 4 > 1) await until(() => b.lastRelayReport(session)?.state !== undefined, 'a report');
    if (round % 2 === 0) b.apply(ROOM, { publisher: null });
    a.request<'close'>({ method: 'close', session });
    b.reports.length = 0;
  }
  b.apply(ROOM, { publisher: null });

  await until(() => descriptors() <= idle.descriptors, 'the descriptors');
  await until(() => a.endpoint.transportCount === 1 && b.endpoint.transportCount === 0, 'the transports');
  expect(a.endpoint.tableSize).toBe(idle.table);
  expect(a.node.hello().load.sessions).toBe(idle.sessions);
  expect(b.node.hello()).toMatchObject({ relays: [], load: { sessions: 0 } });
});
