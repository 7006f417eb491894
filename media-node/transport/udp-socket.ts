/** Sockets of node:dgram: an event and a buffer per datagram, on every system. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { AddressTable } from './address-table.ts';
import {
  type DatagramOwner,
  type DatagramSocket,
  type DatagramSockets,
  MAX_DATAGRAM_BYTES,
  NO_KEYRING,
  SOCKET_BUFFER_BYTES,
} from './datagram-socket.ts';

export type { DatagramSocket } from './datagram-socket.ts';

/** Linux doubles what it is asked for, for its own needs, and tells the double. */
const KERNEL_FACTOR = process.platform === 'linux' ? 2 : 1;

/**
 * Binds a UDP socket to exactly `address`, so that replies leave from the address that was announced: the kernel would
 * choose another on a socket bound to all, and ICE drops those.
 *
 * @throws the bind error of the kernel (`code`: EADDRINUSE, EADDRNOTAVAIL, …)
 */
export async function bindUdp<T extends DatagramOwner = DatagramOwner>(
  address: string,
  family: 4 | 6,
  port: number,
): Promise<DatagramSocket<T>> {
  const socket = createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    ipv6Only: family === 6,
    recvBufferSize: SOCKET_BUFFER_BYTES,
    sendBufferSize: SOCKET_BUFFER_BYTES,
    // Destinations are IP addresses: the default look-up would defer each packet to the next tick.
    lookup: (hostname, _options, done) => done(null, hostname, family),
  });
  // Awaited from before the call: with this look-up `bind` is done, or has failed, when it returns.
  const listening = once(socket, 'listening');
  socket.bind({ address, port, exclusive: true });
  try {
    await listening;
  } catch (error) {
    socket.close();
    throw error;
  }
  return new UdpSocket<T>(socket);
}

/** They leave media as it comes. */
export const portableSockets: DatagramSockets = {
  bind: bindUdp,
  openKeyring: () => NO_KEYRING,
  closeKeyring: () => {},
  openOne: () => {
    throw new Error('these sockets open no media');
  },
  close: () => {},
};

class UdpSocket<T extends DatagramOwner> implements DatagramSocket<T> {
  readonly port: number;
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  readonly overflowCount = 0;
  onDatagram: DatagramSocket<T>['onDatagram'] = () => {};
  onOpened: DatagramSocket<T>['onOpened'] = () => {};
  errorCount = 0;
  readonly #socket: Socket;
  readonly #owners = new AddressTable<T>();
  /** One for all: without it node swallows what the kernel says, with one per packet it costs an allocation. */
  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.errorCount += 1;
  };
  #closed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    this.receiveBufferBytes = socket.getRecvBufferSize() / KERNEL_FACTOR;
    this.sendBufferBytes = socket.getSendBufferSize() / KERNEL_FACTOR;
    socket.on('message', (datagram, { address, port }) => {
      const taken = datagram.length > MAX_DATAGRAM_BYTES ? datagram.subarray(0, 0) : datagram;
      this.onDatagram(taken, address, port, this.#owners.get(address, port) ?? null, performance.now());
    });
    // ENOBUFS, EPERM, ECONNREFUSED by ICMP, …: one lost datagram, not a lost process.
    socket.on('error', this.#onSent);
  }

  get fd(): number | null {
    return this.#closed ? null : descriptorOf(this.#socket);
  }

  get claimCount(): number {
    return this.#owners.size;
  }

  claim(address: string, port: number, owner: T): void {
    if (this.#owners.get(address, port) !== owner) this.#owners.set(address, port, owner);
  }

  release(address: string, port: number, owner: T): void {
    this.#owners.delete(address, port, owner);
  }

  send(datagram: Buffer, address: string, port: number): void {
    if (this.#closed) return;
    let own = datagram;
    // While datagrams wait for the kernel, libuv queues by reference; a copy keeps the caller's buffer its own. (The very
    // first one that has to wait cannot be known beforehand: reused too early, it fails the peer's authentication.)
    if (this.#socket.getSendQueueCount() > 0) {
      if (this.#socket.getSendQueueSize() > SOCKET_BUFFER_BYTES) {
        this.errorCount += 1;
        return;
      }
      own = Buffer.from(datagram);
    }
    this.#socket.send(own, port, address, this.#onSent);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.onDatagram = () => {};
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }
}

/**
 * The descriptor behind a bound socket of `node:dgram`, which has no public name for it; null where there is none. A
 * test holds this against the Node in use.
 */
export function descriptorOf(socket: Socket): number | null {
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    const state: unknown = Reflect.get(socket, symbol);
    if (symbol.description !== 'state symbol' || typeof state !== 'object' || state === null) continue;
    const handle: unknown = Reflect.get(state, 'handle');
    const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : null;
    return typeof fd === 'number' && fd >= 0 ? fd : null;
  }
  return null;
}
