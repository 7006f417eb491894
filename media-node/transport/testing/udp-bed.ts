/** Sockets on loopback for tests: one that engines send from, and receivers that keep what comes. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { DatagramRoute } from '../types.ts';
import { descriptorOf } from '../udp-socket.ts';

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
const DEADLINE_MS = 20_000;

async function bound(family: 4 | 6): Promise<Socket> {
  const socket = createSocket({ type: family === 4 ? 'udp4' : 'udp6', recvBufferSize: RECEIVE_BUFFER_BYTES });
  socket.bind(0, family === 4 ? '127.0.0.1' : '::1');
  await once(socket, 'listening');
  return socket;
}

export class Receiver {
  readonly datagrams: Buffer[] = [];
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('message', (datagram) => void this.datagrams.push(datagram));
  }

  /** Waits until that many datagrams are there. */
  async got(count: number): Promise<readonly Buffer[]> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    while (this.datagrams.length < count) await once(this.socket, 'message', { signal });
    return this.datagrams;
  }
}

export class UdpBed implements AsyncDisposable {
  readonly out: Socket;
  readonly family: 4 | 6;
  readonly #sockets: Socket[];

  private constructor(out: Socket, family: 4 | 6) {
    this.out = out;
    this.family = family;
    this.#sockets = [out];
  }

  static async open(family: 4 | 6 = 4): Promise<UdpBed> {
    return new UdpBed(await bound(family), family);
  }

  async receiver(): Promise<Receiver> {
    const socket = await bound(this.family);
    this.#sockets.push(socket);
    return new Receiver(socket);
  }

  route(receiver: Receiver): DatagramRoute {
    const fd = descriptorOf(this.out);
    if (fd === null) throw new Error('the socket has no descriptor');
    const address = this.family === 4 ? Buffer.from([127, 0, 0, 1]) : Buffer.concat([Buffer.alloc(15), Buffer.of(1)]);
    return { fd, address, zone: '', port: receiver.socket.address().port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#sockets.map((socket) => {
        const closed = once(socket, 'close');
        socket.close();
        return closed;
      }),
    );
  }
}
