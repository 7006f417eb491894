/** H.265 from a real encoder, as a file that an independent demuxer and its decoder read; with another size in the middle. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type LobbyId, mintBootId, mintSessionId } from '../../shared/ids.ts';
import { readRecorded } from '../../test/records/support/recorded.ts';
import type { Codec } from '../negotiate/plan.ts';
import { mintRecordId, recordFileName } from './file-name.ts';
import { RecordFile } from './record-file.ts';
import { Recorder } from './recorder.ts';
import { h265Pictures } from './testing/h265.ts';
import { type OpenRecording, PACKET_HEAD_BYTES } from './worker-messages.ts';

const LOBBY = 'room:a' as LobbyId;
const START_MS = 1_800_000_000_000;
const PICTURE_MS = 1000 / 30;
const H265: Codec = { name: 'H265', kind: 'video', clockRate: 90_000, channels: 1, fmtp: '' };
const PICTURES = 60;
const PATIENCE_MS = 120_000;

it('a mp4 all of whose pictures decode, in both sizes', { timeout: PATIENCE_MS }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-h265-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const open: OpenRecording = {
    ...{ type: 'open', recording: 1, lobby: LOBBY, session: mintSessionId(), format: 'mp4' },
    tracks: [{ mid: '0', codec: H265, ssrc: 1 }],
  };
  const files: RecordFile[] = [];
  const recorder = new Recorder(open, Number.POSITIVE_INFINITY, {
    create: async ({ id, extension, contentType, codecs, count }) => {
      const begin = {
        ...{ id: mintRecordId(), name: recordFileName(LOBBY, id, START_MS, count, extension), boot: mintBootId() },
        ...{ lobby: LOBBY, session: open.session, contentType, codecs: [...codecs], startedAt: START_MS },
      };
      const file = await RecordFile.create(begin, folder, { onChange: () => {}, log: () => {} });
      files.push(file);
      return file;
    },
    requestKeyframe: () => {},
    log: () => {},
  });
  const pictures = [...(await h265Pictures('320x180', PICTURES)), ...(await h265Pictures('640x360', PICTURES))];
  let sequence = 0;
  for (const [number, payloads] of pictures.entries()) {
    for (const [at, payload] of payloads.entries()) {
      const packet = Buffer.alloc(PACKET_HEAD_BYTES + 12 + payload.length);
      packet.writeUInt32LE(packet.length - PACKET_HEAD_BYTES, 0);
      packet.writeDoubleLE(START_MS + number * PICTURE_MS, 4);
      packet[PACKET_HEAD_BYTES] = 0x80;
      packet[PACKET_HEAD_BYTES + 1] = 96 | (at === payloads.length - 1 ? 0x80 : 0);
      packet.writeUInt16BE(sequence++ % 65_536, PACKET_HEAD_BYTES + 2);
      packet.writeUInt32BE(number * 3_000, PACKET_HEAD_BYTES + 4);
      packet.writeUInt32BE(1, PACKET_HEAD_BYTES + 8);
      payload.copy(packet, PACKET_HEAD_BYTES + 12);
      recorder.batch(packet, false);
    }
  }
  await recorder.close();

  expect(files.map(({ state, begin }) => [state, begin.contentType, begin.codecs])).toEqual([
    ['uploading', 'video/mp4', ['H265']],
  ]);
  const { tracks, durationS } = await readRecorded(files[0]?.path ?? '');
  expect(tracks).toMatchObject([{ packets: 2 * PICTURES, decoded: 2 * PICTURES, sizes: ['320x180', '640x360'] }]);
  expect(Math.abs(durationS - (2 * PICTURES * PICTURE_MS) / 1000)).toBeLessThan(0.1);
});
