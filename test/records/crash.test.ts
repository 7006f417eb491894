/** `kill -9` of a node at any moment: what was written before the last segment is there, uploaded, and whole. */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { LineProcess, PROJECT_ROOT } from '../support/line-process.ts';
import { until } from '../support/until.ts';
import { readRecorded } from './support/recorded.ts';
import { RecordsEdge } from './support/records-edge.ts';
import { temporaryFolder } from './support/studio.ts';

const KILLS = 3;
const START_MS = 15_000;
const MAX_LIFE_MS = 4_500;
/** A long segment, what waits for its successor, batches and timers of a busy machine. */
const MAX_LOSS_MS = 3_500;

test('a node is killed again and again', { timeout: 120_000 }, async () => {
  const folder = await temporaryFolder();
  const edge = await RecordsEdge.open();
  onTestFinished(() => edge.close());
  // The network is no better than the node.
  edge.mishap = (method) => (method !== 'PATCH' && randomInt(5) === 0 ? 'cut' : null);
  const lifeMs: number[] = [];
  for (let life = 0; life <= KILLS; life++) {
    const node = new LineProcess({ script: ['test/records/support/record-process.ts', folder, edge.url, 'H264'] });
    onTestFinished(() => node.end('SIGKILL'));
    await node.event('recording', START_MS);
    const startMs = performance.now();
    await delay(life === KILLS ? MAX_LIFE_MS : randomInt(MAX_LIFE_MS));
    if (life < KILLS) {
      lifeMs.push(performance.now() - startMs);
      await node.end('SIGKILL');
      continue;
    }
    const settled = () => edge.all.filter(({ state }) => state === 'ready' || state === 'failed').length;
    // The last one is still being recorded.
    await until(
      () => settled() === edge.all.length - 1,
      () => JSON.stringify(edge.all.map(({ states, error }) => [states, error])),
      START_MS,
    );
    await node.end('SIGTERM');
  }
  const killed = edge.all.sort((a, b) => a.begin.startedAt - b.begin.startedAt).slice(0, -1);
  for (const { begin, state, error, object } of killed) {
    if (state === 'failed') {
      expect(error).toMatch(/before anything was in it/);
      continue;
    }
    const path = join(folder, begin.name);
    expect(object?.equals(await readFile(path))).toBe(true);
    const { tracks } = await readRecorded(path);
    for (const { packets, decoded } of tracks) expect(decoded).toBe(packets);
  }
  const lengths = await Promise.all(
    killed.filter(({ state }) => state === 'ready').map(({ durationMs }) => durationMs),
  );
  // Who lived long enough to write something did; the shortest lives may have left no file at all.
  const long = lifeMs.filter((ms) => ms > MAX_LOSS_MS);
  expect(lengths.filter((ms) => ms > 0).length).toBeGreaterThanOrEqual(long.length);
  expect(Math.max(0, ...lengths)).toBeGreaterThan(Math.max(0, ...lifeMs) - MAX_LOSS_MS);
});

test('a full disk ends the recording with a reason and nothing else; the next life uploads what is there', {
  timeout: 60_000,
}, async () => {
  const folder = await temporaryFolder();
  const edge = await RecordsEdge.open();
  onTestFinished(() => edge.close());
  const script = ['test/records/support/record-process.ts', folder, edge.url, 'H264'];
  // Files of more than 200 KiB cannot be written.
  const child = spawn('/bin/sh', ['-c', 'ulimit -f 400; exec "$0" "$@"', process.execPath, ...script], {
    cwd: PROJECT_ROOT,
    stdio: 'ignore',
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await until(
    () => edge.all[0]?.state === 'failed',
    () => JSON.stringify(edge.all.map(({ states, error }) => [states, error])),
    START_MS,
  );
  expect(edge.all[0]?.error).toMatch(/cannot be written: .*(EFBIG|ENOSPC)/);
  expect(child.exitCode).toBeNull();
  child.kill('SIGKILL');
  const node = new LineProcess({ script });
  onTestFinished(() => node.end('SIGKILL'));
  await until(
    () => edge.all[0]?.state === 'ready',
    () => JSON.stringify(edge.all[0]?.states),
    START_MS,
  );
  const { tracks } = await readRecorded(join(folder, edge.all[0]?.begin.name ?? ''));
  for (const { packets, decoded } of tracks) expect(decoded).toBe(packets);
  expect(tracks.every(({ endS }) => endS > 0.5)).toBe(true);
});
