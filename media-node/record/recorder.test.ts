import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ALL_FORMATS, BufferSource, Input } from 'mediabunny';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type LobbyId, mintBootId, mintSessionId } from '../../shared/ids.ts';
import type { Codec } from '../negotiate/plan.ts';
import { mintRecordId, recordFileName } from './file-name.ts';
import { RecordFile } from './record-file.ts';
import { Recorder } from './recorder.ts';
import { type OpenRecording, PACKET_HEAD_BYTES } from './worker-messages.ts';

const LOBBY = 'room:../etc/passwd' as LobbyId;
const START_MS = 1_800_000_000_000;
/** Time here runs a hundred times as fast: the disk gets a little of it now and then. */
const TURN_MS = 4;
const DISK_MS = 20_000;
const VP8: Codec = { name: 'VP8', kind: 'video', clockRate: 90_000, channels: 1, fmtp: '' };
const OPUS: Codec = { name: 'opus', kind: 'audio', clockRate: 48_000, channels: 2, fmtp: '' };
const PCMU: Codec = { name: 'PCMU', kind: 'audio', clockRate: 8_000, channels: 1, fmtp: '' };
/** A descriptor, then a frame tag, the start code, 640 and 360. */
const KEY = Buffer.from('10100200009d012a8002680100', 'hex');

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vestibule-recorder-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A publisher of 20 ms of sound and 25 pictures per second, on a clock of its own. */
class Stage {
  readonly files: RecordFile[] = [];
  readonly logs: string[] = [];
  asked = 0;
  nowMs = START_MS;
  rotation = 0;
  readonly recorder: Recorder;
  readonly #sequences = [0, 0];
  readonly #isRaw: boolean;
  /** Files that are being made. */
  #making = 0;

  constructor(tracks: Codec[], maxFileBytes = Number.POSITIVE_INFINITY, format: OpenRecording['format'] = 'mp4') {
    const open: OpenRecording = {
      ...{ type: 'open', recording: 1, lobby: LOBBY, session: mintSessionId(), format },
      tracks: tracks.map((codec, index) => ({ mid: String(index), codec, ssrc: index + 1 })),
    };
    this.#isRaw = format === 'raw';
    this.recorder = new Recorder(open, maxFileBytes, {
      create: async ({ id, extension, contentType, codecs, count }) => {
        this.#making++;
        const begin = {
          ...{ id: mintRecordId(), name: this.#name(id, count, extension), boot: mintBootId() },
          ...{ lobby: LOBBY, session: open.session, contentType, codecs: [...codecs], startedAt: START_MS },
        };
        const file = await RecordFile.create(begin, folder, {
          onChange: () => {},
          log: (text) => void this.logs.push(text),
        });
        this.files.push(file);
        this.#making--;
        return file;
      },
      requestKeyframe: () => void this.asked++,
      log: (text) => void this.logs.push(text),
    });
    onTestFinished(() => this.recorder.close());
  }

  /** As the store gives them: none twice. */
  #name(id: string, count: number, extension: string): string {
    const name = recordFileName(LOBBY, id, START_MS, count, extension);
    const isTaken = this.files.some(({ begin }) => begin.name === name);
    return isTaken ? this.#name(id, count + 1, extension) : name;
  }

  /** @param keyEvery pictures */
  async play(ms: number, { sound = true, picture = true, keyEvery = 25 } = {}): Promise<void> {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 20) {
      const sinceMs = this.nowMs - START_MS;
      if (sound) this.#send(0, sinceMs * 48, Buffer.from([0xf8, 0xff, 0xfe]), false);
      if (picture && sinceMs % 40 === 0) {
        const key = (sinceMs / 40) % keyEvery === 0;
        this.#send(1, sinceMs * 90, key ? KEY : Buffer.from([0x10, 0x31, 0, 0]), true);
      }
      if (sinceMs % 400 === 0) await this.#turn();
    }
    await expect.poll(() => this.files.every(({ pendingBytes }) => pendingBytes === 0)).toBe(true);
  }

  /** The disk has its turn: a file that is being made is there afterwards, however busy the machine is. */
  async #turn(): Promise<void> {
    await delay(TURN_MS);
    const isMade = ({ position, failed }: RecordFile) => position > 0 || failed || this.#isRaw;
    await expect.poll(() => this.#making === 0 && this.files.every(isMade), { timeout: DISK_MS }).toBe(true);
  }

  #send(track: number, rtp: number, payload: Buffer, marker: boolean): void {
    const hasOrientation = track === 1;
    const packet = Buffer.alloc(PACKET_HEAD_BYTES + 12 + (hasOrientation ? 8 : 0) + payload.length);
    packet.writeUInt32LE(packet.length - PACKET_HEAD_BYTES, 0);
    packet.writeDoubleLE(this.nowMs, 4);
    const at = PACKET_HEAD_BYTES;
    packet[at] = hasOrientation ? 0x90 : 0x80;
    packet[at + 1] = (96 + track) | (marker ? 0x80 : 0);
    packet.writeUInt16BE((this.#sequences[track] ?? 0) % 65_536, at + 2);
    this.#sequences[track] = (this.#sequences[track] ?? 0) + 1;
    packet.writeUInt32BE((rtp + 4_000_000_000) % 2 ** 32, at + 4);
    packet.writeUInt32BE(track + 1, at + 8);
    if (hasOrientation) packet.writeUInt32BE(0xbede0001, at + 12);
    if (hasOrientation) packet.writeUInt32BE(0x10000000 + this.rotation * 0x10000, at + 16);
    payload.copy(packet, packet.length - payload.length);
    this.recorder.batch(packet, false);
  }

  async facts() {
    await this.recorder.close();
    return await Promise.all(
      this.files.map(async (file) => {
        const input = new Input({ formats: ALL_FORMATS, source: new BufferSource(await readFile(file.path)) });
        const video = await input.getPrimaryVideoTrack();
        return {
          tracks: (await input.getTracks()).length,
          rotation: (await video?.getRotation()) ?? null,
          seconds: Math.round(await input.computeDuration()),
          state: file.state,
        };
      }),
    );
  }
}

it('a phone that is turned begins another file', async () => {
  const stage = new Stage([OPUS, VP8]);
  await stage.play(3_000);
  stage.rotation = 1;
  await stage.play(2_000);
  expect(await stage.facts()).toEqual([
    { tracks: 2, rotation: 0, seconds: 3, state: 'uploading' },
    { tracks: 2, rotation: 90, seconds: 2, state: 'uploading' },
  ]);
  expect(stage.files.map(({ begin }) => begin.name)).toEqual([
    expect.stringMatching(/^etc-passwd_[a-z2-7]{26}_1800000000\.webm$/),
    expect.stringMatching(/^etc-passwd_[a-z2-7]{26}-2_1800000000\.webm$/),
  ]);
});

it('a file that is full is followed by another', async () => {
  const stage = new Stage([OPUS, VP8], 2_000);
  await stage.play(6_000);
  const facts = await stage.facts();
  expect(facts.length).toBeGreaterThan(1);
  expect(facts.reduce((sum, { seconds }) => sum + seconds, 0)).toBeGreaterThanOrEqual(5);
});

it('a raw file that is full is followed by another, which begins with a keyframe', async () => {
  const stage = new Stage([OPUS, VP8], 1_000, 'raw');
  await stage.play(6_000);
  await stage.recorder.close();
  const pictures = stage.files.filter(({ begin }) => begin.name.endsWith('.ivf'));
  expect(pictures.length).toBeGreaterThan(1);
  expect(stage.files.length - pictures.length).toBeGreaterThan(1);
  for (const { state, path } of pictures) {
    expect(state).toBe('uploading');
    // Behind both headers: a key frame's first bit is 0 (RFC 6386 §9.1).
    expect((await readFile(path)).readUInt8(32 + 12) & 1).toBe(0);
  }
});

it('a picture that comes after ten seconds of sound begins a file with both', async () => {
  const stage = new Stage([OPUS, VP8]);
  await stage.play(12_000, { picture: false });
  await expect.poll(() => stage.files.length).toBe(1);
  await stage.play(4_000);
  expect(await stage.facts()).toEqual([
    { tracks: 1, rotation: null, seconds: 12, state: 'uploading' },
    { tracks: 2, rotation: 0, seconds: 4, state: 'uploading' },
  ]);
  expect(stage.asked).toBeGreaterThan(5);
});

it('a picture that stands still for a minute goes on in the same file', async () => {
  const stage = new Stage([OPUS, VP8]);
  await stage.play(2_000);
  await stage.play(60_000, { picture: false });
  await stage.play(2_000);
  expect(await stage.facts()).toEqual([{ tracks: 2, rotation: 0, seconds: 64, state: 'uploading' }]);
});

it('what cannot be written any more has failed and says why; what was written can be read', async () => {
  const stage = new Stage([OPUS, VP8]);
  await stage.play(6_000);
  stage.recorder.fail('what was sent cannot be written: a reason');
  await stage.play(2_000);
  const [{ seconds = 0, ...facts } = {}] = await stage.facts();
  expect(facts).toEqual({ tracks: 2, rotation: 0, state: 'failed' });
  expect(seconds).toBeGreaterThanOrEqual(4);
  expect(stage.files.map(({ error }) => error)).toEqual(['what was sent cannot be written: a reason']);
  expect(stage.recorder.failed).toBe(true);
});

it('what no file can hold is left out with a reason; keyframes are asked for when none come', async () => {
  const stage = new Stage([PCMU, VP8]);
  await stage.play(10_000, { keyEvery: 10_000 });
  expect(await stage.facts()).toEqual([{ tracks: 1, rotation: 0, seconds: 10, state: 'uploading' }]);
  expect(stage.logs.join()).toContain('PCMU (track 0) has no place in a mp4 file');
  expect(stage.asked).toBeGreaterThanOrEqual(2);
});

it('a lobby or a track of any name makes a name that leads nowhere', () => {
  for (const lobby of ['room:..', 'stream:a@b/../../x', 'room:', `room:${'x'.repeat(300)}`, 'room:_a', 'room:a b\n']) {
    const name = recordFileName(lobby as LobbyId, '../../id', 0, 0, 'mp4');
    expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]{0,200}_0\.mp4$/);
  }
});
