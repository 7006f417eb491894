/** Files are read as what they are: real ones that ffmpeg wrote, and broken ones. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { cached } from '../cache.ts';
import { MAX_PAYLOAD_BYTES } from '../client/pattern.ts';
import { readAnnexB } from './annex-b.ts';
import { CLIP_CODECS, soundClip, videoClip } from './clips.ts';
import { fileSource } from './file-source.ts';
import { readIvf } from './ivf.ts';
import { MediaFileError } from './media-track.ts';
import { readObus } from './obu.ts';
import { opusMs, readOggOpus } from './ogg-opus.ts';
import { openMediaFile } from './open-media.ts';

const require = createRequire(import.meta.url);
const FPS = 30;

test.each(CLIP_CODECS)(
  '%s: every frame, keyframes at their places, times that go on over the end',
  async (codec) => {
    const { video, audio } = await openMediaFile(await videoClip(codec), FPS);
    const seconds = codec === 'AV1' ? 1 : 2;

    expect(audio).toBeNull();
    expect(video).toMatchObject({ codec, clockRate: 90_000 });
    expect(video?.frames).toHaveLength(seconds * FPS);
    expect(video?.durationMs).toBeCloseTo(seconds * 1_000, -1);
    expect(video?.frames.flatMap(({ isKeyframe }, at) => (isKeyframe ? [at] : [])).slice(0, 2)).toEqual([0, 15]);
    if (video === null) throw new Error('no video');
    const source = fileSource(video, video.durationMs);
    const last = source.timing?.(video.frames.length - 1);
    const again = source.timing?.(video.frames.length);
    expect(again?.isKeyframe).toBe(true);
    expect((again?.sendMs ?? 0) - (last?.sendMs ?? 0)).toBeCloseTo(1_000 / FPS, 0);
    for (let frame = 0; frame < video.frames.length; frame++) {
      const payloads = source.next(frame, false);
      expect(payloads.length).toBeGreaterThan(0);
      for (const { length } of payloads) expect(length).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES);
    }
  },
  130_000,
);

test('Opus: packets of 20 ms, and no headers among them', async () => {
  const { audio } = await openMediaFile(await soundClip(), FPS);

  expect(audio).toMatchObject({ codec: 'opus', clockRate: 48_000 });
  expect(audio?.durationMs).toBeGreaterThanOrEqual(2_000);
  expect(new Set(audio?.frames.map(({ parts: [packet] }) => opusMs(packet ?? Buffer.alloc(0))))).toEqual(new Set([20]));
});

test('a container goes through ffmpeg: H.264 keeps its times, AAC becomes Opus', async () => {
  const { path: ffmpeg } = require('@ffmpeg-installer/ffmpeg') as { path: string };
  const path = await cached('clip-aac-v1.mp4', async (draft) => {
    const inputs = ['-i', await videoClip('H264'), '-i', await soundClip()];
    await promisify(execFile)(ffmpeg, [
      '-v',
      'error',
      '-y',
      ...inputs,
      '-c:v',
      'copy',
      '-c:a',
      'aac',
      '-f',
      'mp4',
      draft,
    ]);
  });
  const { video, audio } = await openMediaFile(path, FPS);

  expect(video).toMatchObject({ codec: 'H264' });
  expect(audio).toMatchObject({ codec: 'opus' });
  expect(video?.frames[0]?.isKeyframe).toBe(true);
  // Parameter sets come with the keyframe: SPS, PPS, then the rest.
  expect(video?.frames[0]?.parts.slice(0, 2).map(([first = 0]) => first & 0x1f)).toEqual([7, 8]);
});

test.each([
  ['an IVF that is none', () => readIvf(Buffer.from('RIFF of something else, and long enough'))],
  ['an IVF of another codec', () => readIvf(Buffer.concat([Buffer.from('DKIF\0\0\x20\0H264'), Buffer.alloc(20)]))],
  ['an Ogg that is none', () => readOggOpus(Buffer.alloc(64, 1))],
  ['a stream without pictures', () => readAnnexB(Buffer.from([0, 0, 1, 7, 1, 2, 3]), FPS)],
  ['an OBU that is longer than its frame', () => readObus(Buffer.from([0x12, 9, 1]))],
])('%s is refused', (_name, read) => {
  expect(read).toThrow(MediaFileError);
});

test('what is no media at all is refused in words', async () => {
  const path = await cached('no-media-v1.mp4', (draft) => writeFile(draft, 'no media'));
  await expect(openMediaFile(path, FPS)).rejects.toThrow('ffmpeg finds no media');
});
