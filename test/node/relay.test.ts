/** Rooms over several nodes: relays between real nodes over real UDP; the test is the edge. */
import { expect, test } from 'vitest';
import { loadAddon } from '../../media-node/forward/native/addon.ts';
import { NativeEngine } from '../../media-node/forward/native/native-engine.ts';
import { PortableEngine } from '../../media-node/forward/portable-engine.ts';
import { VIDEO } from '../support/client/pattern.ts';
import type { Viewer } from '../support/client/viewer.ts';
import type { NodeUnderTest } from '../support/node-under-test.ts';
import { until } from '../support/until.ts';
import { moreFrames, whole } from './bed.ts';
import { type FleetBed, openFleet, ROOM } from './fleet-bed.ts';

const addon = await loadAddon();

/** A publisher on the first of three nodes, and the tracks on all of them: A → B → C. */
async function openChain(engine?: Parameters<typeof openFleet>[1]): Promise<FleetBed & Chain> {
  const bed = await openFleet(3, engine);
  const [a, b, c] = bed.nodes as [NodeUnderTest, NodeUnderTest, NodeUnderTest];
  return { ...bed, a, b, c };
}

interface Chain {
  a: NodeUnderTest;
  b: NodeUnderTest;
  c: NodeUnderTest;
}

function sequenceIsWhole(viewer: Viewer): void {
  for (const track of viewer.tracks) {
    expect(track).toMatchObject({ ...whole(), duplicates: 0, timestampRegressions: 0, foreign: 0 });
  }
  expect(viewer.stray).toBe(0);
  const numbers = viewer.video.frames.map(({ number }) => number);
  if (whole().missing === 0) expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
}

/** How much later than the sound the picture is shown than it was made, by our sender reports. */
function lipOffsetMs(viewer: Viewer): number {
  const capturedMs = (kind: 'audio' | 'video'): number => {
    const track = viewer[kind];
    const [report, frame] = [track.reports.at(-1), track.frames.at(-1)];
    if (report === undefined || frame === undefined) throw new Error('no report');
    const ntpMs = (report.ntpHigh + report.ntpLow / 2 ** 32) * 1_000;
    const shownMs = ntpMs + (((frame.timestamp - report.timestamp) | 0) * 1_000) / track.info.clockRate;
    return shownMs - (frame.number * 1_000) / (kind === 'video' ? 30 : 50);
  };
  return capturedMs('video') - capturedMs('audio');
}

test.each([
  ['portable', () => new PortableEngine()],
  ['native', () => new NativeEngine(addon)],
])(
  'over two hops every frame arrives, once and in order, begun by a keyframe, sound and picture together: %s',
  async (_, engine) => {
    const { a, b, c, publish, play } = await openChain(engine);
    await publish(a);
    b.relayFrom(a, ROOM);
    c.relayFrom(b, ROOM);
    const viewers = await Promise.all([a, b, c].map((node) => play(node)));

    await Promise.all(viewers.map((viewer) => moreFrames(viewer, 60)));
    for (const viewer of viewers) {
      await until(() => viewer.video.reports.length > 1 && viewer.audio.reports.length > 1, 'sender reports');
      sequenceIsWhole(viewer);
      expect(viewer.video.firstIsKeyframe).toBe(true);
      // What the first reports say is of arrival times, on a slow machine late ones; those of the publisher count from then on.
      await until(
        () => Math.abs(lipOffsetMs(viewer)) < 25,
        () => `sound and picture together, not ${lipOffsetMs(viewer)} ms apart`,
      );
    }

    const loads = [a, b, c].map((node) => node.node.hello());
    expect(loads.map(({ lobbies }) => lobbies[0]?.subscribers)).toEqual([1, 1, 1]);
    expect(loads.map(({ load }) => load.sessions)).toEqual([3, 3, 2]);
    expect(loads.map(({ lobbies }) => lobbies[0]?.relays)).toEqual([
      { from: [], to: [b.id] },
      { from: [a.id], to: [c.id] },
      { from: [b.id], to: [] },
    ]);
    expect(loads.map(({ relays }) => relays?.map(({ state, idle }) => [state, idle]))).toEqual([
      [],
      [['connected', false]],
      [['connected', false]],
    ]);
    // The relay's packets do not come on the node's own port, and nothing strange does.
    expect([a, b, c].map((node) => node.endpoint.counters.unknownAddress)).toEqual([0, 0, 0]);
  },
);

test('a late viewer two hops away is started from the cache of its own node, at once', async () => {
  const { a, b, c, publish, play } = await openChain();
  await publish(a, { quirk: 'ffmpeg8', setup: 'passive', candidates: false, rtx: false });
  b.relayFrom(a, ROOM);
  c.relayFrom(b, ROOM);
  const first = await play(c);
  await moreFrames(first, 20);

  const late = await play(c);
  await moreFrames(late, 1);

  // A keyframe comes every two seconds, and this publisher answers no requests.
  expect(late.video.firstIsKeyframe).toBe(true);
  expect(late.video.frames[0]?.number).toBeLessThan(first.video.lastFrame?.number ?? 0);
});

test('a request for a keyframe goes up the tree', async () => {
  const { a, b, c, publish, play } = await openChain();
  const publisher = await publish(a, { video: { ...VIDEO, keyframeEveryMs: 60_000 } });
  b.relayFrom(a, ROOM);
  c.relayFrom(b, ROOM);
  const viewer = await play(c);
  await moreFrames(viewer, 30);
  const before = { plis: publisher.plisReceived, keyframes: viewer.video.keyframes };

  viewer.requestKeyframe();
  await until(() => viewer.video.keyframes > before.keyframes, 'a keyframe');

  expect(publisher.plisReceived).toBeGreaterThan(before.plis);
  sequenceIsWhole(viewer);
});

test('viewers behind a relay get the best layer that flows', async () => {
  const { a, b, publish, play } = await openChain();
  const publisher = await publish(a, { rids: ['low', 'high'], video: { ...VIDEO, keyframeEveryMs: 1_000 } });
  b.relayFrom(a, ROOM);
  const viewer = await play(b);
  const packetsPerFrame = (): number => {
    const [first, last] = [viewer.video.frames.at(-15), viewer.video.frames.at(-1)];
    return first === undefined || last === undefined
      ? 0
      : (last.sequence - first.sequence) / (last.number - first.number);
  };

  await until(() => packetsPerFrame() > 5, 'the better layer');
  publisher.layer('high').active = false;
  await until(() => packetsPerFrame() > 0 && packetsPerFrame() < 4, 'the other one');

  expect(viewer.video).toMatchObject({ ...whole(), duplicates: 0, timestampRegressions: 0 });
});

test('a publisher that comes back is seen everywhere, without a new relay', async () => {
  const { a, b, c, publish, play } = await openChain();
  const lost = a.publishing(ROOM);
  const before = await publish(a, { signalling: lost });
  const relays = [b.relayFrom(a, ROOM), c.relayFrom(b, ROOM)];
  const viewers = await Promise.all([b, c].map((node) => play(node)));
  await Promise.all(viewers.map((viewer) => moreFrames(viewer, 15)));

  await before.abandon();
  const back = a.publishing(ROOM, lost.session);
  await publish(a, { signalling: back });
  await Promise.all(viewers.map((viewer) => moreFrames(viewer, 30)));

  expect(back.resumed).toBe(true);
  for (const viewer of viewers) {
    expect(viewer.video).toMatchObject({ ...whole(), duplicates: 0, timestampRegressions: 0 });
    expect(viewer.session.transport.endReason).toBeNull();
  }
  expect([b, c].map((node, index) => node.lastRelayReport(relays[index]?.session ?? lost.session)?.state)).toEqual([
    'connected',
    'connected',
  ]);
});

test('another codec ends the relay, and the viewers behind the next one', async () => {
  const { a, b, publish, play } = await openChain();
  const lost = a.publishing(ROOM);
  await publish(a, { signalling: lost });
  const { session } = b.relayFrom(a, ROOM);
  const viewer = await play(b);
  await moreFrames(viewer, 10);

  await publish(a, { signalling: a.publishing(ROOM, lost.session), video: { ...VIDEO, codec: 'VP8' } });
  await until(() => b.lastRelayReport(session)?.state === 'closed', 'the end of the relay');
  expect(viewer.session.transport.endReason).toBeNull();
  const next = b.relayFrom(a, ROOM);

  expect(next.resumed).toBe(false);
  expect(await viewer.session.transport.ended).toBe('closed');
  const again = await play(b);
  await moreFrames(again, 10);
  expect(again.video.info.codec).toBe('VP8');
});
