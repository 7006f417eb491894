import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MediaNodeProcess, type MediaNodeReady, restartDelayMs } from './media-node-process.ts';

const READY = '{"event":"ready","node":"n","addresses":["127.0.0.1:1"],"engine":"portable","version":"1"}';
const GOOD_NODE = `
  process.on('SIGTERM', () => { console.error('closed in order'); process.exit(0); });
  console.error('a log line');
  console.log('not an event');
  console.log('${READY}');
  console.log('{"event":"linked"}');
  console.log('{"event":"worker","node":"n-2","addresses":[],"pid":7}');
  setInterval(() => {}, 1000);
`;
/** Ignores SIGTERM. */
const STUBBORN_NODE = `process.on('SIGTERM', () => {}); console.log('${READY}'); setInterval(() => {}, 1000);`;

let directory: string;
const nodes: MediaNodeProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vestibule-node-'));
});
afterEach(async () => {
  for (const node of nodes.splice(0)) {
    if (node.pid !== undefined) process.kill(node.pid, 'SIGKILL');
    await node.stop();
  }
  rmSync(directory, { recursive: true });
});

function startNode(source: string) {
  const script = join(directory, 'node.mjs');
  writeFileSync(script, source);
  const log: string[] = [];
  const readies: MediaNodeReady[] = [];
  const linked = Promise.withResolvers<void>();
  let onReady: () => void = () => undefined;
  const node = new MediaNodeProcess({
    script: [script],
    directory,
    environment: { PATH: process.env.PATH },
    onLog: (line) => log.push(line),
    onProcess: () => undefined,
    onReady: (ready) => {
      readies.push(ready);
      onReady();
    },
    onLinked: linked.resolve,
    onWorker: (worker) => log.push(`worker ${worker.node}`),
  });
  nodes.push(node);
  const nextReady = (): Promise<void> =>
    new Promise((resolve) => {
      onReady = resolve;
    });
  return { node, log, readies, linked: linked.promise, nextReady };
}

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('a node that works', () => {
  test('its events are read and everything else is passed on', async () => {
    const { node, log, linked } = startNode(GOOD_NODE);
    expect(await node.ready).toEqual(JSON.parse(READY));
    await linked;
    await expect.poll(() => log.toSorted()).toEqual(['a log line', 'not an event', 'worker n-2']);
  });

  test('ends in order when it is stopped, and stays away', async () => {
    const { node, log, readies } = startNode(GOOD_NODE);
    await node.ready;
    const { pid } = node;
    await node.stop();
    expect(isAlive(pid)).toBe(false);
    expect(readies).toHaveLength(1);
    await expect.poll(() => log).toContain('closed in order');
  });

  test('is started again when it is killed', async () => {
    const { node, log, readies, nextReady } = startNode(GOOD_NODE);
    await node.ready;
    const first = node.pid;
    const again = nextReady();
    process.kill(first ?? 0, 'SIGKILL');
    await again;
    expect(node.pid).not.toBe(first);
    expect(readies).toHaveLength(2);
    expect(log).toContain('The media node ended (SIGKILL); starting it again');
  });
});

test('a node that was drained stays away', async () => {
  const { node, log, readies } = startNode(`console.log('${READY}'); process.exitCode = 0;`);
  await node.ready;
  await expect.poll(() => log).toEqual(['The media node has left, as it was asked to; it is back at the next start']);
  expect(readies).toHaveLength(1);
  await node.stop();
});

test('a node that ignores SIGTERM is killed', async () => {
  const { node } = startNode(STUBBORN_NODE);
  await node.ready;
  const { pid } = node;
  await node.stop();
  expect(isAlive(pid)).toBe(false);
});

test('a first start that fails is an error, not a loop', async () => {
  const { node, log } = startNode("console.error('MEDIA_PORT is in use'); process.exitCode = 3;");
  await expect(node.ready).rejects.toThrow('The media node did not start (exit code 3)');
  expect(log).toEqual(['MEDIA_PORT is in use']);
  expect(node.pid).toBeUndefined();
});

test('restarts come quickly at first, then ever more slowly, up to a limit', () => {
  expect([0, 1, 2, 3, 4, 5, 100].map(restartDelayMs)).toEqual([200, 400, 800, 1600, 3200, 5000, 5000]);
});
