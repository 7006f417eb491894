import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { mintBootId, nodeIdSchema } from '../../shared/ids.ts';
import { RecorderThread } from './recorder-thread.ts';

const THREAD_NICENESS = 10;
const START_MS = 40_000;
/** Place of the niceness in `stat`, counted behind the name, which may hold anything (proc_pid_stat(5)). */
const NICE_FIELD = 16;

/** Of each thread of this process, by its id. */
async function niceness(): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const id of await readdir('/proc/self/task')) {
    const stat = await readFile(`/proc/self/task/${id}/stat`, 'utf8').catch(() => null); // it has ended
    if (stat !== null) found.set(id, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[NICE_FIELD]));
  }
  return found;
}

it.runIf(process.platform === 'linux')('on Linux the recorder gives way, and nobody else does', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-thread-'));
  const before = await niceness();
  const usual = before.get(String(process.pid)) ?? Number.NaN;
  const settings = {
    ...{ folder, boot: mintBootId(), node: nodeIdSchema.parse('n'), edgeUrl: 'http://127.0.0.1:9', token: 't' },
    ...{ deleteAfterUpload: false, maxFileBytes: Number.POSITIVE_INFINITY },
  };
  const logs: string[] = [];
  const thread = new RecorderThread(settings, {
    onMessage: () => {},
    onDied: () => {},
    log: (message) => void logs.push(message),
  });
  onTestFinished(async () => {
    await thread.stop(START_MS);
    await rm(folder, { recursive: true, force: true });
  });

  const lowered = async () =>
    [...(await niceness())].filter(([id, nice]) => nice === usual + THREAD_NICENESS && before.get(id) !== nice);
  await expect.poll(async () => (await lowered()).length, { timeout: START_MS }).toBe(1);
  // Those that were there (the one that forwards packets, those that encrypt and read files) keep theirs.
  const after = await niceness();
  for (const [id, nice] of before) if (after.has(id)) expect(after.get(id)).toBe(nice);
  expect(logs).toEqual([]);
});
