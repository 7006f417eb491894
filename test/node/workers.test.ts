/** `npm run node -- --workers`, as its user starts it: real processes, and an edge that is not there. */
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { LineProcess } from '../support/line-process.ts';

/** Three processes start one after the other. */
const DEADLINE_MS = 60_000;
/** Nothing answers there: the discard port. */
const NO_EDGE = 'http://127.0.0.1:9';

const readySchema = z.object({
  node: z.string(),
  addresses: z.array(z.string()),
  engine: z.string(),
  status: z.string().optional(),
  workers: z.array(z.object({ node: z.string(), pid: z.int(), addresses: z.array(z.string()) })),
});

const started: LineProcess[] = [];
afterEach(async () => {
  for (const process of started.splice(0)) await process.end('SIGKILL');
});

function start(args: readonly string[], env: Readonly<Record<string, string | undefined>> = {}): LineProcess {
  const node = new LineProcess({
    script: ['media-node/main.ts', ...args],
    env: {
      EDGE_URL: NO_EDGE,
      NODE_TOKEN: 'a-token',
      NODE_ID: 'box',
      MEDIA_PORT: '0',
      MEDIA_ADDRESSES: '127.0.0.1',
      FANOUT_ENGINE: 'portable',
      NODE_WORKERS: undefined,
      NODE_STATUS_PORT: undefined,
      // Under npm a node ends with the npm that started it; here it is ours.
      npm_lifecycle_event: undefined,
      ...env,
    },
  });
  started.push(node);
  return node;
}

async function ready(node: LineProcess): Promise<z.infer<typeof readySchema>> {
  return readySchema.parse(await node.event('ready', DEADLINE_MS));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function gone(pids: readonly number[]): Promise<void> {
  await expect.poll(() => pids.filter(isAlive), { timeout: DEADLINE_MS, interval: 50 }).toEqual([]);
}

describe('two workers', () => {
  test('are nodes of their own behind one ready line; a killed one comes back, the other never notices', async () => {
    const node = start(['--workers', '2'], { NODE_STATUS_PORT: '0' });
    const { node: name, addresses, workers, status } = await ready(node);
    expect(name).toBe('box');
    expect(workers.map((worker) => worker.node)).toEqual(['box-1', 'box-2']);
    expect(new Set(addresses).size).toBe(2);
    const [first, second] = workers.map(({ pid }) => pid) as [number, number];

    const before = node.events.length;
    process.kill(first, 'SIGKILL');
    const replaced = await node.event('worker', DEADLINE_MS, before);
    expect(replaced).toMatchObject({ node: 'box-1' });
    expect(replaced.pid).not.toBe(first);
    expect(isAlive(second)).toBe(true);
    // What is said comes by another pipe than what happens.
    await expect.poll(() => node.log).toContain('[node box-1] ended (SIGKILL); starting it again');
    await expect.poll(() => node.log).toMatch(/\[node box-2\] cannot reach the edge at 127\.0\.0\.1:9/);

    const metrics = await (await fetch(`http://${status}/metrics`)).text();
    expect(metrics).toContain('vestibule_node_linked{node="box-1"} 0');
    expect(metrics).toContain('vestibule_node_sessions{node="box-2"} 0');
    expect((await fetch(`http://${status}/healthz`)).status).toBe(200);
    expect((await fetch(`http://${status}/readyz`)).status).toBe(503);

    await node.end('SIGTERM', DEADLINE_MS);
    expect(node.outcome).toBe('exit code 0');
    await gone([second, replaced.pid as number]);
  });

  test('one that was drained stays away until SIGUSR2; when all were, the supervisor has nothing to do and ends', async () => {
    const node = start(['--workers', '2'], { NODE_STATUS_PORT: '0' });
    const { workers, status } = await ready(node);
    const [first, second] = workers.map(({ pid }) => pid) as [number, number];
    const health = async (): Promise<unknown> => (await fetch(`http://${status}/healthz`)).json();

    // To drain, it makes no difference who asks for it.
    process.kill(first, 'SIGTERM');
    await expect.poll(() => node.log, { timeout: DEADLINE_MS }).toContain('[node box-1] has left, as it was asked to');
    expect(await health()).toMatchObject({ ok: true, expected: 1 });

    const before = node.events.length;
    node.signal('SIGUSR2');
    const back = await node.event('worker', DEADLINE_MS, before);
    expect(back).toMatchObject({ node: 'box-1' });
    await expect.poll(health, { timeout: DEADLINE_MS }).toMatchObject({ ok: true, expected: 2 });
    expect(node.events.slice(before)).toHaveLength(1);

    for (const pid of [back.pid as number, second]) process.kill(pid, 'SIGTERM');
    await node.whenEnded();
    expect(node.outcome).toBe('exit code 0');
  });

  test('end when their supervisor is killed', async () => {
    const node = start(['--workers', '2']);
    const { workers } = await ready(node);
    await node.end('SIGKILL');
    await gone(workers.map(({ pid }) => pid));
  });

  test('a second signal ends them at once, even one that does not react', async () => {
    const node = start(['--workers', '2']);
    const { workers } = await ready(node);
    const [first] = workers;
    // It can neither end in order nor notice anything.
    process.kill(first?.pid ?? 0, 'SIGSTOP');
    node.signal('SIGTERM');
    await expect.poll(() => isAlive(workers[1]?.pid ?? 0), { timeout: DEADLINE_MS }).toBe(false);
    node.signal('SIGTERM');
    await node.whenEnded();
    expect(node.outcome).toBe('exit code 130');
    await gone(workers.map(({ pid }) => pid));
  });
});

describe('one clear error, and no process left', () => {
  test.each([
    ['no such number', ['--workers', 'many'], {}, /NODE_WORKERS must be a number of processes/],
    ['no edge', ['--workers', '2'], { EDGE_URL: '' }, /EDGE_URL is required/],
    ['too few ports', ['--workers', '3'], { MEDIA_PORT: '65534' }, /MEDIA_PORT 65534 leaves no room for 3 workers/],
    ['a name too long', ['--workers', '2'], { NODE_ID: 'x'.repeat(63) }, /NODE_ID is too long/],
    [
      'an address of another machine',
      ['--workers', '2'],
      { MEDIA_ADDRESSES: '192.0.2.1' },
      /192\.0\.2\.1 is not an address of this machine/,
    ],
  ])('%s', async (_, args, env, words) => {
    const node = start(args, env);
    await node.whenEnded();
    expect(node.outcome).toBe('exit code 1');
    expect(node.log).toMatch(words);
    expect(node.log.match(new RegExp(words, 'g'))).toHaveLength(1);
    expect(node.events).toEqual([]);
  });
});

test('a single node ends in order, and its status port is closed by default', async () => {
  const node = start([]);
  const event = await node.event('ready', DEADLINE_MS);
  expect(event).toMatchObject({ node: 'box' });
  expect(event.status).toBeUndefined();
  await node.end('SIGTERM', DEADLINE_MS);
  expect(node.outcome).toBe('exit code 0');
});
