/** Bare loops in C++ that send the datagrams of a fan-out and do nothing else: the floor under every engine. */
import { loadNative } from '../support/native/build.ts';
import { openNativeReceiver } from '../support/native/native-receiver.ts';

const LOOPBACK = '127.0.0.1';
const US_PER_S = 1e6;
/** In the addon's order. */
export const WAYS = ['sendto', 'sendmmsg', 'sendmmsg + UDP_SEGMENT'] as const;
export type Way = (typeof WAYS)[number];

/** What each viewer gets: `burst` datagrams of `bytes`, `perSecond` times a second. */
export interface Bursts {
  readonly burst: number;
  readonly bytes: number;
  readonly perSecond: number;
}

/** A frame of the common source and a little more. */
export const FRAMES: Bursts = { burst: 10, bytes: 1_200, perSecond: 30 };
/** Each a message of its own between the frames. */
export const SOUND: Bursts = { burst: 1, bytes: 160, perSecond: 50 };

/** CPU of the sender for one datagram. */
export interface Cost {
  readonly totalUs: number;
  readonly userUs: number;
}

interface FloorAddon {
  run(
    way: number,
    gcm: number,
    ports: Uint16Array,
    burst: number,
    bytes: number,
    burstsPerSecond: number,
    seconds: number,
    out: Float64Array,
  ): void;
}

type Receiver = Awaited<ReturnType<typeof openNativeReceiver>>;
type Socket = ReturnType<Receiver['open']>;

/** A bare sender on this thread, and sockets that are read by another. */
export class Floor implements AsyncDisposable {
  /** Where the datagrams go, on loopback. */
  readonly ports: Uint16Array;
  readonly #addon: FloorAddon;
  readonly #sockets: readonly Socket[];

  private constructor(addon: FloorAddon, sockets: readonly Socket[]) {
    this.#addon = addon;
    this.#sockets = sockets;
    this.ports = Uint16Array.from(sockets, ({ port }) => port);
  }

  /** @throws {Error} without a C++ compiler */
  static async open(viewers: number): Promise<Floor> {
    const addon = (await loadNative('floor.cc')) as FloorAddon;
    const receiver = await openNativeReceiver();
    const sockets = Array.from({ length: viewers }, () => receiver.open(LOOPBACK, false, () => {}));
    for (const socket of sockets) socket.countOnly();
    return new Floor(addon, sockets);
  }

  /** Nothing else runs on this thread meanwhile. */
  measure(way: Way, gcm: boolean, { burst, bytes, perSecond }: Bursts, seconds: number): Cost & { refused: number } {
    const out = new Float64Array(4);
    this.#addon.run(WAYS.indexOf(way), gcm ? 1 : 0, this.ports, burst, bytes, perSecond, seconds, out);
    const [sent = 0, refused = 0, cpuS = 0, userS = 0] = out;
    return { totalUs: (cpuS * US_PER_S) / sent, userUs: (userS * US_PER_S) / sent, refused };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) await socket.close();
  }
}
