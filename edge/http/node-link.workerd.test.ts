import { afterEach, expect, it } from 'vitest';
import { CONTROL_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { problemOf } from '../test-support/app.ts';
import { TEST_NODE_TOKEN } from '../test-support/bindings.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { callWorker } from '../test-support/worker.ts';

const GOOD = { Upgrade: 'websocket', Authorization: `Bearer ${TEST_NODE_TOKEN}`, 'Vestibule-Node': 'node-1' };
let node: FakeNode | null = null;

afterEach(() => {
  node?.close();
  node = null;
});

it('lets a node in and welcomes it', async () => {
  node = await dialFakeNode();

  expect((await node.welcome()).desired).toEqual([]);
});

it.each([
  ['no token', { Authorization: '' }, 401],
  ['a wrong token', { Authorization: 'Bearer nope' }, 401],
  ['a token with the wrong scheme', { Authorization: `Basic ${TEST_NODE_TOKEN}` }, 401],
  ['no name', { 'Vestibule-Node': '' }, 400],
  ['a bad name', { 'Vestibule-Node': 'a b' }, 400],
  ['a long name', { 'Vestibule-Node': 'x'.repeat(65) }, 400],
  ['no upgrade', { Upgrade: '' }, 426],
])('refuses %s', async (_name, change, status) => {
  const wanted = Object.entries({ ...GOOD, ...change }).filter(([, value]) => value !== '');

  const response = await callWorker('/node/link', { headers: Object.fromEntries(wanted) });

  expect(response.status).toBe(status);
  expect((await problemOf(response)).status).toBe(status);
  // Nothing here is for a page.
  expect(response.headers.has('Access-Control-Allow-Origin')).toBe(false);
});

it.each([
  ['a WebSocket', { Upgrade: 'websocket' }, undefined, { websocket: true, address: null }],
  ['a request whose upgrade was lost', {}, undefined, { websocket: false, address: null }],
  [
    'somebody whose address Cloudflare knows',
    { 'CF-Connecting-IP': '198.51.100.7' },
    { country: 'NZ' },
    { websocket: false, address: '198.51.100.7' },
  ],
  [
    'somebody who says it himself',
    { 'CF-Connecting-IP': '198.51.100.7' },
    undefined,
    { websocket: false, address: null },
  ],
])('tells a check of the way here what came of %s, and makes no link', async (_name, headers, cf, told) => {
  const response = await callWorker('/node/link', {
    headers: { Authorization: GOOD.Authorization, 'Vestibule-Check': '1', ...headers },
    ...(cf === undefined ? {} : { cf }),
  } as RequestInit);

  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ protocol: CONTROL_PROTOCOL_VERSION, ...told });
});

it('tells a check with a wrong token nothing', async () => {
  const response = await callWorker('/node/link', {
    headers: { Authorization: 'Bearer nope', 'Vestibule-Check': '1' },
  });

  expect(response.status).toBe(401);
});

it('takes GET only, and has no preflight', async () => {
  const preflight = { Origin: 'https://page.example', 'Access-Control-Request-Method': 'GET' };
  for (const method of ['POST', 'OPTIONS', 'HEAD', 'DELETE']) {
    const response = await callWorker('/node/link', { method, headers: preflight });

    expect(response.status).toBe(405);
    expect(response.headers.get('Allow')).toBe('GET');
    expect(response.headers.has('Access-Control-Allow-Origin')).toBe(false);
  }
});

it('says 401 before anything else', async () => {
  expect((await callWorker('/node/link')).status).toBe(401);
});
