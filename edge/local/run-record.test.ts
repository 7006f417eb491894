import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type RecordedProcess, RunRecord } from './run-record.ts';

let directory: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vestibule-run-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

/** A process whose command line has `marker` in it. */
async function startProcess(marker: string): Promise<{ child: ChildProcess; pid: number }> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log("up")', marker]);
  children.push(child);
  await once(child.stdout, 'data');
  return { child, pid: child.pid ?? 0 };
}

function writeRecord(record: { launcher: RecordedProcess; children: RecordedProcess[] }): void {
  writeFileSync(join(directory, 'run.json'), JSON.stringify(record));
}

const GONE = { pid: 2 ** 22 + 1, command: 'launcher' };

test('what a dead launcher left running is ended', async () => {
  const { child, pid } = await startProcess('left-behind');
  const ended = once(child, 'exit');
  writeRecord({ launcher: GONE, children: [{ pid, command: 'left-behind' }, GONE] });
  const told: number[] = [];
  await RunRecord.take(directory, 'me', (left) => told.push(left.pid));
  expect((await ended)[1]).toBe('SIGKILL');
  expect(told).toEqual([pid]);
});

test('a process that only has the same id now is let alone', async () => {
  const { child, pid } = await startProcess('somebody-else');
  writeRecord({ launcher: { pid, command: 'launcher' }, children: [{ pid, command: 'workerd' }] });
  const told: number[] = [];
  await RunRecord.take(directory, 'me', (left) => told.push(left.pid));
  expect(told).toEqual([]);
  expect(child.exitCode).toBeNull();
  expect(child.signalCode).toBeNull();
});

test('a living launcher keeps its state directory', async () => {
  const { pid } = await startProcess('edge/local/');
  writeRecord({ launcher: { pid, command: 'edge/local/' }, children: [] });
  await expect(RunRecord.take(directory, 'me', () => undefined)).rejects.toThrow(`(process ${pid})`);
});

test.each(['', '{}', '[1]'])('a damaged record (%j) is as none', async (text) => {
  writeFileSync(join(directory, 'run.json'), text);
  const record = await RunRecord.take(directory, 'me', () => undefined);
  record.release();
  expect(existsSync(join(directory, 'run.json'))).toBe(false);
});
