/** What one viewer's requests for keyframes cost the publisher and the others. */
import { expect, test } from 'vitest';
import { viewedFrames } from './testing/picture-check.ts';
import { videoEgress, videoIngress } from './testing/plans.ts';
import { type TestPublisher, type TestViewer, World } from './testing/world.ts';

const FRAMES_PER_SECOND = 30;
const SOURCE = { ssrc: 0x1000, payloadType: 96 };

function setUp() {
  const world = new World();
  const publisher = world.publisher([videoIngress()]);
  const source = publisher.source(SOURCE);
  const viewers = [1, 2].map((ssrc) => world.viewer([videoEgress({ ssrc })])) as [TestViewer, TestViewer];
  for (const viewer of viewers) viewer.media.attach('v', publisher.track('1'), world.nowMs);
  return { world, publisher, source, viewers };
}

function askForKeyframe(world: World, viewer: TestViewer, ssrc: number): void {
  viewer.media.receive(
    viewer.peer.rtcp((writer) => writer.pli(99, ssrc)),
    world.nowMs,
  );
}

function plisOf(publisher: TestPublisher): number {
  return publisher.peer.plis.length;
}

test('a viewer that asks all the time makes the publisher send a few keyframes, and ever fewer', () => {
  const { world, publisher, source, viewers } = setUp();
  world.frame(publisher, source, true);
  let answered = plisOf(publisher);
  const seconds = 60;
  const perSecond: number[] = [];
  for (let second = 0; second < seconds; second++) {
    const before = plisOf(publisher);
    for (let frame = 0; frame < FRAMES_PER_SECOND; frame++) {
      askForKeyframe(world, viewers[0], 1);
      // It answers each request by the next frame.
      const asked = plisOf(publisher) > answered;
      answered = plisOf(publisher);
      world.frame(publisher, source, asked);
    }
    perSecond.push(plisOf(publisher) - before);
  }
  // Without an allowance: two a second.
  expect(plisOf(publisher)).toBeLessThanOrEqual(10);
  expect(perSecond.slice(0, 2).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(2);
  expect(perSecond.slice(-15).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(1);

  // The flooder is not lied to, and the other has what the publisher sent, once.
  viewedFrames(viewers[0].peer, 1);
  expect(viewedFrames(viewers[1].peer, 2)).toHaveLength(seconds * FRAMES_PER_SECOND + 1);
  expect(viewers[0].peer.rtp.length).toBeLessThan(viewers[1].peer.rtp.length * 2);
});

test('a viewer that asks when its picture breaks now and then is served each time', () => {
  const { world, publisher, source, viewers } = setUp();
  world.frame(publisher, source, true);
  const before = plisOf(publisher);
  for (let incident = 0; incident < 6; incident++) {
    for (let frame = 0; frame < 10 * FRAMES_PER_SECOND; frame++) world.frame(publisher, source, frame === 1);
    askForKeyframe(world, viewers[0], 1);
  }
  expect(plisOf(publisher) - before).toBe(6);
});

test('where the publisher does not answer, the viewer alone is started from the cached keyframe again', () => {
  const { world, publisher, source, viewers } = setUp();
  const second = (keyframe: boolean): void => {
    for (let frame = 0; frame < FRAMES_PER_SECOND; frame++) world.frame(publisher, source, keyframe && frame === 0);
  };
  second(true);
  // A first request that nobody answers: now it is known. (It is repeated, last after 3.5 s; what comes within a second
  // of that would count as its answer.)
  askForKeyframe(world, viewers[0], 1);
  for (let waited = 0; waited < 5; waited++) second(false);
  second(true);
  const frames = (viewer: TestViewer, ssrc: number) => viewedFrames(viewer.peer, ssrc);
  const keyframesBefore = frames(viewers[0], 1).filter(({ keyframe }) => keyframe).length;
  const asked = plisOf(publisher);

  askForKeyframe(world, viewers[0], 1);
  second(false);

  expect(plisOf(publisher)).toBe(asked);
  const seen = frames(viewers[0], 1);
  expect(seen.filter(({ keyframe }) => keyframe)).toHaveLength(keyframesBefore + 1);
  expect(seen.at(-1)?.frame).toBe(frames(viewers[1], 2).at(-1)?.frame);
  // The other one's picture went on as if nothing had been.
  expect(frames(viewers[1], 2)).toHaveLength(8 * FRAMES_PER_SECOND);
});
