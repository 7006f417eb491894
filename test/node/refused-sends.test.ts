/** Kernels that lack what the native engine would like to use (gVisor, old ones, some devices), and full sockets. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildAddon } from '../../media-node/forward/native/addon.ts';

const run = promisify(execFile);
const here = (name: string): string => fileURLToPath(new URL(`../support/native/${name}`, import.meta.url));
const ALL = Array.from({ length: 40 }, (_, sequence) => sequence);
const DATAGRAMS = 3 * ALL.length;

interface Outcome {
  received: number[][];
  counters: { packets: number; failed: number };
  sending: { systemCalls: number; segmented: number; waits: number; dropped: number };
}

let directory = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vestibule-kernel-'));
  await buildAddon();
  await run('c++', ['-x', 'c', '-shared', '-fPIC', here('refusing-kernel.c'), '-o', join(directory, 'kernel.so')]);
});

afterAll(() => rm(directory, { recursive: true }));

async function under(refuse: string, turns = 1): Promise<Outcome> {
  const env = { ...process.env, LD_PRELOAD: join(directory, 'kernel.so'), REFUSE: refuse };
  const { stdout } = await run(process.execPath, [here('send-course.ts'), String(turns)], { env });
  return JSON.parse(stdout) as Outcome;
}

it.each([
  ['nothing', true],
  ['cut', false],
  ['batch', true],
  ['batch cut', false],
  ['full', true],
])('all packets come, in order, when the kernel refuses: %s', async (refuse, cuts) => {
  const { received, counters, sending } = await under(refuse);
  expect(received).toEqual([ALL, ALL, ALL]);
  expect(counters).toMatchObject({ packets: DATAGRAMS, failed: 0 });
  expect(sending.dropped).toBe(0);
  expect(sending.segmented > 0).toBe(cuts);
  expect(sending.waits > 0).toBe(refuse === 'full');
});

it('what a socket that stays full does not take is dropped and counted', async () => {
  const { received, counters, sending } = await under('stuck');
  expect(received).toEqual([[], [], []]);
  expect(counters).toMatchObject({ packets: 0, failed: 0 });
  expect(sending).toMatchObject({ dropped: DATAGRAMS, segmented: 0 });
  // It was tried for a while, and not in a busy loop.
  expect(sending.waits).toBeGreaterThan(1);
  expect(sending.waits).toBeLessThan(1_000);
});

it('a way on which messages are not cut changes nothing for the others', async () => {
  const { received, counters, sending } = await under('tunnel', 10);
  expect(received).toEqual([ALL, ALL, ALL]);
  expect(counters).toMatchObject({ packets: DATAGRAMS, failed: 0 });
  // All but those to the first viewer.
  expect(sending.segmented).toBe(2 * ALL.length);
});

it('what a firewall refuses is lost and counted, and is no reason to cut no more', async () => {
  const { received, counters, sending } = await under('deny', 10);
  // Six messages: two turns of four packets to three viewers.
  const rest = ALL.slice(8);
  expect(received).toEqual([rest, rest, rest]);
  expect(counters).toMatchObject({ packets: 3 * rest.length, failed: 24 });
  expect(sending.segmented).toBe(3 * rest.length);
});

it('what a firewall refuses now and then is sent piece by piece, and is no reason either', async () => {
  const { received, counters, sending } = await under('limit', 10);
  expect(received).toEqual([ALL, ALL, ALL]);
  expect(counters).toMatchObject({ packets: DATAGRAMS, failed: 0 });
  expect(sending.segmented).toBeGreaterThan(DATAGRAMS / 2);
});
