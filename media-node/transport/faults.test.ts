import { expect, test } from 'vitest';
import { LOOPBACK, NO_PEER, openSession } from './testing/session.ts';
import { mintIceCredentials, openMediaEndpoint } from './udp-endpoint.ts';

test('a session whose handler throws costs the others nothing', async () => {
  const faults: unknown[] = [];
  const endpoint = await openMediaEndpoint({
    addresses: [LOOPBACK],
    port: 0,
    onFault: (error) => faults.push(error),
  });
  const fault = new Error('a handler that should not throw');
  endpoint.createTransport({
    local: mintIceCredentials(),
    remote: NO_PEER,
    connectTimeoutMs: 1_000,
    silenceMs: 5_000,
    expiryMs: 30_000,
    events: {
      onConnected: () => {},
      onMedia: () => {},
      onSilence: () => {},
      onEnded: () => {
        throw fault;
      },
    },
  });
  const other = openSession(endpoint, { connectTimeoutMs: 1_000 });

  endpoint.tick(performance.now() + 2_000);
  await endpoint.close();

  expect(faults).toEqual([fault]);
  expect(other.log).toEqual(['never-connected']);
});
