import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EmbeddedEdge } from './embedded-edge.ts';
import { requireTcpPort } from './port.ts';
import { PROJECT_ROOT } from './project.ts';

const WRANGLER = `
name = "counter"
main = "worker.ts"
compatibility_date = "2026-11-01"
[assets]
directory = "public"
binding = "ASSETS"
run_worker_first = true
html_handling = "none"
[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]
`;
const WORKER = `
import { DurableObject } from 'cloudflare:workers';
export class Counter extends DurableObject {
  async count() {
    const count = ((await this.ctx.storage.get('count')) ?? 0) + 1;
    await this.ctx.storage.put('count', count);
    return count;
  }
  async known() {
    return (await this.ctx.storage.get('count')) !== undefined;
  }
}
export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname.startsWith('/web/')) return env.ASSETS.fetch(request);
    if (new URL(request.url).pathname === '/asked') return Response.json(await env.COUNTER.getByName('other').known());
    if (new URL(request.url).pathname === '/broken') {
      console.log('not worth a line');
      console.error(new Error('a mistake in the worker'));
    }
    return new Response(\`\${env.GREETING} \${await env.COUNTER.getByName('one').count()}\`);
  },
};
`;

let root: string;
const log: string[] = [];

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'vestibule-edge-'));
  mkdirSync(join(root, 'public/web'), { recursive: true });
  symlinkSync(join(PROJECT_ROOT, 'node_modules'), join(root, 'node_modules'));
  writeFileSync(join(root, 'wrangler.toml'), WRANGLER);
  writeFileSync(join(root, 'worker.ts'), WORKER);
  writeFileSync(join(root, 'public/web/index.html'), 'a page');
});
afterAll(() => rmSync(root, { recursive: true }));

const edges: EmbeddedEdge[] = [];
afterEach(async () => {
  for (const edge of edges.splice(0)) await edge.close();
});

async function startEdge(port = 0): Promise<EmbeddedEdge> {
  const edge = await EmbeddedEdge.start({
    root,
    host: '127.0.0.1',
    port,
    stateDirectory: join(root, 'state'),
    variables: { GREETING: 'visit' },
    onLog: (line) => log.push(line),
    onProcess: () => undefined,
  });
  edges.push(edge);
  return edge;
}

async function get(edge: EmbeddedEdge, path = '/'): Promise<string> {
  return (await fetch(new URL(path, edge.url))).text();
}

async function eventually(edge: EmbeddedEdge): Promise<string> {
  return expect
    .poll(() => get(edge).catch(() => null), { interval: 20 })
    .not.toBeNull()
    .then(() => get(edge));
}

test('serves worker and pages; state outlives a killed workerd on the same port, and a restart', async () => {
  const signals = process.listenerCount('SIGTERM');
  const edge = await startEdge();
  expect(await get(edge)).toBe('visit 1');
  expect(await get(edge, '/web/index.html')).toBe('a page');
  // How this process ends is not miniflare's business.
  expect(process.listenerCount('SIGTERM')).toBe(signals);

  const { href } = edge.url;
  process.kill(edge.workerdPid ?? 0, 'SIGKILL');
  await expect.poll(() => log).toContain("The edge's runtime ended (SIGKILL); starting it again");
  expect(Number((await eventually(edge)).split(' ')[1])).toBeGreaterThan(1);
  expect(edge.url.href).toBe(href);

  await edge.close();
  await requireTcpPort('PORT', '127.0.0.1', Number(edge.url.port));
  const again = await startEdge();
  expect(Number((await get(again)).split(' ')[1])).toBeGreaterThan(2);
});

test('what the worker logs as an error is in the log, its small talk is not', async () => {
  const edge = await startEdge();
  await get(edge, '/broken');
  await expect.poll(() => log.join('\n')).toContain('a mistake in the worker');
  expect(log.join('\n')).not.toContain('not worth a line');
});

test('workerd leads a process group of its own, the one that replaces it too: Ctrl-C must not end it', async () => {
  const leadsGroup = (pid: number | undefined): boolean => pid !== undefined && process.kill(-pid, 0);
  const edge = await startEdge();
  const first = edge.workerdPid;
  expect(leadsGroup(first)).toBe(true);

  process.kill(first ?? 0, 'SIGKILL');

  await expect.poll(() => edge.workerdPid).not.toBe(first);
  await eventually(edge);
  expect(leadsGroup(edge.workerdPid)).toBe(true);
});

test('a port in use fails the start and leaves nothing behind', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await expect(startEdge(port)).rejects.toThrow('already in use');
  server.close();
});

test('what objects keep is for the owner of the process only, also where an earlier version made the directory', async () => {
  const kept = join(root, 'state', 'state');
  mkdirSync(kept, { recursive: true, mode: 0o755 });

  await startEdge();

  expect(statSync(kept).mode & 0o777).toBe(0o700);
});

test('objects that were only asked leave no file behind over a restart, those with something to keep do', async () => {
  const objects = () =>
    readdirSync(join(root, 'state/state/do/counter-Counter')).filter((name) => /^\w{64}\.sqlite$/.test(name));
  const edge = await startEdge();
  await get(edge);
  await get(edge, '/asked');
  await edge.close();
  expect(objects()).toHaveLength(2);

  const again = await startEdge();

  expect(objects()).toHaveLength(1);
  expect(Number((await get(again)).split(' ')[1])).toBeGreaterThan(1);
});
