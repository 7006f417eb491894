/** What tests of the load tool share. */
import { once } from 'node:events';
import type { Server } from 'node:http';

/** The origin where it listens, on loopback. */
export async function listenOnFreePort(server: Server): Promise<string> {
  const listening = once(server, 'listening');
  server.listen(0, '127.0.0.1');
  await listening;
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return `http://127.0.0.1:${address.port}`;
}
