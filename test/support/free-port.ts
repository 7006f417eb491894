/** Ports that nobody uses on loopback, for what cannot be told to take port 0. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below those that the system gives to who asks for any (from 32768 on with Linux): nobody comes upon one of them between
 * our look and its use, and a server that was killed finds its own free again.
 */
const FIRST_PORT = 12_000;
/** Test files run in processes of their own, side by side: each looks somewhere else. */
const LANES = 500;
const PORTS_OF_LANE = 40;
const TRIES = 200;

let next = (process.pid % LANES) * PORTS_OF_LANE;

export function freeTcpPort(): Promise<number> {
  return firstFree(async (port) => {
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  });
}

export function freeUdpPort(): Promise<number> {
  return firstFree(async (port) => {
    const socket = createSocket('udp4').bind(port, '127.0.0.1');
    await once(socket, 'listening').finally(() => socket.close());
  });
}

/** `look` throws when the port is taken. */
async function firstFree(look: (port: number) => Promise<void>): Promise<number> {
  let reason: unknown;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = FIRST_PORT + (next++ % (LANES * PORTS_OF_LANE));
    try {
      await look(port);
      return port;
    } catch (error) {
      reason = error;
    }
  }
  throw new Error('no port is free', { cause: reason });
}
