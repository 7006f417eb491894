/** How far recordings have come, as the edge hears of it. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { type LobbyId, mintBootId, mintSessionId } from '../../../shared/ids.ts';
import { PART_BYTES, type RecordId, type RecordProgress, type RecordUpdate } from '../../../shared/protocol/records.ts';
import { mintRecordId, recordFileName } from '../file-name.ts';
import { RecordFile } from '../record-file.ts';
import { RefusedError } from './edge-client.ts';
import type { EdgeCalls } from './upload.ts';
import { Uploads } from './uploads.ts';

const ROUND_MS = 5_000;
const SIGN_OF_LIFE_MS = 600_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }));
afterEach(() => void vi.useRealTimers());

/** Uploads to an edge that takes everything, but for what it was told to refuse. */
async function stage(deleteAfterUpload = false) {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-uploads-'));
  const rounds: RecordProgress[][] = [];
  const updates: (RecordUpdate & { id: RecordId })[] = [];
  const deleted = new Set<RecordId>();
  const parts: number[] = [];
  const bed = { arrival: Promise.resolve(), plan: Promise.resolve() };
  const client: EdgeCalls = {
    begin: async () => {},
    update: async (id, update) => {
      if (deleted.has(id)) throw new RefusedError(404, 'no_record', 'no such recording');
      updates.push({ id, ...update });
    },
    progress: async (records) => {
      rounds.push([...records]);
      return records.map(({ id }) => id).filter((id) => deleted.has(id));
    },
    plan: async () => {
      await bed.plan;
      return { via: 'edge', partBytes: PART_BYTES, parts: [] };
    },
    put: async (_id, _via, part) => {
      parts.push(part);
      await bed.arrival;
      return { part, etag: 'e' };
    },
    complete: async () => {},
    abandon: async () => {},
  };
  const files: RecordFile[] = [];
  const logs: string[] = [];
  const log = (message: string) => void logs.push(message);
  const uploads = new Uploads({ client, deleteAfterUpload, log });
  onTestFinished(async () => {
    await uploads.stop();
    await Promise.all(files.map((file) => file.finish([])));
    // A journal may be on its way to the disk.
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  });
  const record = async (room: string): Promise<RecordFile> => {
    const lobby = `room:${room}` as LobbyId;
    const begin = {
      ...{ id: mintRecordId(), name: recordFileName(lobby, 's', 0, 0, 'mp4'), boot: mintBootId(), lobby },
      ...{ session: mintSessionId(), contentType: 'video/mp4', codecs: [], startedAt: 0 },
    };
    const file = await RecordFile.create(begin, folder, { onChange: (changed) => uploads.note(changed), log });
    files.push(file);
    await expect.poll(() => updates.some(({ id }) => id === begin.id)).toBe(true);
    return file;
  };
  const grow = async (file: RecordFile, bytes: number): Promise<void> => {
    const end = file.position + bytes;
    file.append([Buffer.alloc(bytes)]);
    await expect.poll(() => file.bytes).toBe(end);
  };
  return Object.assign(bed, { uploads, rounds, updates, deleted, parts, logs, folder, record, grow });
}

/** Time goes by until that is so. */
async function advanceUntil(isSo: () => boolean): Promise<void> {
  await expect
    .poll(async () => {
      await vi.advanceTimersByTimeAsync(SIGN_OF_LIFE_MS);
      return isSo();
    })
    .toBe(true);
}

it('all that grows is told in one request, and only what is new', async () => {
  const { record, grow, rounds, updates } = await stage();
  const files = [await record('a'), await record('b'), await record('c')];
  for (const [at, file] of files.entries()) await grow(file, 100 * (at + 1));

  await vi.advanceTimersByTimeAsync(ROUND_MS);
  expect(rounds.map((round) => round.map(({ state, bytes }) => [state, bytes]))).toEqual([
    [
      ['recording', 100],
      ['recording', 200],
      ['recording', 300],
    ],
  ]);
  await vi.advanceTimersByTimeAsync(2 * ROUND_MS);
  expect(rounds).toHaveLength(1);
  await grow(files[1] as RecordFile, 50);
  await vi.advanceTimersByTimeAsync(ROUND_MS);
  expect(rounds[1]).toMatchObject([{ bytes: 250 }]);
  // Whatever else happens, none of them has been told of by itself, but for its beginning.
  expect(updates).toHaveLength(3);
});

it('one that has nothing new for long says that it is there', async () => {
  const { record, rounds } = await stage();
  await record('a');
  await vi.advanceTimersByTimeAsync(SIGN_OF_LIFE_MS + 2 * ROUND_MS);
  expect(rounds.filter((round) => round.length === 1)).toHaveLength(1);
});

it('one that was deleted at the edge is left alone; the others go on', async () => {
  const { record, grow, rounds, deleted, uploads, logs } = await stage();
  const [gone, other] = [await record('a'), await record('b')];
  deleted.add(gone.begin.id);
  await grow(gone, 10);
  await grow(other, 10);
  await vi.advanceTimersByTimeAsync(ROUND_MS);
  await expect.poll(() => gone.forsaken).toBe(true);
  await expect.poll(() => uploads.size).toBe(1);
  expect(logs.join()).toContain('was deleted at the edge');
  await grow(other, 10);
  await vi.advanceTimersByTimeAsync(ROUND_MS);
  expect(rounds.at(-1)).toMatchObject([{ id: other.begin.id, bytes: 20 }]);
});

it('while a part travels, the edge hears how the file grows', async () => {
  const bed = await stage();
  const file = await bed.record('a');
  const arrived = Promise.withResolvers<void>();
  bed.arrival = arrived.promise;
  await bed.grow(file, PART_BYTES);
  await expect.poll(() => bed.parts).toEqual([1]);
  await bed.grow(file, 10);
  await vi.advanceTimersByTimeAsync(ROUND_MS);
  expect(bed.rounds).toMatchObject([[{ state: 'recording', bytes: PART_BYTES + 10, uploadedBytes: 0 }]]);
  arrived.resolve();
  await expect.poll(() => file.parts).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(ROUND_MS);
  expect(bed.rounds.at(-1)).toMatchObject([{ uploadedBytes: PART_BYTES }]);
});

it('a file that was confirmed goes before that is noted, and leaves nothing', async () => {
  const { record, grow, folder, uploads } = await stage(true);
  const file = await record('a');
  await grow(file, 10);
  await file.finish([]);
  await expect.poll(() => uploads.size).toBe(0);
  expect(await readdir(folder)).toEqual([]);
});

it('what may be over soon is waited for; what waits for a store, or an edge that is gone, is not', async () => {
  const bed = await stage();
  const down = Promise.reject(new Error('nobody answers'));
  down.catch(() => {});
  bed.plan = down;
  const file = await bed.record('a');
  await bed.grow(file, 10);
  await file.finish([]);
  expect(bed.uploads.left).toBe(1);
  await advanceUntil(() => bed.uploads.left === 0);
  expect(bed.uploads.size).toBe(1);
  bed.plan = Promise.reject(new RefusedError(501, 'no_store', 'there is none'));
  bed.plan.catch(() => {});
  await advanceUntil(() => file.failed);
  expect(bed.uploads.left).toBe(0);
  bed.plan = Promise.resolve();
  await advanceUntil(() => file.state === 'ready');
  await bed.uploads.settled();
  expect([bed.uploads.left, bed.uploads.size]).toEqual([0, 0]);
});
