/** Pictures by a real ffmpeg of what a forwarder has, and what is said when there is none. All other codecs: test/records. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import { audioIngress, videoIngress } from '../forward/testing/plans.ts';
import { World } from '../forward/testing/world.ts';
import type { Codec } from '../negotiate/plan.ts';
import { FfmpegProgram } from '../push/ffmpeg-program.ts';
import { Snapshots } from './snapshots.ts';
import { FFMPEG, h265Pictures } from './testing/h265.ts';

const LOBBY = 'room:a' as LobbyId;
const SESSION = 's' as SessionId;
const H265: Codec = { name: 'H265', kind: 'video', clockRate: 90_000, channels: 1, fmtp: '' };
const CODEC_MS = 90_000;
const PICTURE_TICKS = 3_000;
const ORIENTATION = videoIngress().extensions.videoOrientation ?? Number.NaN;

/** A room with a publisher who has sent this. */
function stage({
  codec = H265,
  /** Each as its payloads. */
  pictures = [] as readonly (readonly Buffer[])[],
  /** What packets say of how the camera is held, by their place (3GPP TS 26.114 §7.4.5). */
  orientations = {} as Readonly<Record<number, number>>,
  ffmpeg = () => FFMPEG,
} = {}) {
  const world = new World();
  const publisher = world.publisher([videoIngress({ codec }), audioIngress()]);
  const source = publisher.source({ ssrc: 0x1000, payloadType: 96 });
  let sent = 0;
  for (const payloads of pictures) {
    for (const [at, payload] of payloads.entries()) {
      const said = orientations[sent++];
      source.options.extensions = said === undefined ? {} : { [ORIENTATION]: Buffer.of(said) };
      publisher.media.receive(source.packet(payload, at === payloads.length - 1).datagram, world.nowMs);
    }
    source.timestamp += PICTURE_TICKS;
  }
  const startMs = performance.now();
  const snapshots = new Snapshots({
    context: { now: () => world.nowMs + performance.now() - startMs },
    ffmpeg,
    ffmpegPatienceMs: CODEC_MS,
  });
  const sources = [
    { mid: '0', kind: 'audio' as const, codec: audioIngress().codec },
    { mid: '1', kind: 'video' as const, codec },
  ];
  const pictured = { id: SESSION, sources, sourceTrack: (mid: string) => publisher.track(mid) };
  return { snapshots, pictured, publisher };
}

/** A program that does this in place of ffmpeg. */
async function program(script: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-snapshots-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'ffmpeg');
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

it('H265, once a second however many ask', { timeout: CODEC_MS }, async () => {
  const { snapshots, pictured } = stage({ pictures: await h265Pictures('320x180', 1) });
  const asked = [1, 2, 3].map(() => snapshots.take(LOBBY, [pictured], null));
  expect(new Set(asked).size).toBe(1);
  const jpeg = Buffer.from((await asked[0])?.jpeg ?? '', 'base64');
  expect(jpeg.subarray(0, 3).toString('hex')).toBe('ffd8ff');
  expect(jpeg.length).toBeGreaterThan(2_000);
});

/** Mean brightness of the four quarters of a JPEG, by rows, and whether it is upright. */
async function look(jpeg: Buffer): Promise<{ quarters: string; isUpright: boolean }> {
  const read = async (scale: string) => {
    const program = new FfmpegProgram(FFMPEG, {
      args: [
        ...['-v', 'error', '-f', 'image2pipe', '-c:v', 'mjpeg', '-i', 'pipe:0'],
        ...['-vf', scale, '-f', 'rawvideo', '-pix_fmt', 'gray', 'pipe:1'],
      ],
      input: jpeg,
      onOutput: (chunk) => void output.push(chunk),
    });
    const output: Buffer[] = [];
    await program.ended;
    return Buffer.concat(output);
  };
  const quarters = [...(await read('scale=2:2:flags=area'))].map((luma) => (luma > 128 ? 'white' : 'black')).join(' ');
  // As many rows as it has of such columns.
  return { quarters, isUpright: (await read('scale=16:-1')).length > 16 * 16 };
}

describe('a camera that is held', () => {
  const DARK_BUT_FOR_ONE = 'drawbox=color=black:t=fill,drawbox=w=iw/2:h=ih/2:color=white:t=fill';

  it.each([
    ['turned by 90°', 0b01, 'black white black black', true],
    ['turned by 180°', 0b10, 'black black black white', false],
    ['turned by 270°', 0b11, 'black black white black', true],
    ['as usual, by somebody who films himself', 0b1100, 'white black black black', false],
  ])('%s', { timeout: CODEC_MS }, async (_, orientation, quarters, isUpright) => {
    const pictures = await h265Pictures('320x180', 1, DARK_BUT_FOR_ONE);
    const last = pictures.flat().length - 1;
    const { snapshots, pictured } = stage({ pictures, orientations: { [last]: orientation } });
    const { jpeg } = await snapshots.take(LOBBY, [pictured], null);
    expect(await look(Buffer.from(jpeg, 'base64'))).toEqual({ quarters, isUpright });
  });

  it('says so when it is turned, and not with each picture', { timeout: CODEC_MS }, async () => {
    const [, ...pictures] = await h265Pictures('320x180', 31, DARK_BUT_FOR_ONE);
    const keyframe = pictures.slice(0, -1).flat().length;
    const { snapshots, pictured } = stage({ pictures, orientations: { 0: 0b10, [keyframe - 3]: 0b01 } });
    const { jpeg } = await snapshots.take(LOBBY, [pictured], null);
    expect(await look(Buffer.from(jpeg, 'base64'))).toEqual({ quarters: 'black white black black', isUpright: true });
  });
});

it('nobody publishes, or nothing but sound', () => {
  const { snapshots, pictured } = stage();
  const refused = expect.objectContaining({ status: 404, code: 'no_publisher' });
  expect(() => snapshots.take(LOBBY, [], null)).toThrow(refused);
  const soundOnly = { ...pictured, sources: pictured.sources.slice(0, 1) };
  expect(() => snapshots.take(LOBBY, [soundOnly], null)).toThrow(refused);
  expect(() => snapshots.take(LOBBY, [pictured], 'another' as SessionId)).toThrow(refused);
});

it('no keyframe yet: it is asked for, and then that is said', async () => {
  const { snapshots, pictured } = stage();
  await expect(snapshots.take(LOBBY, [pictured], null)).rejects.toMatchObject({ status: 503, code: 'no_picture' });
});

it.each([
  [
    "echo 'Decoder (codec hevc) not found for input stream #0:0' >&2; exit 1",
    501,
    'no_decoder',
    /decodes it.*FFMPEG_PATH/,
  ],
  ['echo "Unknown input format: \'hevc\'" >&2; exit 1', 501, 'no_decoder', /H265/],
  ["echo 'pipe:0: Invalid data found when processing input' >&2; exit 1", 503, 'no_picture', /Invalid data/],
] as const)('an ffmpeg that says %j', { timeout: CODEC_MS }, async (script, status, code, words) => {
  const path = await program(`cat > /dev/null; ${script}`);
  const { snapshots, pictured } = stage({ pictures: await h265Pictures('320x180', 1), ffmpeg: () => path });
  await expect(snapshots.take(LOBBY, [pictured], null)).rejects.toMatchObject({
    ...{ status, code },
    message: expect.stringMatching(words),
  });
});

it('no ffmpeg', () => {
  const { snapshots, pictured } = stage({
    ffmpeg: () => {
      throw new ProblemError(501, 'no_ffmpeg', 'going live needs ffmpeg');
    },
  });
  const refused = {
    status: 501,
    code: 'no_ffmpeg',
    message: expect.stringMatching(/snapshots need ffmpeg.*FFMPEG_PATH/),
  };
  expect(() => snapshots.take(LOBBY, [pictured], null)).toThrow(expect.objectContaining(refused));
});
