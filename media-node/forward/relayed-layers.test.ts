/** A node in the middle: it gets layers from one node, and another one gets them from it. */
import { expect, it } from 'vitest';
import { writeOffered, writeWanted } from './relay-messages.ts';
import { viewedFrames } from './testing/picture-check.ts';
import { videoEgress, videoIngress } from './testing/plans.ts';
import { World } from './testing/world.ts';

const RIDS = ['l', 'm', 'h'];
const [LOW, MIDDLE, HIGH] = [0x11, 0x22, 0x33];
const IN = [LOW, MIDDLE, HIGH];
/** SSRCs towards the other node. */
const [LOW_OUT, MIDDLE_OUT, HIGH_OUT] = [0x5000, 0x5002, 0x5004];
const OUT = [LOW_OUT, MIDDLE_OUT, HIGH_OUT];

/** The higher a layer, the larger. */
const PAYLOAD_FACTOR = 20;

function stage() {
  const world = new World();
  const ssrcs = RIDS.map((rid, index) => ({ primary: IN[index] ?? 0, rtx: null, rid }));
  const upstream = world.publisher([videoIngress({ rids: RIDS, extensions: { mid: 4 }, ssrcs })]);
  const sources = IN.map((ssrc) => upstream.source({ ssrc, payloadType: 96, extensions: { 4: Buffer.from('1') } }));
  const layers = RIDS.map((rid, index) =>
    videoEgress({ ssrc: OUT[index] ?? 0, rtxSsrc: null, rtxPayloadType: null, layer: { rid, all: RIDS } }),
  );
  const downstream = world.viewer(layers);
  downstream.media.attach('v', upstream.track('1'), world.nowMs);
  let begun = 0;
  /** @param late the first packets are keyframes of none */
  const play = (count: number, flowing: readonly number[], late = false): void => {
    for (let frame = 0; frame < count; frame++) {
      for (const source of sources) {
        const { ssrc } = source.options;
        const isKeyframe = upstream.peer.plis.includes(ssrc, begun) || (source.frames === 0 && !late);
        if (!flowing.includes(ssrc)) continue;
        for (const { datagram } of source.frame(isKeyframe, 2, ssrc * PAYLOAD_FACTOR))
          upstream.media.receive(datagram, world.nowMs);
      }
      begun = upstream.peer.plis.length;
      for (const source of sources) source.timestamp += 3000;
      world.pass(1000 / 30);
    }
  };
  const offer = (): void => {
    const offered = [HIGH, MIDDLE, LOW].map((ssrc) => ({ ssrc, bitrateBps: 1000, width: ssrc, height: ssrc }));
    upstream.media.receive(
      upstream.peer.rtcp((writer) => {
        writer.receiverReport(1, []);
        writeOffered(writer, HIGH, offered);
      }),
      world.nowMs,
    );
  };
  const want = (wanted: readonly number[]): void => {
    downstream.media.receive(
      downstream.peer.rtcp((writer) => {
        writer.receiverReport(1, []);
        writeWanted(writer, 1, wanted);
      }),
      world.nowMs,
    );
  };
  /** What was sent under an SSRC. */
  const sent = (ssrc: number): number[] => viewedFrames(downstream.peer, ssrc).map(({ stream }) => stream);
  return { world, upstream, play, offer, want, sent };
}

it('a layer that has to be fetched comes by itself to a node that has another one meanwhile', () => {
  const { upstream, play, offer, want, sent } = stage();
  play(5, [LOW, HIGH]);
  offer();
  want([LOW_OUT]);
  for (let second = 0; second < 4; second++) {
    play(30, [LOW, HIGH]);
    want([LOW_OUT]);
  }
  expect(new Set(sent(LOW_OUT))).toEqual(new Set([LOW]));
  upstream.peer.plis.length = 0;

  want([LOW_OUT, MIDDLE_OUT]);
  play(10, [LOW, HIGH]);
  expect(sent(MIDDLE_OUT)).toEqual([]);
  expect(upstream.peer.plis).not.toContain(HIGH);

  play(10, IN);
  want([LOW_OUT, MIDDLE_OUT]);
  play(30, IN);
  expect(sent(MIDDLE_OUT).length).toBe(40);
  expect(new Set(sent(MIDDLE_OUT))).toEqual(new Set([MIDDLE]));
  expect(upstream.peer.plis).not.toContain(HIGH);

  // Nobody wants it for a while, and it stops; then it comes back.
  want([LOW_OUT]);
  for (let second = 0; second < 4; second++) {
    play(30, [LOW, HIGH]);
    want([LOW_OUT]);
  }
  const before = sent(MIDDLE_OUT).length;
  want([LOW_OUT, MIDDLE_OUT]);
  play(10, [LOW, HIGH]);
  expect(sent(MIDDLE_OUT).length).toBe(before);
  play(30, IN);
  expect(sent(MIDDLE_OUT).length).toBeGreaterThan(before + 15);
  expect(new Set(sent(MIDDLE_OUT))).toEqual(new Set([MIDDLE]));
});

it('a node that has nothing yet gets what flows until its layer is here', () => {
  const { play, offer, want, sent } = stage();
  play(60, [LOW, HIGH]);
  offer();
  want([MIDDLE_OUT]);
  play(30, [LOW, HIGH]);
  expect(new Set(sent(MIDDLE_OUT))).toEqual(new Set([HIGH]));
  play(60, IN);
  expect(sent(MIDDLE_OUT).at(-1)).toBe(MIDDLE);
});

/** A viewer of the best layer that flows has chosen one that has to be fetched. */
function choosing() {
  const { world, upstream, play, offer } = stage();
  const viewer = world.viewer([videoEgress({ ssrc: 0x7000, rtxSsrc: null, rtxPayloadType: null })]);
  viewer.media.attach('v', upstream.track('1'), world.nowMs);
  play(60, [LOW, HIGH]);
  offer();
  viewer.media.setLayer('v', { rid: 'm', maxWidth: Infinity, maxHeight: Infinity }, world.nowMs);
  return { upstream, viewer, play };
}

it('a viewer whose layer is fetched starts with its first packets: its publisher is not asked for another keyframe', () => {
  const { upstream, viewer, play } = choosing();
  play(10, [LOW, HIGH]);
  upstream.peer.plis.length = 0;

  play(30, IN);
  const streams = viewedFrames(viewer.peer, 0x7000).map(({ stream }) => stream);
  expect(streams.slice(-30)).toEqual(Array(30).fill(MIDDLE));
  expect(upstream.peer.plis).toEqual([]);
});

it('a viewer whose layer begins in the middle of a group of pictures asks for a keyframe', () => {
  const { upstream, viewer, play } = choosing();
  upstream.peer.plis.length = 0;

  play(30, IN, true);
  expect(upstream.peer.plis).toContain(MIDDLE);
  expect(viewedFrames(viewer.peer, 0x7000).at(-1)?.stream).toBe(MIDDLE);
});
