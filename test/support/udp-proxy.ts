/** A bad network on loopback: forwards UDP to one target and loses, delays or cuts on the way, the same way every time. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const HOST = '127.0.0.1';
const BUFFER_BYTES = 4 * 1024 * 1024;
const BITS_PER_BYTE = 8;

export interface Impairment {
  /** 0 to 1. */
  lossRate: number;
  delayMs: number;
  /** Nothing gets through. */
  cut: boolean;
  /** A narrow line: bits per second; Infinity: as fast as it comes. Of what its queue does not hold the newest is lost. */
  rateBps: number;
  /** How long its queue makes a datagram wait at most. */
  queueMs: number;
}

export interface Direction extends Impairment {
  readonly forwarded: number;
  readonly dropped: number;
}

interface Counted extends Impairment {
  forwarded: number;
  dropped: number;
  /** When the last datagram in the queue of a narrow line has left. */
  freeMs: number;
  readonly waiting: WaitingLine;
}

const PERFECT: Omit<Counted, 'waiting'> = {
  lossRate: 0,
  delayMs: 0,
  cut: false,
  rateBps: Number.POSITIVE_INFINITY,
  queueMs: 0,
  forwarded: 0,
  dropped: 0,
  freeMs: 0,
};

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
  readonly #random: () => number;

  private constructor(front: Socket, target: { address: string; port: number }, seed: number) {
    this.#front = front;
    this.#target = target;
    this.#random = seededRandom(seed);
    this.#up = { ...PERFECT, waiting: new WaitingLine() };
    this.#down = { ...PERFECT, waiting: new WaitingLine() };
    this.up = this.#up;
    this.down = this.#down;
    front.on('message', (datagram, from) => {
      const back = this.#backFor(from.address, from.port);
      this.#pass(this.#up, datagram.length, () => back.send(datagram, target.port, target.address));
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
    for (const { waiting } of [this.#up, this.#down]) waiting.clear();
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
    back.on('message', (datagram) =>
      this.#pass(this.#down, datagram.length, () => this.#front.send(datagram, port, address)),
    );
    // A target that is gone answers with ICMP; for a network that is nothing special.
    back.on('error', () => undefined);
    this.#backs.set(key, back);
    return back;
  }

  #pass(direction: Counted, bytes: number, send: () => void): void {
    // Drawn for every datagram, so that the outcome does not depend on when the rate is changed.
    const lost = this.#random() < direction.lossRate;
    const queuedMs = lost || direction.cut ? null : queue(direction, bytes);
    if (queuedMs === null) {
      direction.dropped += 1;
      return;
    }
    direction.forwarded += 1;
    const delayMs = queuedMs + direction.delayMs;
    if (delayMs === 0 && direction.waiting.isEmpty) send();
    else direction.waiting.add(delayMs, send);
  }
}

/** What is on its way: leaves in the order in which it came. */
class WaitingLine {
  readonly #entries: { dueMs: number; send: () => void }[] = [];
  #timer: NodeJS.Timeout | null = null;

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  add(delayMs: number, send: () => void): void {
    this.#entries.push({ dueMs: performance.now() + delayMs, send });
    this.#timer ??= setTimeout(() => this.#release(), delayMs);
  }

  #release(): void {
    const nowMs = performance.now();
    while ((this.#entries[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs) this.#entries.shift()?.send();
    const [next] = this.#entries;
    this.#timer = next === undefined ? null : setTimeout(() => this.#release(), Math.max(1, next.dueMs - nowMs));
  }

  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#entries.length = 0;
  }
}

/** How long until the line has taken in these bytes; null: there is no room in its queue. */
function queue(line: Counted, bytes: number): number | null {
  if (line.rateBps === Number.POSITIVE_INFINITY) return 0;
  const nowMs = performance.now();
  const beginMs = Math.max(nowMs, line.freeMs);
  if (beginMs - nowMs > line.queueMs) return null;
  line.freeMs = beginMs + (bytes * BITS_PER_BYTE * 1000) / line.rateBps;
  return line.freeMs - nowMs;
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
