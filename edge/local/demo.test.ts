import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSettings, type Settings } from '../env.ts';
import { buildWeb, endBundler } from './bundle.ts';
import { type Demo, entryLink, openDemo, wantsDemo } from './demo.ts';
import { EmbeddedEdge } from './embedded-edge.ts';
import { PROJECT_ROOT } from './project.ts';
import { keptSecrets, type Secrets } from './secrets.ts';
import { parseSettings } from './settings.ts';
import { readWranglerConfig } from './wrangler-config.ts';

let state: string;
let edge: EmbeddedEdge;
let secrets: Secrets;
let settings: Settings;
const log: string[] = [];

beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), 'vestibule-demo-'));
  secrets = keptSecrets(state);
  settings = readSettings({ ...secrets } as unknown as Parameters<typeof readSettings>[0]);
  await buildWeb(PROJECT_ROOT, join(PROJECT_ROOT, readWranglerConfig(PROJECT_ROOT).assets.directory));
  edge = await EmbeddedEdge.start({
    root: PROJECT_ROOT,
    host: '127.0.0.1',
    port: 0,
    stateDirectory: state,
    variables: secrets,
    onLog: (line) => log.push(line),
    onProcess: () => undefined,
  });
});
afterAll(async () => {
  await edge?.close();
  await endBundler();
  rmSync(state, { recursive: true, force: true });
});

const open = (): Promise<Demo> => openDemo(edge.url, secrets.ADMIN_TOKEN, settings);

async function get(path: string, token: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(new URL(path, edge.url), { headers: { Authorization: `Bearer ${token}` } });
  return { status: response.status, body: await response.json() };
}

test('an owner and two guests may enter with what they are given; rooms stay open', async () => {
  const demo = await open();
  const path = `/space/${demo.space}/stream/${demo.stream}`;

  expect(demo.members.map(({ user, isOwner }) => [user, isOwner])).toEqual([
    ['ada', true],
    ['ben', false],
    ['cleo', false],
  ]);
  for (const { token } of demo.members) {
    expect(await get(path, token)).toMatchObject({ status: 200, body: { title: 'Demo', user: 'ada' } });
  }
  expect(await get('/api/bootstrap', '')).toMatchObject({ body: { authEnabled: false } });
});

test('the registered back end gets tokens for the same users', async () => {
  const { space } = await open();
  const response = await fetch(new URL('/authenticate', edge.url), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user: 'ben', token: secrets.REGISTER_TOKEN, client: 'test' }),
  });
  const { jwt } = (await response.json()) as { jwt: string };

  expect(await get(`/space/${space}/streams`, jwt)).toMatchObject({ status: 200, body: [{ title: 'Demo' }] });
});

test('a demo that somebody has changed stays as it is', async () => {
  const { space, stream } = await open();
  const path = `/space/${space}/stream/${stream}`;
  await fetch(new URL(path, edge.url), {
    method: 'PUT',
    headers: { Authorization: `Bearer ${secrets.ADMIN_TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ title: 'Mine', owner: 'ada', guests: [] }),
  });
  await open();

  expect(await get(path, secrets.ADMIN_TOKEN)).toMatchObject({ body: { title: 'Mine', guests: [] } });
});

test('an edge that refuses is told about', async () => {
  await expect(openDemo(edge.url, 'wrong', settings)).rejects.toThrow('401');
});

test('whoever sets up tokens gets no demo', () => {
  expect(wantsDemo(parseSettings({}))).toBe(true);
  expect(wantsDemo(parseSettings({ JWT_SECRET: 'x'.repeat(32) }))).toBe(true);
  expect(wantsDemo(parseSettings({ ADMIN_TOKEN: 'x' }))).toBe(false);
  expect(wantsDemo(parseSettings({ REGISTER_TOKEN: 'x' }))).toBe(false);
});

test('the token stands where no server sees it', async () => {
  const demo = await open();
  const url = new URL(entryLink('https://live.example', demo, 'a.b.c'));

  expect(url.pathname).toBe('/web/lobby.html');
  expect(Object.fromEntries(url.searchParams)).toEqual({ space: demo.space, stream: demo.stream });
  expect(url.hash).toBe('#token=a.b.c');
});
