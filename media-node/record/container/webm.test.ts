import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Demuxer } from 'node-av/api';
import { AVSEEK_FLAG_BACKWARD } from 'node-av/constants';
import { expect, it, onTestFinished } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import type { Sample } from './container.ts';
import { EBML_ID, readElement } from './ebml.ts';
import { containerHeader } from './header.ts';
import { WebmContainer } from './webm.ts';

const SEGMENT_MS = 2_000;
const PICTURE_MS = 40;
const PER_SEGMENT = SEGMENT_MS / PICTURE_MS;
const AUDIO = 1;
const VIDEO = 2;
const AUDIO_HEADER = { kind: 'audio', channels: 2 } as const;
/** The first bytes of a VP8 picture of 64×48 (RFC 6386 §9.1). FFmpeg takes from them what a picture is. */
const KEY_PICTURE = Buffer.from('1002009d012a40003000', 'hex');
/** In nanoseconds, of a track (RFC 9559 §5.1.4.1). */
const CODEC_DELAY = 0x56aa;
const SEEK_PRE_ROLL = 0x56bb;
const TRACK_ENTRY = 0xae;
/** In the identification header of Opus (RFC 7845 §5.1). */
const PRE_SKIP_AT = 10;
const OTHER_PICTURE = Buffer.from('1102000000000000', 'hex');

/** Segments of 2 s with a picture every 40 ms; `keys`: which of them are keyframes. */
async function build(segments: number, keys: ReadonlySet<number>): Promise<{ file: Buffer; cuesAt: number }> {
  const format = { codec: 'vp8', width: 64, height: 48 };
  const header = await containerHeader('webm', [
    AUDIO_HEADER,
    { kind: 'video', codec: 'VP8', format, rotation: 0, key: KEY_PICTURE },
  ]);
  const container = new WebmContainer(header, [
    { kind: 'audio', codec: 'opus', timescale: 1_000 },
    { kind: 'video', codec: 'VP8', timescale: 1_000 },
  ]);
  const parts: Buffer[] = [container.header];
  const position = (): number => parts.reduce((sum, { length }) => sum + length, 0);
  for (let segment = 0; segment < segments; segment++) {
    const samples = (video: boolean): Sample[] =>
      Array.from({ length: PER_SEGMENT }, (_, at) => {
        const picture = segment * PER_SEGMENT + at;
        const key = !video || keys.has(picture);
        const data = video ? (key ? KEY_PICTURE : OTHER_PICTURE) : Buffer.of(0xf8, 0xff, 0xfe);
        return { data: [data], bytes: data.length, time: picture * PICTURE_MS, duration: PICTURE_MS, key };
      });
    parts.push(...container.segment(position(), [samples(false), samples(true)]));
  }
  const cuesAt = position();
  const { trailer, patches } = container.finish(cuesAt);
  const file = Buffer.concat([...parts, trailer]);
  for (const patch of patches) patch.data.copy(file, patch.position);
  return { file, cuesAt };
}

function* elements(data: Buffer, from: number, to: number) {
  for (let at = from; at < to; ) {
    const found = readElement(data, at);
    if (found === null) throw new Error(`no element at ${at}`);
    yield found;
    at = found.dataPosition + found.dataBytes;
  }
}

/** Of each cluster: which of its pictures are keyframes. */
function clusters(file: Buffer) {
  const [, segment] = [...elements(file, 0, file.length)];
  if (segment === undefined) throw new Error('no segment');
  return [...elements(file, segment.dataPosition, file.length)]
    .filter(({ id }) => id === EBML_ID.cluster)
    .map(({ dataPosition, dataBytes }) => {
      const blocks = [...elements(file, dataPosition, dataPosition + dataBytes)]
        .filter(({ id }) => id === EBML_ID.simpleBlock)
        .map((block) => ({ track: (file[block.dataPosition] ?? 0) & 0x7f, flags: file[block.dataPosition + 3] ?? 0 }));
      return {
        keys: blocks.filter(({ track }) => track === VIDEO).map(({ flags }) => (flags & 0x80) !== 0),
        sounds: blocks.filter(({ track }) => track === AUDIO).length,
      };
    });
}

it('begins a cluster with a keyframe if there is one in it', async () => {
  const segments = 3;
  const picture = fc.integer({ min: 0, max: segments * PER_SEGMENT - 1 });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(picture, { maxLength: 20 }), async (numbers) => {
      const keys = new Set(numbers);
      const found = clusters((await build(segments, keys)).file);
      expect(found.map((cluster) => cluster.keys.indexOf(true)).filter((first) => first > 0)).toEqual([]);
      const order = found.flatMap((cluster) => cluster.keys);
      expect(order).toEqual(Array.from({ length: segments * PER_SEGMENT }, (_, at) => keys.has(at)));
      expect(found.reduce((sum, { sounds }) => sum + sounds, 0)).toBe(segments * PER_SEGMENT);
      // However many keyframes there are, the index stays short.
      expect(found.length).toBeLessThanOrEqual(2 * segments);
    }),
    { numRuns: 60 },
  );
});

it.each([
  { name: 'with its cues', hasCues: true },
  { name: 'without its cues, which could not be read', hasCues: false },
])('sought in the middle of a segment, $name, it gives a keyframe first', async ({ hasCues }) => {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-webm-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const lastKey = 3 * PER_SEGMENT + 4;
  const { file, cuesAt } = await build(5, new Set([0, PER_SEGMENT + 7, lastKey]));
  const path = join(folder, 'a.webm');
  await writeFile(path, hasCues ? file : file.subarray(0, cuesAt));

  await using input = await Demuxer.open(path);
  const video = input.video();
  if (video === undefined) throw new Error('it has no video');
  await input.seek(((lastKey + 10) * PICTURE_MS) / 1_000, video.index, AVSEEK_FLAG_BACKWARD);
  for await (const packet of input.packets(video.index)) {
    expect({ isKey: packet?.isKeyframe, ms: Number(packet?.pts) }).toEqual({ isKey: true, ms: lastKey * PICTURE_MS });
    return;
  }
  expect.unreachable('no picture was found');
});

it('says that sound needs 80 ms to be right after a jump, and that none of it is late', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-webm-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'a.webm');
  const { file } = await build(1, new Set([0]));
  await writeFile(path, file);

  const within = (data: Buffer, wanted: number): Buffer[] =>
    [...elements(data, 0, data.length)]
      .filter(({ id }) => id === wanted)
      .map(({ dataPosition, dataBytes }) => data.subarray(dataPosition, dataPosition + dataBytes));
  const entries = within(file, EBML_ID.segment)
    .flatMap((segment) => within(segment, EBML_ID.tracks))
    .flatMap((tracks) => within(tracks, TRACK_ENTRY));
  const valuesOf = (id: number) =>
    entries.map((entry) => within(entry, id).map((data) => data.readUIntBE(0, data.length)));
  expect(valuesOf(SEEK_PRE_ROLL)).toEqual([[80_000_000], []]);
  // Absent, it is 0, as in the header of the codec.
  expect(valuesOf(CODEC_DELAY)).toEqual([[], []]);
  await using input = await Demuxer.open(path);
  const audio = input.audio();
  expect(audio?.codecpar.extradata?.readUInt16LE(PRE_SKIP_AT)).toBe(0);
  expect(audio?.codecpar.initialPadding).toBe(0);
  const packet = await input.packets(audio?.index).next();
  expect(Number(packet.value?.pts)).toBe(0);
});
