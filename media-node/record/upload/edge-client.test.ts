import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { NodeId } from '../../../shared/ids.ts';
import type { RecordId } from '../../../shared/protocol/records.ts';
import { EdgeClient, RefusedError } from './edge-client.ts';

const ID = 'a'.repeat(22) as RecordId;

/** Edge and store in one; the store refuses every part with these words. */
async function refusing(words: string): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-edge-client-'));
  const path = join(folder, 'part');
  await writeFile(path, 'part');
  const server = createServer((request, response) => {
    request.resume();
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/store`;
    if (request.url === '/store') response.writeHead(403).end(words);
    else response.end(JSON.stringify({ url, headers: {} }));
  }).listen(0, '127.0.0.1');
  onTestFinished(async () => {
    server.close();
    server.closeAllConnections();
    await rm(folder, { recursive: true, force: true });
  });
  await once(server, 'listening');
  const edgeUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new EdgeClient({ edgeUrl, token: 't', node: 'n' as NodeId });
  const signal = AbortSignal.timeout(10_000);
  return client.put(ID, 's3', 1, { path, start: 0, bytes: 4 }, signal).catch((error: unknown) => error);
}

test.each([
  [
    'a store',
    '<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>',
    'HTTP 403 SignatureDoesNotMatch',
  ],
  ['the edge', '{"code":"no_upload","detail":"begin again"}', 'HTTP 403 no_upload begin again'],
  ['whatever is in between', '<html>AKIASECRET</html>', 'HTTP 403'],
])('what %s refuses is told without its secrets', async (_, words, message) => {
  const error = await refusing(words);
  expect(error).toBeInstanceOf(RefusedError);
  expect((error as RefusedError).message).toBe(message);
});
