/** The way of RTP from the forwarder into another program on this machine: plain datagrams to its UDP ports. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { isRtcp } from '../forward/rtcp-mux.ts';

const LOOPBACK = '127.0.0.1';
const PAIR_ATTEMPTS = 50;
/** An empty receiver report: means nothing to whoever gets it. */
const KNOCK = Buffer.from([0x80, 201, 0, 1, 0, 0, 0, 0]);
const KNOCK_INTERVAL_MS = 20;
const SEND_BUFFER_BYTES = 1024 * 1024;

/**
 * An even port and the next one, both free now. They are not kept: somebody else may take them before the program does,
 * which then fails and is started again with others.
 */
export async function freePortPair(): Promise<number> {
  for (let attempt = 0; attempt < PAIR_ATTEMPTS; attempt++) {
    const first = await bind(0);
    const { port } = first.address();
    const even = port % 2 === 0;
    const second = await bind(even ? port + 1 : port - 1).catch(() => null);
    first.close();
    second?.close();
    if (second !== null) return even ? port : port - 1;
  }
  throw new Error('no two neighbouring UDP ports are free');
}

async function bind(port: number): Promise<Socket> {
  const socket = createSocket('udp4');
  const listening = once(socket, 'listening');
  socket.bind(port, LOOPBACK);
  try {
    await listening;
  } catch (error) {
    socket.close();
    throw error;
  }
  return socket;
}

/** Resolves when somebody listens on the port: until then the kernel answers our knocking with a refusal. */
export async function untilBound(port: number, signal: AbortSignal): Promise<void> {
  const socket = createSocket('udp4');
  let refused = false;
  socket.on('error', () => {
    refused = true;
  });
  try {
    socket.connect(port, LOOPBACK);
    await once(socket, 'connect', { signal });
    do {
      refused = false;
      socket.send(KNOCK, () => {});
      await delay(KNOCK_INTERVAL_MS, undefined, { signal });
    } while (refused);
  } finally {
    socket.close();
  }
}

export class LoopbackFeed {
  readonly #socket: Socket;
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // Nobody listens any more: said by the end of the program.
    socket.on('error', () => {});
  }

  static async open(): Promise<LoopbackFeed> {
    const socket = await bind(0);
    socket.setSendBufferSize(SEND_BUFFER_BYTES);
    return new LoopbackFeed(socket);
  }

  /** Sends RTP to `port` and RTCP to the next one. The datagram may be reused after the call. */
  send(datagram: Buffer, port: number): void {
    if (this.#closed) return;
    this.#socket.send(Buffer.from(datagram), isRtcp(datagram) ? port + 1 : port, LOOPBACK, () => {});
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
