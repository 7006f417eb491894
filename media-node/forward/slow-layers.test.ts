/** A screen that stands still: browsers send a frame a second then, in each layer. */
import { expect, it } from 'vitest';
import { videoIngress } from './testing/plans.ts';
import { World } from './testing/world.ts';

const FRAME_MS = 1010;
const STEP_MS = 10;

it('layers of a frame a second are never described as stopped', () => {
  const world = new World();
  const publisher = world.publisher([videoIngress({ rids: ['l', 'h'], ssrcs: [] })]);
  const sources = ['l', 'h'].map((rid, index) =>
    publisher.source({
      ssrc: 0x11 + index,
      payloadType: 96,
      extensions: { 4: Buffer.from('1'), 10: Buffer.from(rid) },
    }),
  );
  const stopped: number[] = [];
  for (let second = 0; second < 20; second++) {
    for (const source of sources) {
      for (const { datagram } of source.frame(second === 0, 2, 100)) publisher.media.receive(datagram, world.nowMs);
      source.timestamp += 90_000;
    }
    for (let passed = 0; passed < FRAME_MS; passed += STEP_MS) {
      world.pass(STEP_MS);
      const layers = publisher.track('1').describeLayers(world.nowMs);
      if (second > 2 && layers.some(({ bitrateBps }) => bitrateBps === 0)) stopped.push(world.nowMs);
    }
  }
  expect(stopped).toEqual([]);
});
