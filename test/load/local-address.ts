/** Which of our addresses leads to a server. */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';

const LOOPBACK = '127.0.0.1';
const ANY_PORT = 9;

/** IPv4, of the route to the URL's host; nothing is sent. @throws when the host has no IPv4 address */
export async function localAddressTowards(url: string): Promise<string> {
  const { hostname } = new URL(url);
  if (hostname === '[::1]' || hostname === 'localhost') return LOOPBACK;
  const { address } = await lookup(hostname, { family: 4 }).catch(() => {
    throw new Error(`${hostname} has no IPv4 address; name the local one with --bind`);
  });
  const socket = createSocket('udp4');
  try {
    const connected = once(socket, 'connect');
    socket.connect(ANY_PORT, address);
    await connected;
    return socket.address().address;
  } finally {
    socket.close();
  }
}
