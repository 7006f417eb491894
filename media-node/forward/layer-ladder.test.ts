/** What of a track's layers counts as flowing, and which is the best of them. */
import { expect, it } from 'vitest';
import { videoEgress, videoIngress } from './testing/plans.ts';
import type { RtpSource } from './testing/rtp-source.ts';
import { World } from './testing/world.ts';

const LOW = 0x11;
const HIGH = 0x33;
const TICKS_PER_FRAME = 90_000;
/** Payload descriptor, frame tag, start code, width and height (RFC 7741 §4.3, RFC 6386 §9.1). */
const KEYFRAME = Buffer.from('10000000' + '9d012a', 'hex');
const DELTA = Buffer.from('10010000', 'hex');

function picture(isKeyframe: boolean, width: number, bytes: number): Buffer {
  const payload = Buffer.alloc(bytes);
  (isKeyframe ? KEYFRAME : DELTA).copy(payload);
  if (isKeyframe) {
    payload.writeUInt16LE(width, KEYFRAME.length);
    payload.writeUInt16LE(width / 2, KEYFRAME.length + 2);
  }
  return payload;
}

/** Two layers; the one that a viewer gets shows by the length of its packets. */
function stage() {
  const world = new World();
  const publisher = world.publisher([videoIngress({ rids: ['l', 'h'], ssrcs: [] })]);
  const layer = (rid: string, ssrc: number): RtpSource =>
    publisher.source({ ssrc, payloadType: 96, extensions: { 4: Buffer.from('1'), 10: Buffer.from(rid) } });
  const viewer = world.viewer([videoEgress()]);
  viewer.media.attach('v', publisher.track('1'), world.nowMs);
  /** One packet each; keyframes at first and when they are asked for. */
  const send = (source: RtpSource, width: number, bytes: number): void => {
    const isKeyframe = source.frames++ === 0 || publisher.peer.plis.includes(source.options.ssrc);
    publisher.peer.plis.splice(
      0,
      Number.POSITIVE_INFINITY,
      ...publisher.peer.plis.filter((ssrc) => ssrc !== source.options.ssrc),
    );
    publisher.media.receive(source.packet(picture(isKeyframe, width, bytes)).datagram, world.nowMs);
  };
  return { world, send, low: layer('l', LOW), high: layer('h', HIGH), viewer };
}

it('a frame a second: the layer whose packets come last has not stopped', () => {
  const { world, send, low, high, viewer } = stage();
  const lengths: number[] = [];
  for (let second = 0; second < 60; second++) {
    send(low, 320, 100);
    // 1010 ms in all: the looks at the layers fall everywhere.
    world.pass(40);
    send(high, 1280, 900);
    world.pass(970);
    low.timestamp += TICKS_PER_FRAME;
    high.timestamp += TICKS_PER_FRAME;
    lengths.push(viewer.peer.rtp.at(-1)?.payload.length ?? 0);
  }
  expect(new Set(lengths.slice(5))).toEqual(new Set([900]));
});

it('layers of one size: a keyframe makes none the better one, a lasting difference does', () => {
  const { world, send, low, high, viewer } = stage();
  const play = (seconds: number, lowBytes: number, highBytes: number, burstBytes: number): Set<number> => {
    const streams = new Set<number>();
    for (let frame = 0; frame < seconds * 30; frame++) {
      const isBurst = frame % 90 < 3;
      send(low, 640, isBurst ? burstBytes : lowBytes);
      send(high, 640, highBytes);
      low.timestamp += 3000;
      high.timestamp += 3000;
      world.pass(1000 / 30);
      streams.add(viewer.peer.rtp.at(-1)?.payload.length === highBytes ? HIGH : LOW);
    }
    return streams;
  };
  play(5, 50, 100, 50);
  expect(play(20, 50, 100, 1300)).toEqual(new Set([HIGH]));
  play(5, 800, 100, 800);
  expect(play(5, 800, 100, 800)).toEqual(new Set([LOW]));
});
