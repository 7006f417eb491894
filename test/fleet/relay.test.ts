/**
 * A publisher in New York, viewers in New York, Paris and Mumbai. Paris gets the tracks from New York and Mumbai gets them from
 * Paris: one relay each, and all that works on one node works across two hops.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { playsOn, received } from '../e2e/support/media-stats.ts';
import { publish as publishPage, watch } from '../e2e/support/project-pages.ts';
import { freshRoom, until } from '../e2e/support/until.ts';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { VIDEO } from '../support/client/pattern.ts';
import type { Viewer } from '../support/client/viewer.ts';
import { UdpProxy } from '../support/udp-proxy.ts';
import { contextAt, FleetBed } from './fleet-bed.ts';
import { flowsOn, hopDelays, packetsPerFrame } from './measure.ts';
import { MUMBAI, NEW_YORK, PARIS } from './places.ts';

const PLACES = [NEW_YORK, PARIS, MUMBAI];
const NODES = ['new-york', 'paris', 'mumbai'];
const RIDS = ['low', 'mid', 'high'];
const LOSS = 0.05;
/** Packets that must have been lost before it counts. */
const ENOUGH_LOST = 40;
const DELAY_FRAMES = 120;
/** Far above what is measured: it says that nothing waits for a timer on the way. */
const MAX_HOP_MS = 100;

let bed: FleetBed;
let chromium: Chromium;

beforeAll(async () => {
  [bed, chromium] = await Promise.all([
    FleetBed.open({ nodes: { 'new-york': NEW_YORK, paris: PARIS, mumbai: MUMBAI } }),
    launchChromium(),
  ]);
});
afterAll(async () => {
  await chromium?.close();
  await bed?.close();
});

/** A viewer near each node, all of whom get packets. */
async function viewersEverywhere(room: string): Promise<[Viewer, Viewer, Viewer]> {
  const [first, second] = [await bed.play(NEW_YORK, room), await bed.play(PARIS, room)];
  await flowsOn(second);
  const third = await bed.play(MUMBAI, room);
  await flowsOn(third);
  return [first, second, third];
}

/** Relays of this room that a node was asked to pull, by upstream. */
function pulled(node: string, room: string): string[] {
  return bed.tap
    .requests(node, 'relay-pull')
    .filter(({ lobby }) => lobby === `room:${room}`)
    .map(({ relay }) => relay.upstream);
}

test('Chromium shows it on all three nodes, each further node pulls the tracks once, and the admin API tells', async () => {
  const room = freshRoom();
  const publisher = await publishPage(await contextAt(chromium, NEW_YORK), bed.url, room, { codec: 'VP8' });
  const players = [];
  for (const place of PLACES) {
    const player = await watch(await contextAt(chromium, place), bed.url, room);
    await playsOn(player);
    players.push(player);
  }
  // More of them cost no further relay.
  const more = await Promise.all([...PLACES, ...PLACES].map((place) => bed.play(place, room)));
  await Promise.all(more.map((viewer) => flowsOn(viewer)));
  await Promise.all(players.map((player) => playsOn(player)));

  expect(await bed.nodeOfPage(publisher)).toBe('new-york');
  expect(await Promise.all(players.map((player) => bed.nodeOfPage(player)))).toEqual(NODES);
  expect(more.map((viewer) => bed.nodeOf(viewer))).toEqual([...NODES, ...NODES]);
  expect(NODES.map((node) => pulled(node, room))).toEqual([[], ['new-york'], ['paris']]);
  expect(bed.tap.relays('mumbai').map(({ state }) => state)).toContain('connected');
  const tree: unknown[] = [];
  for (const id of NODES) {
    const { lobbies } = await bed.untilNode(id, 'has three viewers', (node) =>
      node.lobbies.some(({ lobby, subscribers }) => lobby === `room:${room}` && subscribers === 3),
    );
    tree.push(lobbies.find(({ lobby }) => lobby === `room:${room}`)?.relays);
  }
  expect(tree).toEqual([
    { from: [], to: ['paris'] },
    { from: ['new-york'], to: ['mumbai'] },
    { from: ['paris'], to: [] },
  ]);
  const [, , last] = players;
  if (last === undefined) throw new Error('no player');
  expect(await received(last)).toMatchObject({ videoCodec: 'video/VP8', audioCodec: 'audio/opus' });
  await Promise.all([...players, publisher].map((page) => page.close()));
});

test('every frame comes over two hops once and in order, soon, and a request for a keyframe goes all the way back', async () => {
  const room = freshRoom();
  const publisher = await bed.publish(NEW_YORK, room, {
    video: { ...VIDEO, keyframeEveryMs: Number.POSITIVE_INFINITY },
  });
  const viewers = await viewersEverywhere(room);
  const [near, middle, far] = viewers;
  const [sinceMs, before] = [performance.now(), far.video.frameCount];
  await until('enough frames', () => far.video.frameCount > before + DELAY_FRAMES);

  const first = hopDelays(near, middle, sinceMs);
  const both = hopDelays(near, far, sinceMs);
  console.info(`added by one hop: ${first.text}; by two: ${both.text} (${bed.node('paris').engine} engine)`);
  expect(both.quickMs).toBeLessThan(MAX_HOP_MS);

  const [keyframes, asked] = [far.video.keyframes, publisher.plisReceived];
  far.requestKeyframe();
  await until('a keyframe', () => far.video.keyframes > keyframes);
  expect(publisher.plisReceived).toBeGreaterThan(asked);
  for (const { video, audio, stray } of viewers) {
    for (const track of [video, audio]) {
      expect(track).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0, foreign: 0 });
    }
    expect(video.firstIsKeyframe).toBe(true);
    expect(stray).toBe(0);
  }
});

test('a relay gets the best layer that flows: when it stops, viewers two hops away get the next best', async () => {
  const room = freshRoom();
  const publisher = await bed.publish(NEW_YORK, room, { rids: RIDS, video: { ...VIDEO, keyframeEveryMs: 1_000 } });
  const [, , far] = await viewersEverywhere(room);

  // 3, 6 and 12 packets a frame.
  await until('the best layer', () => packetsPerFrame(far) > 9);
  publisher.layer('high').active = false;
  await until('the layer below', () => packetsPerFrame(far) < 9 && packetsPerFrame(far) > 4);
  publisher.layer('high').active = true;
  await until('the best layer again', () => packetsPerFrame(far) > 9);

  expect(far.video).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0, foreign: 0 });
});

test('what is lost between two nodes is sent again there, and no viewer ever misses it', async () => {
  const room = freshRoom();
  await bed.publish(NEW_YORK, room, { video: { ...VIDEO, keyframeEveryMs: Number.POSITIVE_INFINITY } });
  await using proxy = await UdpProxy.open(bed.node('new-york').address);
  // Paris dials the proxy: only this relay has a bad path.
  bed.tap.rewrite = (frame, node) => {
    if (node !== 'paris' || frame.type !== 'request' || frame.request.method !== 'relay-pull') return frame;
    return { ...frame, request: { ...frame.request, offer: proxy.rewrite(frame.request.offer) } };
  };
  const [near, middle, far] = await viewersEverywhere(room);
  bed.tap.rewrite = (frame) => frame;
  proxy.impair({ lossRate: LOSS });
  await until('enough was lost', () => proxy.down.dropped >= ENOUGH_LOST);
  proxy.impair({ lossRate: 0 });
  const frames = near.video.lastFrame?.number ?? 0;
  await until('all of it', () => [middle, far].every(({ video }) => (video.lastFrame?.number ?? 0) > frames));

  await until('nothing is missing', () => middle.video.missing + far.video.missing === 0);
  console.info(
    `lost between nodes: ${proxy.down.dropped} of ${proxy.down.dropped + proxy.down.forwarded}; missing at viewers: 0`,
  );
});
