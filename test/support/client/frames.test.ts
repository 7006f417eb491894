import { expect, test } from 'vitest';
import { isKeyframeStart } from '../../../media-node/forward/codecs/keyframes.ts';
import { BitWriter } from './bit-writer.ts';
import { readFrameMarker } from './frame-marker.ts';
import { audioSource, BENCH_VIDEO, VIDEO, videoSource } from './pattern.ts';

test.each(['H264', 'VP8'] as const)('%s frames keep to their rate, tell their number and their kind', (codec) => {
  const source = videoSource({ ...BENCH_VIDEO, codec });
  const frames = Array.from({ length: 30 }, (_, frame) => source.next(frame, frame === 0));

  const packets = frames.slice(1).flat();
  expect(Math.abs(packets.length - (29 * BENCH_VIDEO.packetsPerSecond) / 30)).toBeLessThanOrEqual(29);
  const bitrateBps = (packets.reduce((sum, { length }) => sum + length, 0) * 8 * 30) / 29;
  expect(Math.abs(bitrateBps / BENCH_VIDEO.bitrateBps - 1)).toBeLessThan(0.02);
  expect(frames.map((payloads) => payloads.map(readFrameMarker).find((number) => number !== null))).toEqual(
    frames.map((_, frame) => frame),
  );
  expect(frames.map((payloads) => payloads.some((payload) => isKeyframeStart(codec, payload)))).toEqual(
    frames.map((_, frame) => frame === 0),
  );
  expect(Math.max(...frames.flat().map(({ length }) => length))).toBeLessThanOrEqual(1_160);
});

test('fragments of H264 put together are the NAL units again', () => {
  const source = videoSource({ ...VIDEO, width: 128, height: 96 });

  const [, ...fragments] = source.next(1, true);

  const starts = fragments.filter((payload) => ((payload[1] ?? 0) & 0x80) !== 0 && ((payload[0] ?? 0) & 0x1f) === 28);
  const ends = fragments.filter((payload) => ((payload[1] ?? 0) & 0x40) !== 0 && ((payload[0] ?? 0) & 0x1f) === 28);
  expect(starts).toHaveLength(ends.length);
  // 48 macroblocks of I_PCM: 384 samples and a type each.
  const idr = fragments.filter((payload) => ((payload[1] ?? 0) & 0x1f) === 5);
  expect(idr.reduce((sum, { length }) => sum + length - 2, 0)).toBeGreaterThan(48 * 386);
});

test('sound tells its number too', () => {
  const [packet] = audioSource({ codec: 'opus', bitrateBps: 48_000 }).next(77, false);

  expect(packet).toHaveLength(120);
  expect(readFrameMarker(packet ?? Buffer.alloc(0))).toBe(77);
});

test('Exp-Golomb codes and emulation prevention', () => {
  // ue(0) ue(1) ue(2) ue(3) = 1 010 011 00100, and the stop bit.
  expect(new BitWriter().unsigned(0).unsigned(1).unsigned(2).unsigned(3).nalUnit(0x65)).toEqual(
    Buffer.from([0x65, 0b10100110, 0b01001000]),
  );
  expect(new BitWriter().fixed(0, 24).fixed(1, 8).nalUnit(0x65)).toEqual(Buffer.from([0x65, 0, 0, 3, 0, 1, 0x80]));
});
