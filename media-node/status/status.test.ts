import { afterEach, expect, test } from 'vitest';
import { metricsText } from './metrics.ts';
import type { NodeStatus } from './node-status.ts';
import { StatusServer } from './status-server.ts';

const STATUS: NodeStatus = {
  node: 'paris-1',
  version: '1.0.0',
  region: 'say "Paris"\\',
  engine: 'portable',
  pid: 1,
  addresses: ['203.0.113.7:8840'],
  linked: true,
  uptimeSeconds: 12.5,
  sessions: 3,
  capacity: 5_000,
  residentBytes: 1_000,
  cpuSeconds: 0.5,
  totals: { packetsOut: 7, somethingNew: 1 },
};

const open: StatusServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

async function serve(statuses: readonly NodeStatus[], expected: number): Promise<string> {
  const server = await StatusServer.open('127.0.0.1', 0, { statuses: async () => statuses, expected });
  open.push(server);
  return `http://${server.address}`;
}

test('metrics: each is declared once, and has a sample for each node', () => {
  const text = metricsText([STATUS, { ...STATUS, node: 'paris-2', linked: false }]);
  expect(text).toContain(
    'vestibule_node_info{node="paris-1",version="1.0.0",region="say \\"Paris\\"\\\\",engine="portable"} 1',
  );
  expect(text).toContain('vestibule_node_linked{node="paris-1"} 1\nvestibule_node_linked{node="paris-2"} 0\n');
  expect(text).toContain('# TYPE vestibule_node_packets_out_total counter');
  expect(text).toContain('vestibule_node_something_new_total{node="paris-2"} 1');
  const declared = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]);
  expect(new Set(declared).size).toBe(declared.length);
  for (const line of text.trimEnd().split('\n')) {
    expect(line).toMatch(/^(# (HELP|TYPE) vestibule_node_[a-z_]+ .+|vestibule_node_[a-z_]+\{.+\} [0-9.e+-]+)$/);
  }
});

test.each([
  ['all well', [STATUS], 1, 200, 200],
  ['not linked', [{ ...STATUS, linked: false }], 1, 200, 503],
  ['a worker does not answer', [STATUS], 2, 503, 503],
])('%s', async (_, statuses, expected, health, readiness) => {
  const url = await serve(statuses, expected);
  expect((await fetch(`${url}/healthz`)).status).toBe(health);
  expect((await fetch(`${url}/readyz`)).status).toBe(readiness);
  expect((await fetch(`${url}/metrics`)).headers.get('content-type')).toContain('version=0.0.4');
});

test('nothing else is there', async () => {
  const url = await serve([STATUS], 1);
  expect((await fetch(`${url}/`)).status).toBe(404);
  expect((await fetch(`${url}/healthz`, { method: 'POST' })).status).toBe(405);
});

test('a port that is taken is told by its setting', async () => {
  const url = new URL(await serve([STATUS], 1));
  await expect(
    StatusServer.open('127.0.0.1', Number(url.port), { statuses: async () => [], expected: 0 }),
  ).rejects.toThrow(/TCP port \d+ on 127\.0\.0\.1 is in use: see NODE_STATUS_PORT/);
});
