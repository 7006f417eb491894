/** A bad network on loopback: forwards UDP to one target and loses, delays or cuts on the way, the same way every time. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const HOST = '127.0.0.1';
const BUFFER_BYTES = 4 * 1024 * 1024;

export interface Impairment {
  /** 0 to 1. */
  lossRate: number;
  delayMs: number;
  /** Nothing gets through. */
  cut: boolean;
}

export interface Direction extends Impairment {
  readonly forwarded: number;
  readonly dropped: number;
}

interface Counted extends Impairment {
  forwarded: number;
  dropped: number;
}

export class UdpProxy implements AsyncDisposable {
  /** From the clients to the target. May be changed at any time. */
  readonly up: Direction;
  /** From the target to the clients. */
  readonly down: Direction;
  readonly #up: Counted;
  readonly #down: Counted;
  readonly #front: Socket;
  readonly #target: { address: string; port: number };
  /** A socket per client, so that the target can tell them apart. */
  readonly #backs = new Map<string, Socket>();
  readonly #delayed = new Set<NodeJS.Timeout>();
  readonly #random: () => number;

  private constructor(front: Socket, target: { address: string; port: number }, seed: number) {
    this.#front = front;
    this.#target = target;
    this.#random = seededRandom(seed);
    this.#up = { lossRate: 0, delayMs: 0, cut: false, forwarded: 0, dropped: 0 };
    this.#down = { lossRate: 0, delayMs: 0, cut: false, forwarded: 0, dropped: 0 };
    this.up = this.#up;
    this.down = this.#down;
    front.on('message', (datagram, from) => {
      const back = this.#backFor(from.address, from.port);
      this.#pass(this.#up, () => back.send(datagram, target.port, target.address));
    });
  }

  /** @param target `host:port` as the media node announces it */
  static async open(target: string, seed = 1): Promise<UdpProxy> {
    const colon = target.lastIndexOf(':');
    const front = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES });
    front.bind(0, HOST);
    await once(front, 'listening');
    return new UdpProxy(front, { address: target.slice(0, colon), port: Number(target.slice(colon + 1)) }, seed);
  }

  get port(): number {
    return this.#front.address().port;
  }

  impair(change: Partial<Impairment>): void {
    Object.assign(this.#up, change);
    Object.assign(this.#down, change);
  }

  /** As a NAT that forgets all it knows: clients have other ports towards the target from now on. */
  rebind(): void {
    for (const back of this.#backs.values()) back.close();
    this.#backs.clear();
  }

  /** The answer with the proxy as its only candidate: nobody can go around it. */
  rewrite(sdp: string): string {
    let kept = 0;
    const lines = sdp.split('\r\n').flatMap((line) => {
      if (!line.startsWith('a=candidate:')) return [line];
      const fields = line.split(' ');
      if (fields[4] !== this.#target.address || fields[5] !== String(this.#target.port)) return [];
      kept += 1;
      fields[4] = HOST;
      fields[5] = String(this.port);
      return [fields.join(' ')];
    });
    if (kept === 0) throw new Error(`no candidate is ${this.#target.address}:${this.#target.port} in\n${sdp}`);
    return lines.join('\r\n');
  }

  async close(): Promise<void> {
    for (const timer of this.#delayed) clearTimeout(timer);
    const sockets = [this.#front, ...this.#backs.values()];
    await Promise.all(
      sockets.map(async (socket) => {
        socket.close();
        await once(socket, 'close');
      }),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #backFor(address: string, port: number): Socket {
    const key = `${address}:${port}`;
    const known = this.#backs.get(key);
    if (known !== undefined) return known;
    const back = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES });
    back.bind(0, HOST);
    back.on('message', (datagram) => this.#pass(this.#down, () => this.#front.send(datagram, port, address)));
    // A target that is gone answers with ICMP; for a network that is nothing special.
    back.on('error', () => undefined);
    this.#backs.set(key, back);
    return back;
  }

  #pass(direction: Counted, send: () => void): void {
    // Drawn for every datagram, so that the outcome does not depend on when the rate is changed.
    const lost = this.#random() < direction.lossRate;
    if (lost || direction.cut) {
      direction.dropped += 1;
      return;
    }
    direction.forwarded += 1;
    if (direction.delayMs === 0) {
      send();
      return;
    }
    const timer = setTimeout(() => {
      this.#delayed.delete(timer);
      send();
    }, direction.delayMs);
    this.#delayed.add(timer);
  }
}

/** Mulberry32: 0 ≤ x < 1, the same sequence for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
