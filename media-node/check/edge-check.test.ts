import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { CONTROL_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { createCertificate } from '../transport/certificate.ts';
import { checkEdge } from './edge-check.ts';
import type { Finding } from './finding.ts';

const TOKEN = 'the-token';
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }
});

async function listen(server: Server, scheme: string): Promise<string> {
  servers.push(server);
  // An upgrade request is an answerable one, as at the edge.
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function edge(answer: RequestListener): Promise<string> {
  return listen(createServer({ shouldUpgradeCallback: () => false }, answer), 'http');
}

function says(check: object, headers: Record<string, string> = {}): RequestListener {
  return (request, response) => {
    const knows = request.headers.authorization === `Bearer ${TOKEN}` && request.headers['vestibule-check'] === '1';
    response.writeHead(knows ? 200 : 401, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(check));
  };
}

const GOOD = { protocol: CONTROL_PROTOCOL_VERSION, websocket: true, address: '198.51.100.7' };

async function findings(edgeUrl: string, token = TOKEN): Promise<Finding[]> {
  return (await checkEdge({ edgeUrl, token, now: Date.now })).findings;
}

test('an edge that would take this node', async () => {
  const url = await edge(says(GOOD));
  const result = await checkEdge({ edgeUrl: url, token: TOKEN, now: Date.now });
  expect(result.findings.map(({ outcome, subject }) => `${subject} ${outcome}`)).toEqual([
    'edge ok',
    'token ok',
    'protocol ok',
    'clock ok',
  ]);
  expect(result).toMatchObject({ edgeAddresses: ['127.0.0.1'], seenAs: '198.51.100.7' });
});

test.each<[string, RequestListener, string, RegExp]>([
  ['another token', says(GOOD), 'token', /refuses it \(HTTP 401\): NODE_TOKEN must be the same/],
  ['what is no edge', (_, response) => void response.writeHead(404).end(), 'edge', /HTTP 404.*check EDGE_URL/],
  ['a page instead', (_, response) => void response.writeHead(200).end('<html>'), 'edge', /HTTP 200.*check EDGE_URL/],
  [
    'a broken edge',
    (_, response) => void response.writeHead(500).end(),
    'edge',
    /HTTP 500: its own settings are wrong/,
  ],
])('%s is told as such', async (name, answer, subject, words) => {
  const found = await findings(await edge(answer), name === 'another token' ? 'mine' : TOKEN);
  const bad = found.filter(({ outcome }) => outcome === 'failed');
  expect(bad).toEqual([{ outcome: 'failed', subject, detail: expect.stringMatching(words) }]);
});

test.each([
  ['too old', CONTROL_PROTOCOL_VERSION - 2, 'update the edge'],
  ['too new', CONTROL_PROTOCOL_VERSION + 2, 'update this node'],
])('an edge %s', async (_, protocol, words) => {
  const found = await findings(await edge(says({ ...GOOD, protocol })));
  expect(found).toContainEqual({ outcome: 'failed', subject: 'protocol', detail: expect.stringContaining(words) });
});

test('an edge that is too old for this question has taken the token all the same', async () => {
  const url = await edge((_, response) => void response.writeHead(400).end('{"code":"invalid_node"}'));
  const found = await findings(url);
  expect(found.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  expect(found).toContainEqual(expect.objectContaining({ outcome: 'unknown', subject: 'protocol' }));
});

test('a proxy that takes the upgrade out', async () => {
  const found = await findings(await edge(says({ ...GOOD, websocket: false })));
  expect(found).toContainEqual(expect.objectContaining({ outcome: 'failed', subject: 'websocket' }));
});

test('a clock that is wrong', async () => {
  const url = await edge(says(GOOD));
  const { findings: found } = await checkEdge({ edgeUrl: url, token: TOKEN, now: () => Date.now() + 60_000 });
  const clock = found.find(({ subject }) => subject === 'clock');
  expect(clock).toMatchObject({ outcome: 'warning', detail: expect.stringMatching(/^(59|60|61) s ahead of/) });
});

test('nobody there, no such name, no TLS', async () => {
  const url = await edge(says(GOOD));
  expect(await findings(url.replace('http:', 'https:'))).toContainEqual(
    expect.objectContaining({ outcome: 'failed', detail: expect.stringContaining('does not speak TLS') }),
  );
  const [server] = servers.splice(0);
  server?.close();
  expect(await findings(url)).toContainEqual(
    expect.objectContaining({ outcome: 'failed', detail: expect.stringContaining('nothing listens there') }),
  );
  expect(await findings('https://no-such-edge.invalid')).toEqual([
    expect.objectContaining({ outcome: 'failed', subject: 'edge name' }),
  ]);
});

test('a certificate that nobody signed', async () => {
  const { certPem, keyPem } = await createCertificate();
  const server = createTlsServer({ cert: certPem, key: keyPem }, says(GOOD));
  const found = await findings(await listen(server, 'https'));
  expect(found).toEqual([
    { outcome: 'failed', subject: 'edge', detail: expect.stringMatching(/certificate that cannot be trusted/) },
  ]);
});
