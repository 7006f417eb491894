/** A client's UDP socket on loopback, with a bad network in front of it when a test wants one. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Impairment, Impairments } from './impairment.ts';

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** What a client's transport needs of its socket. */
export interface ClientDatagrams {
  /** May be exchanged at any time. */
  impair: Impairments;
  /** 0 once it is closed. */
  readonly port: number;
  connectTo(address: string, port: number): void;
  /** Never throws; the buffer may be reused after the call. */
  send(datagram: Buffer): void;
  rebind(): Promise<void>;
  close(): Promise<void>;
}

/** @param atMs arrival, as `performance.now()` counts */
export type OnDatagram = (datagram: Buffer, atMs: number) => void;

export class ClientSocket implements ClientDatagrams {
  /** May be exchanged at any time. */
  impair: Impairments;
  readonly #address: string;
  readonly #onDatagram: OnDatagram;
  readonly #delayed = new Set<NodeJS.Timeout>();
  #socket: Socket;
  #remote: { address: string; port: number } | null = null;
  #closed = false;

  constructor(socket: Socket, address: string, impair: Impairments, onDatagram: OnDatagram) {
    this.#socket = socket;
    this.#address = address;
    this.impair = impair;
    this.#onDatagram = onDatagram;
    this.#listen();
  }

  /** @param onDatagram the buffer is the callee's to keep */
  static async open(address: string, impair: Impairments, onDatagram: OnDatagram): Promise<ClientSocket> {
    return new ClientSocket(await bind(address), address, impair, onDatagram);
  }

  get port(): number {
    return this.#closed ? 0 : this.#socket.address().port;
  }

  connectTo(address: string, port: number): void {
    this.#remote = { address, port };
  }

  send(datagram: Buffer): void {
    this.#pass(datagram, this.impair.outgoing, (copy) => this.#sendNow(copy));
  }

  /** Goes on from another port, as behind a NAT that forgot the old one. */
  async rebind(): Promise<void> {
    const old = this.#socket;
    this.#socket = await bind(this.#address);
    this.#listen();
    old.removeAllListeners('message');
    old.close();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#delayed) clearTimeout(timer);
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }

  #listen(): void {
    this.#socket.on('message', (datagram) => {
      if (this.impair.incoming === undefined) this.#onDatagram(datagram, performance.now());
      else this.#pass(datagram, this.impair.incoming, (copy) => this.#onDatagram(copy, performance.now()));
    });
    // A node that was killed answers with ICMP: nothing to do here, its silence tells.
    this.#socket.on('error', () => {});
  }

  #sendNow(datagram: Buffer): void {
    if (this.#remote === null || this.#closed) return;
    this.#socket.send(datagram, this.#remote.port, this.#remote.address, ignoreError);
  }

  #pass(datagram: Buffer, impairment: Impairment | undefined, deliver: (datagram: Buffer) => void): void {
    const fate = impairment === undefined ? 0 : impairment(datagram);
    if (fate === 'drop') return;
    if (fate <= 0) {
      // The kernel takes it at once, unless its queue is full; senders reuse their buffers.
      deliver(this.#socket.getSendQueueCount() > 0 ? Buffer.from(datagram) : datagram);
      return;
    }
    const copy = Buffer.from(datagram);
    const timer = setTimeout(() => {
      this.#delayed.delete(timer);
      if (!this.#closed) deliver(copy);
    }, fate);
    this.#delayed.add(timer);
  }
}

function ignoreError(): void {}

async function bind(address: string): Promise<Socket> {
  const socket = createSocket({
    type: address.includes(':') ? 'udp6' : 'udp4',
    recvBufferSize: RECEIVE_BUFFER_BYTES,
    // Only IP addresses are used: node's look-up would defer each datagram by a tick.
    lookup: (hostname, _options, done) => done(null, hostname, hostname.includes(':') ? 6 : 4),
  });
  // Awaited from before the call: with this look-up `bind` is done when it returns.
  const listening = once(socket, 'listening');
  socket.bind({ address, port: 0 });
  await listening;
  return socket;
}
