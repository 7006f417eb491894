/** What the addon's queue does when one of a node's sockets takes nothing: no kernel here does that on demand, so it is played. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';

const run = promisify(execFile);
const here = (name: string): string => join(import.meta.dirname, name);
/** A socket that takes nothing for so long is given up. */
const STUCK_MS = 200;

it('what is for another socket leaves, all of it, and not later than the full one is given up', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'vestibule-full-socket-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const program = join(directory, 'full-socket');
  await run('c++', ['-std=c++17', '-I', here('addon'), here('testing/full-socket.cc'), '-o', program]);
  const { stdout } = await run(program);
  const { ms, full, free, worstMs, dropped } = JSON.parse(stdout);
  expect({ free, lost: ms - full }).toEqual({ free: ms, lost: dropped });
  expect(worstMs).toBeLessThanOrEqual(STUCK_MS + 2);
  // It takes everything again when it takes something.
  expect([full > 300, dropped > 500]).toEqual([true, true]);
});
