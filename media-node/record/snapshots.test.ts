/** Pictures by a real ffmpeg of what a forwarder has, and what is said when there is none. All other codecs: test/records. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import { audioIngress, videoIngress } from '../forward/testing/plans.ts';
import { World } from '../forward/testing/world.ts';
import type { Codec } from '../negotiate/plan.ts';
import { Snapshots } from './snapshots.ts';

const FFMPEG = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const LOBBY = 'room:a' as LobbyId;
const SESSION = 's' as SessionId;
const H265: Codec = { name: 'H265', kind: 'video', clockRate: 90_000, channels: 1, fmtp: '' };
const START_CODE = Buffer.from([0, 0, 1]);
const PAYLOAD_BYTES = 1_000;
const FRAGMENT = 49;
const CODEC_MS = 30_000;

/** One picture as NAL units, and these as payloads (RFC 7798 §4.4). */
async function h265Payloads(): Promise<Buffer[]> {
  const source = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=size=320x180:rate=30', '-frames:v', '1'];
  const coded = ['-c:v', 'libx265', '-x265-params', 'log-level=none', '-pix_fmt', 'yuv420p', '-f', 'hevc', 'pipe:1'];
  const { stdout } = await promisify(execFile)(FFMPEG, [...source, ...coded], { encoding: 'buffer' });
  const units: Buffer[] = [];
  for (let at = stdout.indexOf(START_CODE); at >= 0; ) {
    const next = stdout.indexOf(START_CODE, at + START_CODE.length);
    let end = next < 0 ? stdout.length : next;
    while (stdout[end - 1] === 0) end--;
    units.push(stdout.subarray(at + START_CODE.length, end));
    at = next;
  }
  return units.flatMap((unit) => {
    if (unit.length <= PAYLOAD_BYTES) return [unit];
    const [first = 0, second = 0] = unit;
    const pieces: Buffer[] = [];
    for (let at = 2; at < unit.length; at += PAYLOAD_BYTES) {
      const ends = (at === 2 ? 0x80 : 0) | (at + PAYLOAD_BYTES >= unit.length ? 0x40 : 0);
      const head = Buffer.of((first & 0x81) | (FRAGMENT << 1), second, ends | ((first >> 1) & 0x3f));
      pieces.push(Buffer.concat([head, unit.subarray(at, at + PAYLOAD_BYTES)]));
    }
    return pieces;
  });
}

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
