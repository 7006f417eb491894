import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { SignallingError } from '../support/client/signalling.ts';
import { explainFailure } from './failure.ts';
import { listenOnFreePort } from './load-test-support.ts';
import { tolerantSignalling } from './tolerant-signalling.ts';

const URL_TEXT = 'http://127.0.0.1:8787/x';

test.each([
  [401, '', 'HTTP 401: the server wants a token, or another one (--token)', true],
  [404, '{"detail":"no publisher in  room"}', /^HTTP 404: nobody publishes .*: no publisher in room$/, true],
  [500, 'oops\n', 'HTTP 500: oops', false],
  [503, '', /no room/, false],
])('%i is told in words', (status, body, message, final) => {
  expect(explainFailure(new SignallingError(status, body), URL_TEXT)).toEqual({
    message: typeof message === 'string' ? message : expect.stringMatching(message),
    final,
  });
});

test('a server that is not there is told by its address', async () => {
  const server = createServer();
  const origin = await listenOnFreePort(server);
  await new Promise((resolve) => server.close(resolve));
  const error: unknown = await tolerantSignalling(`${origin}/x`, undefined)
    .open('v=0')
    .catch((reason: unknown) => reason);

  expect(explainFailure(error, `${origin}/x`)).toEqual({
    message: expect.stringMatching(`^${origin} cannot be reached: .*ECONNREFUSED`),
    final: true,
  });
});
