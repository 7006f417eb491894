/** Publishers who mean harm: what they send costs memory, time and disk in proportion to what they send. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LobbyId, mintBootId, mintSessionId } from '../../shared/ids.ts';
import { fc } from '../../shared/test-support/properties.ts';
import type { Codec, CodecName } from '../negotiate/plan.ts';
import { mintRecordId, recordFileName } from './file-name.ts';
import { createDepacketiser } from './media/depacketiser.ts';
import { Timeline } from './media/timeline.ts';
import { type Frame, TrackInput } from './media/track-input.ts';
import { RawFile } from './raw-file.ts';
import { RecordFile } from './record-file.ts';
import { Recorder } from './recorder.ts';
import { SampleQueue } from './sample-queue.ts';
import { PACKET_HEAD_BYTES } from './worker-messages.ts';

const START_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;
const PAYLOAD_BYTES = 1_200;
/** A keyframe without an end: first a start that is one, then what goes on for ever. */
const ENDLESS: [CodecName, first: string, rest: string][] = [
  ['H264', '7c85', '7c05'],
  ['H265', '620193', '620113'],
  ['VP8', '9000009d012a', '80'],
  ['VP9', '8c49', '80'],
  ['AV1', '5810', 'd0'],
];

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vestibule-hostile-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function rtp(sequence: number, timestamp: number, payload: Buffer, marker = false): Buffer {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = 96 | (marker ? 0x80 : 0);
  header.writeUInt16BE(sequence % 65_536, 2);
  header.writeUInt32BE(timestamp % 2 ** 32, 4);
  return Buffer.concat([header, payload]);
}

function video(codec: CodecName) {
  const frames: Frame[] = [];
  const input = new TrackInput(
    { name: codec, kind: 'video', clockRate: 90_000 },
    { onFrame: (frame) => void frames.push(frame), onNeedKeyframe: () => {} },
  );
  return { input, frames };
}

function sound() {
  const frames: Frame[] = [];
  const events = { onFrame: (frame: Frame) => void frames.push(frame), onNeedKeyframe: () => {} };
  return { input: new TrackInput({ name: 'opus', kind: 'audio', clockRate: 48_000 }, events), frames };
}

describe('a picture', () => {
  it.each(ENDLESS)('of %s that never ends is given up', (codec, first, rest) => {
    const { input, frames } = video(codec);
    for (let at = 0; at < 30_000; at++) {
      const head = Buffer.from(at === 0 ? first : rest, 'hex');
      input.push(rtp(at, 1_000, Buffer.concat([head, Buffer.alloc(PAYLOAD_BYTES, 1)])), START_MS + at);
    }
    expect(input.framesLost).toBeGreaterThan(0);
    expect(frames).toEqual([]);
  });

  it.each([
    ['H264', `78${'000161'.repeat(400)}`],
    ['H265', `6001${'00020201'.repeat(300)}`],
    ['AV1', `00${'0230aa'.repeat(400)}`],
  ] as [CodecName, string][])('of %s is not a hundred thousand units', (codec, payload) => {
    const depacketiser = createDepacketiser(codec);
    const pushed = Array.from({ length: 250 }, () => depacketiser.push(Buffer.from(payload, 'hex')));
    expect(pushed).toContain(false);
  });

  it('ends where the next one begins, marker or not', () => {
    const { input, frames } = video('H264');
    for (let at = 0; at < 3; at++) input.push(rtp(at, 1_000 + at * 3_000, Buffer.from('6588', 'hex')), START_MS + at);
    expect(frames.map(({ rtp: time }) => time)).toEqual([1_000, 4_000]);
  });
});

describe('a clock', () => {
  it('that tells another century is not believed', () => {
    const { input } = sound();
    input.push(rtp(0, 48_000, Buffer.from('f8fffe', 'hex')), START_MS);
    const honest = input.offsetMs;
    for (const lie of [0, START_MS - DAY_MS, START_MS + DAY_MS, 4e12]) {
      input.noteSenderReport(48_000, lie, START_MS);
      expect(input.offsetMs).toBe(honest);
    }
    // Said of a time of its own that is half a day away.
    input.noteSenderReport(2 ** 31 - 1, START_MS, START_MS);
    expect(input.offsetMs).toBe(honest);
    input.noteSenderReport(48_000, START_MS - 20, START_MS);
    expect(input.offsetMs).toBe(honest - 20);
  });

  it('costs no more silence than a file may wait for', () => {
    const { input } = sound();
    const queue = new SampleQueue(input, 48_000);
    queue.push({ units: [Buffer.from('f8fffe', 'hex')], key: true, rtp: 48 * DAY_MS * 30, rotation: 0 });
    queue.leadIn(new Timeline({ clockRate: 48_000, offsetMs: 0 }, 0));
    expect(queue.bytes).toBeLessThan(10_000);
  });

  it('that jumps does not fill a raw file with silence that never was', async () => {
    const { input } = sound();
    const begin = {
      ...{ id: mintRecordId(), name: 'r_s_1.ogg', boot: mintBootId(), lobby: 'room:r' as LobbyId },
      ...{ session: mintSessionId(), contentType: 'audio/ogg', codecs: ['opus'], startedAt: START_MS },
    };
    const events = { onChange: () => {}, log: () => {} };
    const raw = new RawFile(input, 2, () => RecordFile.create(begin, folder, events));
    // 2.5 ms each, and each 12 hours after the one before.
    for (let at = 0; at < 50; at++) {
      const units = [Buffer.from('e0fffe', 'hex')];
      raw.frame({ units, key: true, rtp: at * (2 ** 31 - 1), rotation: 0 }, null, START_MS + at * 20);
    }
    await raw.finish();
    const { size } = await stat(join(folder, begin.name));
    expect(size).toBeGreaterThan(200);
    expect(size).toBeLessThan(100_000);
  });
});

describe('whatever is sent', () => {
  const OPUS: Codec = { name: 'opus', kind: 'audio', clockRate: 48_000, channels: 2, fmtp: '' };
  const STARTS = [
    '',
    '7c85',
    '67',
    '65',
    '78000467',
    '61',
    '620193',
    '4201',
    '1010020',
    '9000009d012a',
    '8c4983',
    '180a0b',
  ];
  const packet = fc.record({
    track: fc.nat({ max: 1 }),
    step: fc.constantFrom(0, 960, 3_000, 3_000, 90_000, 2 ** 31 - 1),
    gap: fc.constantFrom(1, 1, 1, 1, 2, 9_000),
    marker: fc.boolean(),
    start: fc.constantFrom(...STARTS),
    rest: fc.uint8Array({ maxLength: 40 }),
  });
  const course = fc.record({
    codec: fc.constantFrom<CodecName>('H264', 'H265', 'VP8', 'VP9', 'AV1'),
    format: fc.constantFrom('mp4', 'webm', 'raw'),
    maxFileBytes: fc.constantFrom(1_000, Number.POSITIVE_INFINITY),
    packets: fc.array(packet, { maxLength: 200 }),
  });

  it('every file is ended, and closed', { timeout: 60_000 }, async () => {
    let count = 0;
    await fc.assert(
      fc.asyncProperty(course, async ({ codec, format, maxFileBytes, packets }) => {
        const files: RecordFile[] = [];
        const session = mintSessionId();
        const video: Codec = { name: codec, kind: 'video', clockRate: 90_000, channels: 1, fmtp: '' };
        const tracks = [OPUS, video].map((each, index) => ({ mid: String(index), codec: each, ssrc: index + 1 }));
        const open = { type: 'open', recording: 1, lobby: 'room:r' as LobbyId, session, format, tracks } as const;
        const recorder = new Recorder(open, maxFileBytes, {
          create: async ({ id, extension, contentType, codecs }) => {
            count += 1;
            const name = recordFileName('room:r' as LobbyId, id, START_MS, count, extension);
            const what = { id: mintRecordId(), name, boot: mintBootId(), lobby: open.lobby, session };
            const begin = { ...what, contentType, codecs: [...codecs], startedAt: START_MS };
            const file = await RecordFile.create(begin, folder, { onChange: () => {}, log: () => {} });
            files.push(file);
            return file;
          },
          requestKeyframe: () => {},
          log: () => {},
        });
        const at = [0, 0].map(() => ({ sequence: 0, timestamp: 0 }));
        try {
          for (const [index, { track, step, gap, marker, start, rest }] of packets.entries()) {
            const now = at[track] ?? { sequence: 0, timestamp: 0 };
            now.sequence += gap;
            now.timestamp += step;
            const datagram = rtp(now.sequence, now.timestamp, Buffer.concat([Buffer.from(start, 'hex'), rest]), marker);
            datagram[1] = (datagram[1] ?? 0) + track;
            const head = Buffer.alloc(PACKET_HEAD_BYTES);
            head.writeUInt32LE(datagram.length, 0);
            head.writeDoubleLE(START_MS + index * 20, 4);
            recorder.batch(Buffer.concat([head, datagram]), false);
          }
        } catch {
          // As in the recorder's thread: this recording is over, the others go on.
        }
        await recorder.close();
        expect(files.map(({ state }) => state).filter((state) => state !== 'uploading' && state !== 'failed')).toEqual(
          [],
        );
      }),
      { numRuns: 60 },
    );
  });
});
