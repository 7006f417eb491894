import { createServer, type Server } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { listenOnFreePort } from './load-test-support.ts';
import { tolerantSignalling } from './tolerant-signalling.ts';

const servers: Server[] = [];

/** A server that answers as told, and what it was asked. */
async function serve(answers: Readonly<Record<string, [number, Record<string, string>]>>) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`;
    asked.push(`${line} ${request.headers.authorization ?? 'anonymous'}`);
    request.resume();
    const [status, headers] = answers[line] ?? [404, {}];
    response.writeHead(status, headers).end(status < 300 ? 'the answer' : '');
  });
  servers.push(server);
  return { origin: await listenOnFreePort(server), asked };
}

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

test.each([200, 201])('opened with %i; the session is relative to the address', async (status) => {
  const { origin, asked } = await serve({
    'POST /a/whep': [status, { Location: '../s/1' }],
    'DELETE /s/1': [204, {}],
  });
  const signalling = tolerantSignalling(`${origin}/a/whep`, undefined);

  expect((await signalling.open('v=0')).sdp).toBe('the answer');
  await signalling.close();
  expect(asked).toEqual(['POST /a/whep anonymous', 'DELETE /s/1 anonymous']);
});

test('a redirect to another server keeps method and token, and the session is there', async () => {
  const second = await serve({ 'POST /whip': [201, { Location: '/s' }], 'DELETE /s': [200, {}] });
  const first = await serve({ 'POST /whip': [307, { Location: `${second.origin}/whip` }] });
  const signalling = tolerantSignalling(`${first.origin}/whip`, 'secret');

  await signalling.open('v=0');
  await signalling.close();
  expect(second.asked).toEqual(['POST /whip Bearer secret', 'DELETE /s Bearer secret']);
});

test('redirects in a circle end', async () => {
  const { origin, asked } = await serve({ 'POST /whip': [307, { Location: '/whip' }] });

  await expect(tolerantSignalling(`${origin}/whip`, undefined).open('v=0')).rejects.toMatchObject({ status: 307 });
  expect(asked.length).toBeLessThan(10);
});

test('without a session there is nothing to delete', async () => {
  const { origin, asked } = await serve({ 'POST /whep': [200, {}] });
  const signalling = tolerantSignalling(`${origin}/whep`, undefined);

  await signalling.close();
  await signalling.open('v=0');
  await signalling.close();
  expect(asked).toEqual(['POST /whep anonymous']);
});
