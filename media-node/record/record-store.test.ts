import { mkdtemp, readdir, rm } from 'node:fs/promises';
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

async function stage() {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-record-store-'));
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
  return { store, folder, states, logs };
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
