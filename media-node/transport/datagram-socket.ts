/** A UDP socket as the demultiplexer sees it; the portable one is in `udp-socket.ts`, the native one in `native-socket.ts`. */
import type { InboundKeys } from './types.ts';

/** Who an address can be claimed for. */
export interface DatagramOwner {
  /** The keyring (`DatagramSockets.openKeyring`) that media of this owner is opened with; `NO_KEYRING`: it comes as it is. */
  readonly keyring: number;
}
export const NO_KEYRING = -1;

/** Longer datagrams are dropped: they do not come over a path with an MTU of 1500. */
export const MAX_DATAGRAM_BYTES = 2048;

export interface DatagramSocket<T extends DatagramOwner = DatagramOwner> {
  /** What it is bound to. */
  readonly port: number;
  /** The kernel's descriptor, for a sender of its own; null when there is none (other systems, closed). */
  readonly fd: number | null;
  /** What the kernel granted, which may be less than was asked for; 0 when it cannot be known. */
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** Datagrams that the kernel dropped because we did not read in time; 0 when it does not say. */
  readonly overflowCount: number;
  /**
   * Called for each datagram that was not opened; the buffer is only valid during the call.
   * @param owner whom the sender's address was claimed for
   */
  onDatagram: (datagram: Buffer, address: string, port: number, owner: T | null, nowMs: number) => void;
  /**
   * Called for media that was opened with the owner's keyring: a plaintext packet in the first `length` bytes.
   * @param index extended sequence number of RTP, `INBOUND_RTCP` or `INBOUND_REFUSED`
   * @param wireBytes of the datagram
   */
  onOpened: (owner: T, packet: Buffer, length: number, index: number, wireBytes: number, nowMs: number) => void;
  /** Datagrams from this address are `owner`'s from now on, whoever had it before. Call it again when its keyring changes. */
  claim(address: string, port: number, owner: T): void;
  /** Nothing when somebody else claimed it since. */
  release(address: string, port: number, owner: T): void;
  /** Claimed addresses. */
  readonly claimCount: number;
  /** Sends at once or drops; the buffer may be reused after the call. Never throws. */
  send(datagram: Buffer, address: string, port: number): void;
  /** Errors since the start: refused by the kernel, unreachable peers. */
  readonly errorCount: number;
  close(): Promise<void>;
}

/** One way to open sockets. */
export interface DatagramSockets {
  /**
   * Binds to exactly this address.
   * @throws the bind error of the kernel (`code`: EADDRINUSE, EADDRNOTAVAIL, …)
   */
  bind<T extends DatagramOwner>(address: string, family: 4 | 6, port: number): Promise<DatagramSocket<T>>;
  /** Keys that media is opened with before it is handed over; `NO_KEYRING` when these sockets do not open media. */
  openKeyring(keys: InboundKeys): number;
  /** Once no address is claimed with it any more. */
  closeKeyring(keyring: number): void;
  /** Opens one datagram that came before its keyring; the result is only valid until the next call. */
  openOne(keyring: number, datagram: Buffer): Readonly<{ packet: Buffer; length: number; index: number }>;
  /** Once all sockets are closed. */
  close(): void;
}

/**
 * What is asked of the kernel for each buffer; it may grant less (`net.core.rmem_max`, `net.core.wmem_max`). A keyframe
 * for hundreds of viewers is a burst of megabytes, and so is what comes while a process was not running for a moment.
 */
export const SOCKET_BUFFER_BYTES = 8 * 1024 * 1024;
