import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input } from 'mediabunny';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import { repair } from '../repair.ts';
import type { Container, Sample } from './container.ts';
import { containerHeader } from './header.ts';
import { Mp4Container } from './mp4.ts';
import { OggPages, oggCrc } from './ogg.ts';
import { WebmContainer } from './webm.ts';

const SEGMENTS = 6;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vestibule-container-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** One second each: 10 pictures, 50 packets of sound. Contents are marked with their numbers. */
async function build(extension: 'mp4' | 'webm'): Promise<{ file: Buffer; ends: number[] }> {
  const format = { codec: 'vp8', width: 64, height: 48 };
  const header = await containerHeader(extension, [
    { kind: 'audio', channels: 2 },
    { kind: 'video', codec: 'VP8', format, rotation: 90, key: Buffer.alloc(16) },
  ]);
  const scales = extension === 'mp4' ? [48_000, 90_000] : [1_000, 1_000];
  const tracks = [
    { kind: 'audio', codec: 'opus', timescale: scales[0] ?? 0 },
    { kind: 'video', codec: 'VP8', timescale: scales[1] ?? 0 },
  ] as const;
  const container: Container =
    extension === 'mp4' ? new Mp4Container(header, tracks) : new WebmContainer(header, tracks);
  const parts: Buffer[] = [container.header];
  const ends: number[] = [];
  const position = (): number => parts.reduce((sum, { length }) => sum + length, 0);
  for (let second = 0; second < SEGMENTS; second++) {
    const samples = (perSecond: number, timescale: number, video: boolean): Sample[] =>
      Array.from({ length: perSecond }, (_, at) => {
        const duration = timescale / perSecond;
        const data = Buffer.alloc(20 + at, second * perSecond + at);
        return {
          data: [data],
          bytes: data.length,
          time: second * timescale + at * duration,
          duration,
          key: !video || at === 0,
        };
      });
    parts.push(
      ...container.segment(position(), [samples(50, scales[0] ?? 0, false), samples(10, scales[1] ?? 0, true)]),
    );
    ends.push(position());
  }
  const { trailer, patches } = container.finish(position());
  const file = Buffer.concat([...parts, trailer]);
  for (const patch of patches) patch.data.copy(file, patch.position);
  return { file, ends };
}

async function read(file: Buffer) {
  const input = new Input({ formats: ALL_FORMATS, source: new BufferSource(file) });
  const video = await input.getPrimaryVideoTrack();
  const counts: number[] = [];
  const times: number[] = [];
  for (const track of await input.getTracks()) {
    let count = 0;
    for await (const packet of new EncodedPacketSink(track as never).packets()) {
      count++;
      if (track === video) times.push(packet.timestamp);
    }
    counts.push(count);
  }
  return { durationS: await input.computeDuration(), counts, times, rotation: await video?.getRotation() };
}

describe.each(['mp4', 'webm'] as const)('%s', (extension) => {
  it('holds what was put in, by the word of another reader', async () => {
    const { file } = await build(extension);
    const { durationS, counts, times, rotation } = await read(file);
    expect(counts).toEqual([50 * SEGMENTS, 10 * SEGMENTS]);
    expect(durationS).toBeGreaterThan(SEGMENTS - 0.15);
    expect(durationS).toBeLessThan(SEGMENTS + 0.15);
    expect(times[13]).toBeCloseTo(1.3, 3);
    expect(rotation).toBe(90);
  });

  it('cut anywhere, it is repaired up to its last whole segment', async () => {
    const { file, ends } = await build(extension);
    const first = ends[0] ?? 0;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: file.length }), async (length) => {
        const path = join(folder, `cut.${extension}`);
        await writeFile(path, file.subarray(0, length));
        const repaired = await repair(path);
        if (length < first) {
          expect(repaired).toBeNull();
          return;
        }
        const whole = ends.filter((end) => end <= length).length;
        expect(repaired?.trustedBytes).toBe(ends[whole - 1]);
        const { counts } = await read(await readFile(path));
        expect(counts).toEqual([50 * whole, 10 * whole]);
      }),
      { numRuns: 40 },
    );
  });
});

describe('ogg', () => {
  it('has the checksum of RFC 3533 and pages whose positions are samples', () => {
    // The check value of CRC-32 with polynomial 0x04c11db7, not reflected, from 0 and without a final XOR.
    expect(oggCrc(Buffer.from('123456789')).toString(16)).toBe('89a1897f');
    const pages = new OggPages(Buffer.from('OpusHead'));
    for (let i = 0; i < 60; i++) pages.add(Buffer.alloc(300), 960);
    const all = pages.takeAll(true);
    expect(all).toHaveLength(4);
    expect(all.map((page) => Number(page.readBigUInt64LE(6)))).toEqual([0, 0, 50 * 960, 60 * 960]);
    expect(all.at(-1)?.[5]).toBe(4);
  });
});
