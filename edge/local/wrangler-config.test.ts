import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PROJECT_ROOT } from './project.ts';
import { readWranglerConfig, workerOptions } from './wrangler-config.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vestibule-wrangler-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("the project's own wrangler.toml is understood whole", () => {
  const options = workerOptions(PROJECT_ROOT, readWranglerConfig(PROJECT_ROOT), 'script', {});
  expect(options.durableObjects).toEqual({
    AUDIENCE: { className: 'Audience', useSQLite: true },
    LOBBY: { className: 'Lobby', useSQLite: true },
    NODE_LINK: { className: 'NodeLink', useSQLite: true },
    FLEET: { className: 'Fleet', useSQLite: true },
    RECORDS: { className: 'Records', useSQLite: true },
    SPACE: { className: 'Space', useSQLite: true },
    STREAM_LOBBY: { className: 'StreamLobby', useSQLite: true },
  });
  expect(options.assets).toMatchObject({ binding: 'ASSETS', directory: join(PROJECT_ROOT, '.build/assets') });
});

const HEAD = `
name = "w"
main = "w.ts"
compatibility_date = "2026-11-01"
`;
const ASSETS = `
[assets]
directory = "public"
binding = "ASSETS"
run_worker_first = true
`;

test('each kind of binding becomes its counterpart, and variables win over [vars]', () => {
  const text = `${HEAD}
[vars]
COLOR = "blue"
SIZE = 3
${ASSETS}
[[durable_objects.bindings]]
name = "OLD"
class_name = "Old"
[[r2_buckets]]
binding = "REC"
bucket_name = "recordings"
[[ratelimits]]
name = "LIMIT"
namespace_id = "1001"
simple = { limit = 5, period = 10 }
`;
  writeFileSync(join(directory, 'wrangler.toml'), text);
  expect(workerOptions(directory, readWranglerConfig(directory), 'script', { COLOR: 'red' })).toMatchObject({
    name: 'w',
    compatibilityDate: '2026-11-01',
    bindings: { COLOR: 'red', SIZE: 3 },
    // Without a migration that says so, the class has no SQLite.
    durableObjects: { OLD: { className: 'Old', useSQLite: false } },
    r2Buckets: { REC: 'recordings' },
    ratelimits: { LIMIT: { namespace_id: '1001', simple: { limit: 5, period: 10 } } },
  });
});

test('assets that are served past the worker are refused: clients reach the worker alone', () => {
  for (const line of ['', 'run_worker_first = false', 'run_worker_first = ["/*"]']) {
    writeFileSync(join(directory, 'wrangler.toml'), HEAD + ASSETS.replace('run_worker_first = true', line));
    expect(() => readWranglerConfig(directory)).toThrow('assets.run_worker_first');
  }
});

test('a binding of another kind is refused by name instead of being left out', () => {
  writeFileSync(
    join(directory, 'wrangler.toml'),
    `${HEAD}${ASSETS}\n[[queues.producers]]\nqueue = "q"\nbinding = "Q"\n`,
  );
  expect(() => readWranglerConfig(directory)).toThrow('"queues"');
});
