/** Pictures by a real ffmpeg of what a forwarder has, and what is said when there is none. All other codecs: test/records. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import { audioIngress, videoIngress } from '../forward/testing/plans.ts';
import { World } from '../forward/testing/world.ts';
import type { Codec } from '../negotiate/plan.ts';
import { Snapshots } from './snapshots.ts';
import { FFMPEG, h265Pictures } from './testing/h265.ts';

const LOBBY = 'room:a' as LobbyId;
const SESSION = 's' as SessionId;
const H265: Codec = { name: 'H265', kind: 'video', clockRate: 90_000, channels: 1, fmtp: '' };
const CODEC_MS = 90_000;

const h265Payloads = async (): Promise<Buffer[]> => (await h265Pictures('320x180', 1)).flat();

/** A room with a publisher who has sent this. */
function stage({ codec = H265, payloads = [] as readonly Buffer[], ffmpeg = () => FFMPEG } = {}) {
  const world = new World();
  const publisher = world.publisher([videoIngress({ codec }), audioIngress()]);
  const source = publisher.source({ ssrc: 0x1000, payloadType: 96 });
  for (const [at, payload] of payloads.entries()) {
    publisher.media.receive(source.packet(payload, at === payloads.length - 1).datagram, world.nowMs);
  }
  const startMs = performance.now();
  const snapshots = new Snapshots({ context: { now: () => world.nowMs + performance.now() - startMs }, ffmpeg });
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
  const { snapshots, pictured } = stage({ payloads: await h265Payloads() });
  const asked = [1, 2, 3].map(() => snapshots.take(LOBBY, [pictured], null));
  expect(new Set(asked).size).toBe(1);
  const jpeg = Buffer.from((await asked[0])?.jpeg ?? '', 'base64');
  expect(jpeg.subarray(0, 3).toString('hex')).toBe('ffd8ff');
  expect(jpeg.length).toBeGreaterThan(2_000);
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
  const { snapshots, pictured } = stage({ payloads: await h265Payloads(), ffmpeg: () => path });
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
