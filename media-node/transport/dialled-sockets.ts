/** The UDP ports of one transport that dials: one for each address family that the peer has and this machine has, too. */
import { routeBy } from './datagram-route.ts';
import type { DatagramOwner, DatagramSocket, DatagramSockets } from './datagram-socket.ts';
import type { DialledAddress } from './ice-controlling-machine.ts';
import type { DatagramRoute } from './types.ts';

/** All addresses of a family: the kernel chooses the source by the route, and the peer learns it from our checks. */
const ANY_ADDRESS = { 4: '0.0.0.0', 6: '::' } as const;

export interface DialledSocketEvents<T> {
  /** `owner` is null for a sender whose address was not claimed. */
  onDatagram(datagram: Buffer, from: DialledAddress, owner: T | null, nowMs: number): void;
  onOpened(packet: Buffer, length: number, index: number, wireBytes: number, nowMs: number): void;
  onFault(error: unknown): void;
}

export class DialledSockets<T extends DatagramOwner> {
  readonly #opener: DatagramSockets;
  readonly #events: DialledSocketEvents<T>;
  readonly #byFamily = new Map<4 | 6, DatagramSocket<T>>();
  #closed = false;

  constructor(opener: DatagramSockets, events: DialledSocketEvents<T>) {
    this.#opener = opener;
    this.#events = events;
  }

  /** Opens what is needed; nothing for a family that this machine does not have, or when there is no descriptor to spare. */
  async open(families: ReadonlySet<4 | 6>): Promise<void> {
    for (const family of families) {
      const socket = await this.#bind(family);
      if (socket === null) continue;
      if (this.#closed) await socket.close();
      else this.#listen(family, socket);
    }
  }

  has(family: 4 | 6): boolean {
    return this.#byFamily.has(family);
  }

  send(datagram: Buffer, to: DialledAddress): void {
    this.#byFamily.get(to.family)?.send(datagram, to.address, to.port);
  }

  routeTo({ family, address, port }: DialledAddress): DatagramRoute | null {
    return routeBy(this.#byFamily.get(family), address, port);
  }

  /** Datagrams from there are `owner`'s; say it again when its keyring changes. */
  claim({ family, address, port }: DialledAddress, owner: T): void {
    this.#byFamily.get(family)?.claim(address, port, owner);
  }

  release({ family, address, port }: DialledAddress, owner: T): void {
    this.#byFamily.get(family)?.release(address, port, owner);
  }

  /** Release all addresses before. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#byFamily.values()) socket.close().catch((error: unknown) => this.#events.onFault(error));
    this.#byFamily.clear();
  }

  async #bind(family: 4 | 6): Promise<DatagramSocket<T> | null> {
    try {
      return await this.#opener.bind<T>(ANY_ADDRESS[family], family, 0);
    } catch {
      return null;
    }
  }

  #listen(family: 4 | 6, socket: DatagramSocket<T>): void {
    const { onDatagram, onOpened, onFault } = this.#events;
    socket.onDatagram = (datagram, address, port, owner, nowMs) => {
      try {
        onDatagram(datagram, { address, port, family }, owner, nowMs);
      } catch (error) {
        onFault(error);
      }
    };
    socket.onOpened = (_owner, packet, length, index, wireBytes, nowMs) => {
      try {
        onOpened(packet, length, index, wireBytes, nowMs);
      } catch (error) {
        onFault(error);
      }
    };
    this.#byFamily.set(family, socket);
  }
}
