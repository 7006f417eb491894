/** Tokens that others mint, in the real runtime: keys fetched for one request have to serve those beside and after it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWeb, endBundler } from './bundle.ts';
import { EmbeddedEdge } from './embedded-edge.ts';
import { PROJECT_ROOT } from './project.ts';
import { keptSecrets } from './secrets.ts';
import { readWranglerConfig } from './wrangler-config.ts';

const AT_ONCE = 20;

let state: string;
let edge: EmbeddedEdge;
let server: Server;
let answers = false;
let fetches = 0;
let token = '';

beforeAll(async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' };
  token = await new SignJWT({ sub: 'ada' })
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setExpirationTime('1h')
    .sign(privateKey);
  server = createServer((_request, response) => {
    fetches += 1;
    response.writeHead(answers ? 200 : 503, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ keys: [jwk] }));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  state = mkdtempSync(join(tmpdir(), 'vestibule-keys-'));
  await buildWeb(PROJECT_ROOT, join(PROJECT_ROOT, readWranglerConfig(PROJECT_ROOT).assets.directory));
});
afterAll(async () => {
  await edge?.close();
  await endBundler();
  server?.close();
  rmSync(state, { recursive: true, force: true });
});

async function startEdge(): Promise<void> {
  await edge?.close();
  edge = await EmbeddedEdge.start({
    root: PROJECT_ROOT,
    host: '127.0.0.1',
    port: 0,
    stateDirectory: state,
    variables: {
      ...keptSecrets(state),
      JWKS_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`,
    },
    onLog: () => undefined,
    onProcess: () => undefined,
  });
}

function statuses(): Promise<number[]> {
  return Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      const headers = { Authorization: `Bearer ${token}` };
      const response = await fetch(new URL('/space/s1/streams', edge.url), { headers });
      await response.body?.cancel();
      return response.status;
    }),
  );
}

test('a key server that fails is 503, and is left alone after that', async () => {
  await startEdge();
  expect(new Set(await statuses())).toEqual(new Set([503]));
  const before = fetches;
  expect(new Set(await statuses())).toEqual(new Set([503]));
  expect(fetches).toBe(before);
});

test('many at once on a cold start are let in, and nobody asks for the keys again', async () => {
  answers = true;
  await startEdge();
  expect(new Set(await statuses())).toEqual(new Set([200]));
  const before = fetches;
  expect(new Set(await statuses())).toEqual(new Set([200]));
  expect(fetches).toBe(before);
});
