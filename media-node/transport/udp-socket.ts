/**
 * A UDP socket as the demultiplexer sees it. Small on purpose: an engine that reads and writes many datagrams per system
 * call can take its place.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export interface DatagramSocket {
  /** What it is bound to. */
  readonly port: number;
  /** The kernel's descriptor, for a sender of its own; null when there is none (other systems, closed). */
  readonly fd: number | null;
  /** Called for each datagram; the buffer is only valid during the call. */
  onDatagram: (datagram: Buffer, address: string, port: number) => void;
  /** Sends at once or drops; the buffer may be reused after the call. Never throws. */
  send(datagram: Buffer, address: string, port: number): void;
  /** Errors since the start: refused by the kernel, unreachable peers. */
  readonly errorCount: number;
  close(): Promise<void>;
}

/** What the kernel grants may be less (`net.core.rmem_max`); a keyframe for hundreds of viewers is a burst of megabytes. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * Binds a UDP socket to exactly `address`, so that replies leave from the address that was announced: the kernel would
 * choose another on a socket bound to all, and ICE drops those.
 *
 * @throws the bind error of the kernel (`code`: EADDRINUSE, EADDRNOTAVAIL, …)
 */
export async function bindUdp(address: string, family: 4 | 6, port: number): Promise<DatagramSocket> {
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
  return new UdpSocket(socket);
}

class UdpSocket implements DatagramSocket {
  readonly port: number;
  onDatagram: DatagramSocket['onDatagram'] = () => {};
  errorCount = 0;
  readonly #socket: Socket;
  /** One for all: without it node swallows what the kernel says, with one per packet it costs an allocation. */
  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.errorCount += 1;
  };
  #closed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    socket.on('message', (datagram, { address, port }) => this.onDatagram(datagram, address, port));
    // ENOBUFS, EPERM, ECONNREFUSED by ICMP, …: one lost datagram, not a lost process.
    socket.on('error', this.#onSent);
  }

  get fd(): number | null {
    return this.#closed ? null : descriptorOf(this.#socket);
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
