/** The sockets of an endpoint: one per address, all on one port. */
import {
  type DatagramOwner,
  type DatagramSocket,
  type DatagramSockets,
  SOCKET_BUFFER_BYTES,
} from './datagram-socket.ts';

export interface MediaAddress {
  /** An address of this machine. */
  bind: string;
  /** What clients are told: the same, or the public address of a 1:1 NAT. */
  announce: string;
  family: 4 | 6;
}

/** Tries to find a port that is free on every address. */
const FREE_PORT_ATTEMPTS = 16;

/** Null when the kernel granted what was asked for, or does not say. */
export function bufferAdvice(
  sockets: readonly Pick<DatagramSocket, 'receiveBufferBytes' | 'sendBufferBytes'>[],
): string | null {
  const granted = { receive: SOCKET_BUFFER_BYTES, send: SOCKET_BUFFER_BYTES };
  for (const { receiveBufferBytes, sendBufferBytes } of sockets) {
    if (receiveBufferBytes > 0) granted.receive = Math.min(granted.receive, receiveBufferBytes);
    if (sendBufferBytes > 0) granted.send = Math.min(granted.send, sendBufferBytes);
  }
  if (granted.receive === SOCKET_BUFFER_BYTES && granted.send === SOCKET_BUFFER_BYTES) return null;
  return (
    `the kernel grants UDP sockets ${granted.receive} bytes to receive into and ${granted.send} to send from, ` +
    `${SOCKET_BUFFER_BYTES} are better for many viewers: ` +
    `sysctl -w net.core.rmem_max=${SOCKET_BUFFER_BYTES} net.core.wmem_max=${SOCKET_BUFFER_BYTES}`
  );
}

/** @throws {Error} that names MEDIA_PORT or MEDIA_ADDRESSES, whichever is wrong; nothing stays open then */
export async function bindAll<T extends DatagramOwner>(
  opener: DatagramSockets,
  addresses: readonly MediaAddress[],
  port: number,
): Promise<DatagramSocket<T>[]> {
  for (let attempt = 1; ; attempt++) {
    const sockets: DatagramSocket<T>[] = [];
    let current: MediaAddress | undefined;
    try {
      for (const address of addresses) {
        current = address;
        sockets.push(await opener.bind(address.bind, address.family, sockets[0]?.port ?? port));
      }
      return sockets;
    } catch (error) {
      await Promise.all(sockets.map((socket) => socket.close()));
      const code = (error as NodeJS.ErrnoException).code;
      // The free port of the first address was taken on another one.
      if (port === 0 && code === 'EADDRINUSE' && attempt < FREE_PORT_ATTEMPTS) continue;
      throw bindError(error, current?.bind ?? '', port);
    }
  }
}

function bindError(error: unknown, address: string, port: number): Error {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') {
    return new Error(`UDP port ${port} is in use on ${address}: choose another MEDIA_PORT`, { cause: error });
  }
  if (code === 'EACCES') {
    return new Error(`UDP port ${port} on ${address} is not permitted: choose another MEDIA_PORT`, { cause: error });
  }
  if (code === 'EADDRNOTAVAIL' || code === 'EINVAL') {
    return new Error(`${address} is not an address of this machine: check MEDIA_ADDRESSES`, { cause: error });
  }
  return new Error(`cannot bind UDP port ${port} on ${address} (MEDIA_PORT, MEDIA_ADDRESSES): ${code ?? error}`, {
    cause: error,
  });
}
