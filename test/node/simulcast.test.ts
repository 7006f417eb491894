/** Simulcast publishers: each viewer gets the layer that it chose, or the best that flows. */
import { expect, onTestFinished, test } from 'vitest';
import { loadAddon } from '../../media-node/forward/native/addon.ts';
import { NativeEngine } from '../../media-node/forward/native/native-engine.ts';
import { PortableEngine } from '../../media-node/forward/portable-engine.ts';
import type { SessionId } from '../../shared/ids.ts';
import { VIDEO } from '../support/client/pattern.ts';
import { play, type Viewer } from '../support/client/viewer.ts';
import { until } from '../support/until.ts';
import { type Bed, moreFrames, openBed } from './bed.ts';

const RIDS = ['low', 'mid', 'high'];
const WINDOW_FRAMES = 15;
const addon = await loadAddon();
const ENGINES = [
  ['portable', () => new PortableEngine()],
  ['native', () => new NativeEngine(addon)],
] as const;

interface Watcher {
  viewer: Viewer;
  session: SessionId;
}

async function watch({ node }: Bed): Promise<Watcher> {
  const signalling = node.playing('main');
  const viewer = await play({ signalling });
  onTestFinished(() => viewer.close());
  return { viewer, session: signalling.session };
}

function choose({ node }: Bed, session: SessionId, rid: string | null, maxWidth: number | null = null): void {
  node.request<'layer'>({ method: 'layer', session, media: null, rid, maxWidth, maxHeight: null });
}

/** Packets per frame over the last frames: layers differ by it. */
function packetsPerFrame(viewer: Viewer): number {
  const frames = viewer.video.frames.slice(-WINDOW_FRAMES);
  const [first] = frames;
  const last = frames.at(-1);
  if (first === undefined || last === undefined) throw new Error('no frames');
  return (last.sequence - first.sequence) / (last.number - first.number);
}

test('a viewer gets the best of three layers, and the next best when that one stops', async () => {
  const bed = await openBed();
  const publisher = await bed.publish({ rids: RIDS, video: { ...VIDEO, keyframeEveryMs: 1_000 } });
  const viewer = await bed.play();

  // 3, 6 and 12 packets a frame.
  await until(() => viewer.video.frameCount > WINDOW_FRAMES && packetsPerFrame(viewer) > 9, 'the best layer');
  publisher.layer('high').active = false;
  await until(() => packetsPerFrame(viewer) < 9, 'the layer below');
  await moreFrames(viewer, WINDOW_FRAMES);
  const middle = packetsPerFrame(viewer);
  publisher.layer('high').active = true;
  await until(() => packetsPerFrame(viewer) > 9, 'the best layer again');

  expect(publisher.session.answer.tracks.find(({ kind }) => kind === 'video')?.rids).toEqual(RIDS);
  expect(middle).toBeGreaterThan(4);
  expect(viewer.video).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0, foreign: 0 });
  expect(viewer.stray).toBe(0);
});

test.each(ENGINES)(
  'each viewer gets the layer that it chose, and nothing is lost on the way: %s',
  async (_, engine) => {
    const bed = await openBed({ engine: engine() });
    await bed.publish({ rids: RIDS, video: { ...VIDEO, keyframeEveryMs: 60_000 } });
    const watchers = [await watch(bed), await watch(bed), await watch(bed)] as const;
    const [low, middle, high] = watchers;
    // 3, 6 and 12 packets a frame.
    const sizes = (): number[] => watchers.map(({ viewer }) => Math.round(packetsPerFrame(viewer)));
    const show = (expected: number[]): Promise<unknown> =>
      until(
        () =>
          watchers.every(({ viewer }) => viewer.video.frameCount > WINDOW_FRAMES) &&
          JSON.stringify(sizes()) === JSON.stringify(expected),
        () => `${expected}, not ${sizes()}`,
      );
    await show([12, 12, 12]);

    choose(bed, low.session, 'low');
    choose(bed, middle.session, 'mid');
    await show([3, 6, 12]);
    choose(bed, low.session, 'high');
    choose(bed, middle.session, null);
    await show([12, 12, 12]);

    expect(() => choose(bed, high.session, 'huge')).toThrow('no such layer');
    expect(() =>
      bed.node.request<'layer'>({
        method: 'layer',
        session: high.session,
        media: 'audio',
        rid: null,
        maxWidth: null,
        maxHeight: null,
      }),
    ).toThrow('no such video');
    for (const { viewer } of watchers) {
      expect(viewer.video).toMatchObject({ missing: 0, duplicates: 0, timestampRegressions: 0, foreign: 0 });
      expect(viewer.stray).toBe(0);
    }
  },
);

test('an event stream tells what is news: who is live, its layers, and that it is time to move', async () => {
  const bed = await openBed();
  const publisher = await bed.publish({ rids: RIDS, video: { ...VIDEO, keyframeEveryMs: 1_000 } });
  const { viewer, session } = await watch(bed);
  await until(() => viewer.video.frameCount > WINDOW_FRAMES && packetsPerFrame(viewer) > 9, 'the best layer');
  // The best one rises first; those below it are in order at the next look.
  await moreFrames(viewer, WINDOW_FRAMES);
  const events = (names: ('active' | 'inactive' | 'layers' | 'reconnect' | 'viewercount')[]): string =>
    bed.node.request<'open-events'>({ method: 'open-events', session, events: names }).stream;
  const read = (stream: string) => bed.node.request<'read-events'>({ method: 'read-events', session, stream });
  const all = events(['active', 'inactive', 'layers', 'reconnect', 'viewercount']);
  const some = events(['inactive']);

  const first = read(all);
  expect(first.viewersOf).toBe('room:main');
  expect(first.messages.map(({ event }) => event)).toEqual(['active', 'layers']);
  const [layers] = Object.values(JSON.parse(first.messages[1]?.data ?? '{}') as Record<string, { rid: string }[]>);
  expect(layers?.map(({ rid }) => rid)).toEqual(['high', 'mid', 'low']);
  expect(read(all).messages).toEqual([]);
  expect(read(some)).toEqual({ messages: [], viewersOf: null });
  const anew = bed.node.request<'read-events'>({ method: 'read-events', session, stream: all, fresh: true });
  expect(anew.messages.map(({ event }) => event)).toEqual(['active', 'layers']);
  expect(read(all).messages).toEqual([]);

  publisher.layer('high').active = false;
  await until(() => read(all).messages.some(({ event }) => event === 'layers'), 'a layer less');
  bed.node.node.drain(5_000);
  await until(() => read(all).messages.some(({ event }) => event === 'reconnect'), 'a wish to move');
  await publisher.session.leave();
  await until(() => read(all).messages.some(({ event }) => event === 'inactive'), 'the end');
  expect(read(some).messages).toEqual([{ event: 'inactive', data: '{}' }]);

  bed.node.request<'close-events'>({ method: 'close-events', session, stream: some });
  expect(() => read(some)).toThrow('no such event stream');
  await viewer.leave();
  await until(() => {
    try {
      return read(all) === null;
    } catch {
      return true;
    }
  }, 'the stream ends with its session');
});
