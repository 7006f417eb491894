/**
 * Who gets what the sockets read (RFC 7983). STUN goes by the user name fragment, everything else by the remote address,
 * which only an authenticated check enters into the table: spoofed datagrams leave no trace but a count.
 */
import { routeBy } from './datagram-route.ts';
import type { DatagramOwner, DatagramSocket } from './datagram-socket.ts';
import type { PeerAddress } from './ice-lite-machine.ts';
import { type BindingRequest, localFragment, parseBindingRequest } from './stun.ts';
import { isBindingSuccess } from './stun-checks.ts';
import type { DatagramRoute } from './types.ts';

/** Whom datagrams are for. */
export interface DatagramMember extends DatagramOwner {
  receiveCheck(request: BindingRequest, from: PeerAddress, nowMs: number): void;
  /** Media goes there, and its peer was heard just now. */
  holds(address: PeerAddress, nowMs: number): boolean;
  /** STUN that may be the answer to a question of the member's. */
  receiveAnswer(datagram: Buffer, from: PeerAddress, nowMs: number): void;
  receiveDtls(datagram: Buffer, from: PeerAddress, nowMs: number): void;
  receiveMedia(datagram: Buffer, nowMs: number): void;
  /** Media that the sockets have opened. */
  receiveOpened(packet: Buffer, length: number, index: number, wireBytes: number, nowMs: number): void;
}

/** Datagrams since the start. */
export interface DatagramCounters {
  received: number;
  /** Neither STUN, DTLS nor SRTP, or a source port nobody can answer. */
  unknownType: number;
  /** Malformed STUN, or not for an open transport, or from where the peer of another one is. */
  unknownCheck: number;
  /** DTLS or SRTP from an address that proved nothing. */
  unknownAddress: number;
  /** Dropped by the kernel because we did not read in time, as far as it says. */
  overflowed: number;
}

export class Demultiplexer<T extends DatagramMember> {
  readonly #sockets: readonly DatagramSocket<T>[];
  readonly #ufrags = new Map<string, T>();
  readonly #counters = { received: 0, unknownType: 0, unknownCheck: 0, unknownAddress: 0 };

  /** @param onFault told what a member throws: it costs one datagram */
  constructor(sockets: readonly DatagramSocket<T>[], onFault: (error: unknown) => void) {
    this.#sockets = sockets;
    sockets.forEach((socket, index) => {
      socket.onDatagram = (datagram, address, port, owner, nowMs) => {
        try {
          this.#receive(datagram, { address, port, socket: index }, owner, nowMs);
        } catch (error) {
          onFault(error);
        }
      };
      socket.onOpened = (owner, packet, length, index, wireBytes, nowMs) => {
        this.#counters.received += 1;
        try {
          owner.receiveOpened(packet, length, index, wireBytes, nowMs);
        } catch (error) {
          onFault(error);
        }
      };
    });
  }

  get counters(): DatagramCounters {
    const overflowed = this.#sockets.reduce((sum, { overflowCount }) => sum + overflowCount, 0);
    return { ...this.#counters, overflowed };
  }

  /** Errors of the sockets since the start. */
  get errorCount(): number {
    return this.#sockets.reduce((sum, { errorCount }) => sum + errorCount, 0);
  }

  /** Entries of the tables. */
  get size(): number {
    return this.#sockets.reduce((sum, { claimCount }) => sum + claimCount, this.#ufrags.size);
  }

  /** The buffer may be reused after the call. */
  send(datagram: Buffer, to: PeerAddress): void {
    this.#sockets[to.socket]?.send(datagram, to.address, to.port);
  }

  /** The same way for a sender of its own; null when the socket has no descriptor. */
  routeTo({ address, port, socket }: PeerAddress): DatagramRoute | null {
    return routeBy(this.#sockets[socket], address, port);
  }

  /** Datagrams from `address` are this member's; say it again when its keyring changes. */
  claim({ address, port, socket }: PeerAddress, owner: T): void {
    this.#sockets[socket]?.claim(address, port, owner);
  }

  release({ address, port, socket }: PeerAddress, owner: T): void {
    this.#sockets[socket]?.release(address, port, owner);
  }

  hasUfrag(ufrag: string): boolean {
    return this.#ufrags.has(ufrag);
  }

  /** Checks for `ufrag` are this member's. */
  openUfrag(ufrag: string, owner: T): void {
    this.#ufrags.set(ufrag, owner);
  }

  closeUfrag(ufrag: string, owner: T): void {
    if (this.#ufrags.get(ufrag) === owner) this.#ufrags.delete(ufrag);
  }

  async close(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }

  #receive(datagram: Buffer, from: PeerAddress, owner: T | null, nowMs: number): void {
    const counters = this.#counters;
    counters.received += 1;
    const first = datagram.length === 0 ? 0xff : (datagram[0] ?? 0xff);
    if (from.port === 0 || first > 191) {
      counters.unknownType += 1;
    } else if (first >= 128) {
      if (owner === null) counters.unknownAddress += 1;
      else owner.receiveMedia(datagram, nowMs);
    } else if (first >= 20 && first <= 63) {
      if (owner === null) counters.unknownAddress += 1;
      else owner.receiveDtls(datagram, from, nowMs);
    } else if (first <= 3) {
      this.#receiveStun(datagram, from, owner, nowMs);
    } else {
      counters.unknownType += 1;
    }
  }

  #receiveStun(datagram: Buffer, from: PeerAddress, owner: T | null, nowMs: number): void {
    if (owner !== null && isBindingSuccess(datagram)) {
      owner.receiveAnswer(datagram, from, nowMs);
      return;
    }
    const request = parseBindingRequest(datagram);
    const ufrag = request === null || request.username === null ? null : localFragment(request.username);
    const asked = ufrag === null ? undefined : this.#ufrags.get(ufrag);
    if (request === null || asked === undefined) {
      this.#counters.unknownCheck += 1;
      return;
    }
    // Who forges the sender of a check must not get what a publisher sends: its stream would be cut off by one datagram.
    if (owner !== null && owner !== asked && owner.holds(from, nowMs)) this.#counters.unknownCheck += 1;
    else asked.receiveCheck(request, from, nowMs);
  }
}
