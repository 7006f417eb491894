import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WorkerProcess } from './worker-process.ts';

const READY = `console.log('{"event":"ready","node":"n-1","addresses":[],"engine":"portable","version":"1"}');`;
const GRACE_MS = 500;

let directory: string;
const workers: WorkerProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vestibule-worker-'));
});
afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.kill();
    await worker.stop(0);
  }
  rmSync(directory, { recursive: true });
});

function start(source: string) {
  const script = join(directory, 'node.mjs');
  writeFileSync(script, source);
  const log: string[] = [];
  const left = Promise.withResolvers<void>();
  let starts = 0;
  const worker = new WorkerProcess({
    node: 'n-1',
    script,
    environment: { PATH: process.env.PATH },
    log: (line) => log.push(line),
    onReady: () => {
      starts += 1;
    },
    onLinked: () => log.push('linked'),
    onLeft: left.resolve,
  });
  workers.push(worker);
  return { worker, log, left: left.promise, starts: () => starts };
}

test('what it says is passed on under its name, once', async () => {
  const { worker, log } = start(
    `console.error('[node n-1] mine'); console.error('a stack'); ${READY} console.log('{"event":"linked"}'); setInterval(() => {}, 1000);`,
  );
  await worker.ready;
  await expect.poll(() => log.toSorted()).toEqual(['[node n-1] a stack', '[node n-1] mine', 'linked']);
});

test('one that crashes is started again, one that left in order is not', async () => {
  const { log, left, starts } = start(`
    import { existsSync, writeFileSync } from 'node:fs';
    const mark = new URL('mark', import.meta.url);
    ${READY}
    if (existsSync(mark)) process.exit(0);
    writeFileSync(mark, '');
    process.exit(3);
  `);
  await left;
  expect(starts()).toBe(2);
  expect(log).toEqual([
    '[node n-1] ended (exit code 3); starting it again',
    '[node n-1] has left, as it was asked to (exit code 0); it stays away',
  ]);
});

test('one that was drained stays away, however it ended, until it is called back', async () => {
  const { worker, log, left, starts } = start(`
    import { existsSync, writeFileSync } from 'node:fs';
    const mark = new URL('mark', import.meta.url);
    ${READY}
    if (existsSync(mark)) setInterval(() => {}, 1000);
    else {
      writeFileSync(mark, '');
      console.log('{"event":"draining"}');
      process.exitCode = 3;
    }
  `);
  expect(worker.comeBack()).toBe(false);
  await left;
  expect(log).toEqual(['[node n-1] has left, as it was asked to (exit code 3); it stays away']);
  expect(worker.pid).toBeUndefined();

  expect(worker.comeBack()).toBe(true);

  await expect.poll(starts).toBe(2);
  expect(worker.comeBack()).toBe(false);
  // It is a worker like any other again.
  process.kill(worker.pid ?? 0, 'SIGKILL');
  await expect.poll(starts).toBe(3);
});

test('one that does not start is an error, not a loop', async () => {
  const { worker, starts } = start('process.exit(1);');
  await expect(worker.ready).rejects.toThrow('the worker n-1 did not start (exit code 1)');
  expect(starts()).toBe(0);
});

test('one that ignores SIGTERM is killed when its time is over; it has no status to tell', async () => {
  const { worker } = start(`process.on('SIGTERM', () => {}); process.on('message', () => {}); ${READY}`);
  await worker.ready;
  expect(await worker.status()).toBeNull();
  const { pid } = worker;
  await worker.stop(GRACE_MS);
  expect(() => process.kill(pid ?? 0, 0)).toThrow('ESRCH');
});
