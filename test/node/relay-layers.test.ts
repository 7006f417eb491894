/** Simulcast over relays: each node gets the layers that somebody there watches, once, and no others. */
import { expect, onTestFinished, test } from 'vitest';
import { loadAddon } from '../../media-node/forward/native/addon.ts';
import { NativeEngine } from '../../media-node/forward/native/native-engine.ts';
import { PortableEngine } from '../../media-node/forward/portable-engine.ts';
import type { SessionId } from '../../shared/ids.ts';
import { VIDEO } from '../support/client/pattern.ts';
import type { Publisher } from '../support/client/publisher.ts';
import { play, type Viewer } from '../support/client/viewer.ts';
import { droppedDatagrams } from '../support/dropped-datagrams.ts';
import type { NodeUnderTest } from '../support/node-under-test.ts';
import { until } from '../support/until.ts';
import { moreFrames } from './bed.ts';
import { openFleet, ROOM } from './fleet-bed.ts';

const RIDS = ['low', 'mid', 'high'];
/** Packets of a frame. */
const [LOW, MID, HIGH] = [3, 6, 12];
const WINDOW_FRAMES = 10;
/** Where a process gets too little of a machine, what waits in its sockets is seconds old: so are requests for keyframes. */
const SWITCH_MS = 40_000;
/** Eight clients and nodes share one process: no more frames than are needed to tell layers apart, and no sound. */
const PICTURE = { ...VIDEO, framesPerSecond: 10, packetsPerSecond: 30, bitrateBps: 170_000 };
/** Repairs and reports beside the video. */
const OTHER_PACKETS = 2.9;
/** The grace for a layer that nobody watches any more is in it. */
const ROUNDS = 30;
const addon = await loadAddon();

interface Watcher {
  viewer: Viewer;
  /** Null: automatic. */
  choose(rid: string | null): void;
}

async function watch(node: NodeUnderTest): Promise<Watcher> {
  const signalling = node.playing(ROOM);
  const viewer = await play({ signalling });
  onTestFinished(() => viewer.close().catch(() => undefined));
  const session: SessionId = signalling.session;
  return {
    viewer,
    choose: (rid) => {
      node.request<'layer'>({ method: 'layer', session, media: null, rid, maxWidth: null, maxHeight: null });
    },
  };
}

function packetsPerFrame({ viewer }: Watcher): number {
  const frames = viewer.video.frames.slice(-WINDOW_FRAMES);
  const [first] = frames;
  const last = frames.at(-1);
  if (first === undefined || last === undefined || frames.length < WINDOW_FRAMES) return 0;
  return Math.round((last.sequence - first.sequence) / (last.number - first.number));
}

async function show(watchers: readonly Watcher[], expected: readonly (number | undefined)[]): Promise<void> {
  await until(
    () => watchers.every((watcher, index) => packetsPerFrame(watcher) === expected[index]),
    () => `${expected} packets a frame, not ${watchers.map(packetsPerFrame)}`,
    SWITCH_MS,
  );
}

/** Waits until so few packets come to the node for each frame of the video; keyframes and repairs make more of them for a while. */
async function takes(node: NodeUnderTest, { viewer }: Watcher, video: number): Promise<void> {
  const least = video - 0.5;
  const most = video + OTHER_PACKETS;
  const seen: number[] = [];
  while (seen.length < ROUNDS) {
    const [packets, frames] = [node.forwarder.counters.packetsIn, viewer.video.frameCount];
    await moreFrames(viewer, WINDOW_FRAMES);
    seen.push((node.forwarder.counters.packetsIn - packets) / (viewer.video.frameCount - frames));
    if ((seen.at(-1) ?? 0) > least && (seen.at(-1) ?? 0) < most) return;
  }
  throw new Error(`not between ${least} and ${most} packets a frame: ${seen.map((each) => each.toFixed(1)).join(' ')}`);
}

test.each([
  ['portable', () => new PortableEngine()],
  ['native', () => new NativeEngine(addon)],
])(
  'viewers two hops away choose, and what nobody watches any more is not sent: %s',
  async (_, engine) => {
    const { nodes, publish } = await openFleet(3, engine);
    const [a, b, c] = nodes as [NodeUnderTest, NodeUnderTest, NodeUnderTest];
    await publish(a, { rids: RIDS, video: { ...PICTURE, keyframeEveryMs: 60_000 }, audio: null });
    const atHome = await watch(a);
    await show([atHome], [HIGH]);
    b.relayFrom(a, ROOM);
    c.relayFrom(b, ROOM);
    const [one, two] = [await watch(b), await watch(b)];
    const far = await watch(c);
    const all = [atHome, one, two, far];
    // Where sockets overflow, whoever leaves it to us goes down, and comes back up only after a calm time that is longer than
    // is waited here; and its node takes two layers where one is expected.
    for (const watcher of all) watcher.choose('high');
    await show(all, [HIGH, HIGH, HIGH, HIGH]);
    await takes(b, one, HIGH);

    one.choose('low');
    far.choose('mid');
    await show(all, [HIGH, LOW, HIGH, MID]);
    // One copy of each layer, whoever it is for.
    await takes(b, one, LOW + MID + HIGH);

    two.choose('low');
    far.choose('low');
    await show(all, [HIGH, LOW, LOW, LOW]);
    await takes(c, far, LOW);
    await takes(b, one, LOW);

    // It begins with the best; when it comes to that, its line may have been too bad for it already.
    far.choose(null);
    await until(() => packetsPerFrame(far) >= MID, 'an automatic viewer has a better layer than the lowest', SWITCH_MS);
    await show([atHome, one, two], [HIGH, LOW, LOW]);
    // Where others keep the machine busy, sockets overflow.
    const whole = droppedDatagrams() === 0 ? { missing: 0, duplicates: 0 } : {};
    for (const { viewer } of all) {
      expect(viewer.video).toMatchObject({ ...whole, timestampRegressions: 0, foreign: 0 });
      expect(viewer.stray).toBe(0);
    }
  },
  300_000,
);

test('a layer that stops at the publisher is stood in for everywhere, and one without layers after it as well', async () => {
  const { nodes, publish } = await openFleet(2);
  const [a, b] = nodes as [NodeUnderTest, NodeUnderTest];
  const signalling = a.publishing(ROOM);
  const video = { ...PICTURE, keyframeEveryMs: 1_000 };
  const publisher = await publish(a, { signalling, rids: RIDS, video, audio: null });
  const near = await watch(a);
  await show([near], [HIGH]);
  b.relayFrom(a, ROOM);
  const far = await watch(b);
  far.choose('mid');
  await show([far], [MID]);

  publisher.layer('mid').active = false;
  await show([far], [HIGH]);
  publisher.layer('mid').active = true;
  await show([far], [MID]);

  await publisher.session.leave();
  await publish(a, { signalling: a.publishing(ROOM, signalling.session), video, audio: null });
  await show([near, far], [LOW, LOW]);
}, 240_000);

test('a publisher who returns with other layers gets another relay, so that viewers far away can choose among them', async () => {
  const { nodes, publish } = await openFleet(2);
  const [a, b] = nodes as [NodeUnderTest, NodeUnderTest];
  let last: SessionId | null = null;
  const returnWith = async (rids: string[]): Promise<Publisher> => {
    const signalling = last === null ? a.publishing(ROOM) : a.publishing(ROOM, last);
    last = signalling.session;
    return publish(a, { signalling, rids, video: { ...PICTURE, keyframeEveryMs: 1_000 }, audio: null });
  };
  const ends = (session: SessionId): Promise<unknown> =>
    until(() => b.lastRelayReport(session)?.state === 'closed', 'the relay ends');
  const plain = await returnWith([]);
  const first = b.relayFrom(a, ROOM).session;
  const far = await watch(b);
  await show([far], [LOW]);

  await plain.session.leave();
  const layered = await returnWith(RIDS);
  await ends(first);
  const second = b.relayFrom(a, ROOM).session;
  far.choose('mid');
  await show([far], [MID]);

  // The same ones again: nothing has to be made anew.
  await layered.session.leave();
  const again = await returnWith(RIDS);
  await moreFrames(far.viewer, WINDOW_FRAMES);
  await show([far], [MID]);
  expect(b.lastRelayReport(second)?.state).toBe('connected');

  await again.session.leave();
  await returnWith(['small', 'large']);
  await ends(second);
  b.relayFrom(a, ROOM);
  far.choose('small');
  await show([far], [LOW]);
  far.choose('large');
  await show([far], [MID]);
}, 240_000);
