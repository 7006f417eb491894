/** A bound UDP port for tests of the way to it: asks by STUN, and answers who asks. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { answers, bareRequest, bareSuccess, isBareRequest, type MappedAddress, mappedAddress } from './stun-message.ts';

/** Datagrams get lost; a repeated question is one question. */
const REPEAT_MS = 300;

export class UdpPort implements AsyncDisposable {
  readonly port: number;
  readonly #socket: Socket;
  readonly #listeners = new Set<(datagram: Buffer, from: RemoteInfo) => void>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    socket.on('error', () => undefined);
    socket.on('message', (datagram, from) => {
      for (const listener of this.#listeners) listener(datagram, from);
      if (isBareRequest(datagram)) socket.send(bareSuccess(datagram), from.port, from.address, () => undefined);
    });
  }

  /** @throws the bind error of the kernel (`code`) */
  static async open(address: string, family: 4 | 6, port: number): Promise<UdpPort> {
    const socket = createSocket({ type: family === 4 ? 'udp4' : 'udp6', ipv6Only: family === 6 });
    const listening = once(socket, 'listening');
    socket.bind({ address, port, exclusive: true });
    try {
      await listening;
    } catch (error) {
      socket.close();
      throw error;
    }
    return new UdpPort(socket);
  }

  /**
   * Sends binding requests to `host:port` until one is answered.
   * @returns the address under which it was heard (null when the answer does not say), or `silence`
   */
  async ask(host: string, port: number, withinMs: number): Promise<{ seenAs: MappedAddress | null } | 'silence'> {
    const request = bareRequest();
    const { promise, resolve } = Promise.withResolvers<{ seenAs: MappedAddress | null } | 'silence'>();
    const listener = (datagram: Buffer): void => {
      if (answers(datagram, request)) resolve({ seenAs: mappedAddress(datagram) });
    };
    this.#listeners.add(listener);
    const send = (): void => this.#socket.send(request, port, host, () => undefined);
    send();
    const repeat = setInterval(send, REPEAT_MS);
    const late = setTimeout(() => resolve('silence'), withinMs);
    try {
      return await promise;
    } finally {
      clearInterval(repeat);
      clearTimeout(late);
      this.#listeners.delete(listener);
    }
  }

  /** Calls `onDatagram` for each; returns what stops it. */
  listen(onDatagram: (from: RemoteInfo) => void): () => void {
    const listener = (_datagram: Buffer, from: RemoteInfo): void => onDatagram(from);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }
}
