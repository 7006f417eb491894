import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { type LobbyId, mintBootId, mintSessionId, nodeIdSchema } from '../../shared/ids.ts';
import { ivfFrame, ivfHeader } from './raw-file.ts';
import { RecordStore } from './record-store.ts';
import type { OpenRecording } from './worker-messages.ts';

const SALVAGE_MS = 600_000;
const OPEN: OpenRecording = {
  ...{ type: 'open', recording: 1, lobby: 'room:a' as LobbyId, session: mintSessionId(), format: 'raw' },
  tracks: [],
};
const FILE = { id: 's', extension: 'ivf', contentType: 'video/x-ivf', codecs: ['VP8'], count: 0 };

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }));
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** @param given where another life of the node has left something; a new folder when absent */
async function stage(given?: string) {
  const folder = given ?? (await mkdtemp(join(tmpdir(), 'vestibule-record-store-')));
  const logs: string[] = [];
  /** What the edge heard of states. It takes no parts. */
  const states: string[] = [];
  vi.stubGlobal('fetch', async (_: string, { method, body }: { method: string; body: string }) => {
    if (method === 'PATCH') states.push((JSON.parse(body) as { state?: string }).state ?? 'progress');
    return new Response(method === 'PATCH' ? '{"refused":[]}' : '{}', { status: 200 });
  });
  const settings = {
    ...{ folder, boot: mintBootId(), node: nodeIdSchema.parse('n'), edgeUrl: 'http://127.0.0.1:9', token: 't' },
    ...{ deleteAfterUpload: false, maxFileBytes: Number.POSITIVE_INFINITY },
  };
  const store = new RecordStore(
    settings,
    (message) => void logs.push(message),
    () => {},
  );
  onTestFinished(async () => {
    await store.stop();
    // A journal may be on its way to the disk.
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  });
  return { store, folder, states, logs, settings };
}

it('two files that begin in the same second have names of their own', async () => {
  const { store, folder } = await stage();
  const files = await Promise.all([1, 2, 3].map(() => store.create(OPEN, FILE)));
  expect(files.map(({ state }) => state)).toEqual(['recording', 'recording', 'recording']);
  expect(new Set(files.map(({ begin }) => begin.name)).size).toBe(3);
  await Promise.all(files.map((file) => file.finish([])));
  expect((await readdir(folder)).filter((name) => name.endsWith('.ivf'))).toHaveLength(3);
});

it('what a broken recording has on the disk goes to the store ten minutes later', async () => {
  const { store, states, logs } = await stage();
  const file = await store.create(OPEN, FILE);
  const picture = Buffer.alloc(100);
  file.append([
    ivfHeader('VP80', null),
    ivfFrame(picture, 0),
    ivfFrame(picture, 40),
    ivfFrame(picture, 80).subarray(0, 50),
  ]);
  await expect.poll(() => file.pendingBytes).toBe(0);
  file.fail('what was sent cannot be written');
  await file.finish([]);
  await expect.poll(() => states).toContain('failed');
  await expect.poll(() => store.uploads.size).toBe(0);

  await vi.advanceTimersByTimeAsync(SALVAGE_MS);
  await expect.poll(() => states.at(-1)).toBe('uploading');
  expect(logs.join()).toContain('was left unfinished: 256 bytes of it are whole');
});

it('what has nothing in it is looked at once, and not for ever', async () => {
  const { store, states } = await stage();
  const file = await store.create(OPEN, FILE);
  file.fail('no space left on device');
  await file.finish([]);
  await expect.poll(() => store.uploads.size).toBe(0);
  await vi.advanceTimersByTimeAsync(SALVAGE_MS);
  await expect.poll(() => states.length).toBeGreaterThan(1);
  await expect.poll(() => store.uploads.size).toBe(0);
  const told = states.length;
  await vi.advanceTimersByTimeAsync(3 * SALVAGE_MS);
  expect(states).toHaveLength(told);
  expect(states).not.toContain('uploading');
});

it('a clock that goes back, or another life of the node, takes no name from another file', async () => {
  const { store, folder, settings } = await stage();
  const at = Date.now();
  const files = [await store.create(OPEN, FILE)];
  vi.setSystemTime(at + 5_000);
  files.push(await store.create(OPEN, FILE));
  vi.setSystemTime(at);
  files.push(await store.create(OPEN, FILE));
  const next = new RecordStore(
    settings,
    () => {},
    () => {},
  );
  onTestFinished(() => next.stop());
  files.push(await next.create(OPEN, FILE));
  const begun = files.map(({ state, error }) => [state, error]);
  await Promise.all(files.map((file) => file.finish([])));
  expect(begun).toEqual(Array(4).fill(['recording', null]));
  expect(new Set(files.map(({ begin }) => begin.name)).size).toBe(4);
  expect((await readdir(folder)).filter((name) => name.endsWith('.ivf'))).toHaveLength(4);
});

it('what is being written is not recovered', async () => {
  const { store, states, logs } = await stage();
  const file = await store.create(OPEN, FILE);
  file.append([ivfHeader('VP80', null), ivfFrame(Buffer.alloc(100), 0), ivfFrame(Buffer.alloc(100), 40)]);
  await expect.poll(() => states).toEqual(['recording']);
  await store.recover();
  expect([file.state, store.uploads.size, logs]).toEqual(['recording', 1, []]);
  await file.finish([]);
});

it('what cannot be recovered is told to have failed, and looked at again ten minutes later', async () => {
  const first = await stage();
  const file = await first.store.create(OPEN, FILE);
  file.append([ivfHeader('VP80', null), ivfFrame(Buffer.alloc(100), 0), ivfFrame(Buffer.alloc(100), 40)]);
  await file.finish([]);
  await first.store.stop();
  const bytes = await readFile(file.path);
  // Nothing can be written to it.
  await rm(file.path);
  await mkdir(file.path);

  const { store, states } = await stage(first.folder);
  await store.recover();
  await expect.poll(() => states.at(-1)).toBe('failed');
  await expect.poll(() => store.uploads.size).toBe(0);
  await rm(file.path, { recursive: true });
  await writeFile(file.path, bytes);
  await vi.advanceTimersByTimeAsync(SALVAGE_MS);
  await expect.poll(() => states.at(-1)).toBe('uploading');
});
