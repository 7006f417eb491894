/**
 * All transports of a process: one UDP socket per announced address, all on one port, demultiplexed (RFC 7983). STUN
 * goes by the user name fragment, everything else by the remote address, which only an authenticated check enters into
 * the table: spoofed datagrams leave no trace but a count.
 */

import { DeadlineWheel, TURN_MS } from '../deadline-wheel.ts';
import type { Fingerprint, LocalCandidate } from '../negotiate/plan.ts';
import { bindAll, bufferAdvice, type MediaAddress } from './bind-addresses.ts';
import { type CertificatePem, createCertificate, type DtlsCertificate, readCertificate } from './certificate.ts';
import type { DatagramSocket, DatagramSockets } from './datagram-socket.ts';
import { DiallingTransport } from './dialling-transport.ts';
import { HandshakeQueue } from './handshake-queue.ts';
import type { PeerAddress } from './ice-lite-machine.ts';
import { ipBytes } from './ip-bytes.ts';
import { IceDtlsTransport, type TransportHost } from './peer-transport.ts';
import { localFragment, parseBindingRequest } from './stun.ts';
import type {
  DatagramRoute,
  DialOptions,
  InboundKeys,
  MediaEndpoint,
  PeerTransport,
  PeerTransportOptions,
} from './types.ts';
import { portableSockets } from './udp-socket.ts';

export type { MediaAddress } from './bind-addresses.ts';
export { mintIceCredentials } from './ice-credentials.ts';
export type * from './types.ts';

export interface MediaEndpointOptions {
  addresses: readonly MediaAddress[];
  /** The same for every address; 0 picks a free one. */
  port: number;
  /** A fresh one when absent. */
  certificate?: CertificatePem;
  /** How sockets are opened; those of node:dgram when absent. The endpoint closes them. */
  sockets?: DatagramSockets;
  /** Told in one line, once, when the kernel grants less than was asked for. */
  log?(message: string): void;
  /** Something threw that should not: it cost one datagram or one turn of one transport, and nothing else. Thrown on when absent. */
  onFault?(error: unknown): void;
}

/** Datagrams since the start. */
export interface EndpointCounters {
  received: number;
  /** Neither STUN, DTLS nor SRTP, or a source port nobody can answer. */
  unknownType: number;
  /** Malformed STUN, or not a request of an open transport. */
  unknownCheck: number;
  /** DTLS or SRTP from an address that proved nothing. */
  unknownAddress: number;
  /** Dropped by the kernel because we did not read in time, as far as it says. */
  overflowed: number;
  /** Of handshakes, dropped because too many were waiting. */
  deferredDropped: number;
}

/** What `openMediaEndpoint` gives: the seam, and what tests and statistics want to see. */
export interface UdpMediaEndpoint extends MediaEndpoint {
  readonly counters: Readonly<EndpointCounters>;
  /** Errors of the sockets since the start. */
  readonly socketErrors: number;
  /** Entries of the demultiplexer's tables; 0 without transports. */
  readonly tableSize: number;
  /** Drives everything that time drives. The endpoint calls it itself while it has transports. */
  tick(nowMs: number): void;
}

/**
 * Opens the sockets, each bound to exactly its address.
 *
 * @throws {Error} that names MEDIA_PORT when the port is in use, MEDIA_ADDRESSES when an address is not this machine's
 */
export async function openMediaEndpoint(options: MediaEndpointOptions): Promise<UdpMediaEndpoint> {
  if (options.addresses.length === 0) throw new Error('MEDIA_ADDRESSES names no address');
  // Clients take the first candidate for the default, and some know no other than a UDP IPv4 one (protocol.md #106).
  const addresses = options.addresses.toSorted((a, b) => a.family - b.family);
  const certificate = readCertificate(options.certificate ?? (await createCertificate()));
  const opener = options.sockets ?? portableSockets;
  const sockets = await bindAll<IceDtlsTransport>(opener, addresses, options.port);
  const advice = bufferAdvice(sockets);
  if (advice !== null) options.log?.(advice);
  return new UdpEndpoint(addresses, opener, sockets, certificate, options.onFault ?? rethrow);
}

function rethrow(error: unknown): never {
  throw error;
}

class UdpEndpoint implements UdpMediaEndpoint, TransportHost {
  readonly candidates: readonly LocalCandidate[];
  readonly certificate: DtlsCertificate;
  readonly #counters = { received: 0, unknownType: 0, unknownCheck: 0, unknownAddress: 0 };
  readonly #opener: DatagramSockets;
  readonly #sockets: readonly DatagramSocket<IceDtlsTransport>[];
  readonly #handshakes: HandshakeQueue;
  readonly #deadlines = new DeadlineWheel<IceDtlsTransport>(performance.now());
  /** They do something in each turn. */
  readonly #dialled = new Set<DiallingTransport>();
  readonly #ufrags = new Map<string, IceDtlsTransport>();
  readonly #transports = new Set<IceDtlsTransport | DiallingTransport>();
  readonly #onFault: (error: unknown) => void;
  #timer: NodeJS.Timeout | null = null;
  #closing: Promise<void> | null = null;

  constructor(
    addresses: readonly MediaAddress[],
    opener: DatagramSockets,
    sockets: readonly DatagramSocket<IceDtlsTransport>[],
    certificate: DtlsCertificate,
    onFault: (error: unknown) => void,
  ) {
    this.certificate = certificate;
    this.#onFault = onFault;
    this.#handshakes = new HandshakeQueue(onFault);
    this.#opener = opener;
    this.#sockets = sockets;
    this.candidates = addresses.map(({ announce, family }, index) => {
      return { address: announce, port: sockets[index]?.port ?? 0, family };
    });
    sockets.forEach((socket, index) => {
      socket.onDatagram = (datagram, address, port, owner, nowMs) => {
        try {
          this.#receive(datagram, { address, port, socket: index }, owner, nowMs);
        } catch (error) {
          this.#onFault(error);
        }
      };
      socket.onOpened = (owner, packet, length, sequence, wireBytes, nowMs) => {
        this.#counters.received += 1;
        try {
          owner.receiveOpened(packet, length, sequence, wireBytes, nowMs);
        } catch (error) {
          this.#onFault(error);
        }
      };
    });
  }

  get counters(): EndpointCounters {
    const overflowed = this.#sockets.reduce((sum, { overflowCount }) => sum + overflowCount, 0);
    return { ...this.#counters, overflowed, deferredDropped: this.#handshakes.dropped };
  }

  get fingerprint(): Fingerprint {
    return this.certificate.fingerprint;
  }

  get transportCount(): number {
    return this.#transports.size;
  }

  get socketErrors(): number {
    return this.#sockets.reduce((sum, { errorCount }) => sum + errorCount, 0);
  }

  get tableSize(): number {
    return this.#sockets.reduce((sum, { claimCount }) => sum + claimCount, this.#ufrags.size);
  }

  /** @throws {Error} when the endpoint is closed or the user name fragment is in use */
  createTransport(options: PeerTransportOptions): PeerTransport {
    if (this.#closing !== null) throw new Error('the media endpoint is closed');
    if (this.#ufrags.has(options.local.ufrag)) throw new Error('the ICE user name fragment is in use');
    const transport = new IceDtlsTransport(this, options, performance.now());
    this.#deadlines.schedule(transport, transport.nextTickMs);
    return this.#add(transport);
  }

  /** @throws {Error} when the endpoint is closed */
  dialTransport(options: DialOptions): PeerTransport {
    if (this.#closing !== null) throw new Error('the media endpoint is closed');
    const { certificate } = this;
    const host = {
      certificate,
      removed: (owner: DiallingTransport) => this.removed(owner),
      onFault: (error: unknown) => this.#onFault(error),
    };
    const transport = new DiallingTransport(host, options, performance.now());
    this.#dialled.add(transport);
    return this.#add(transport);
  }

  #add<T extends IceDtlsTransport | DiallingTransport>(transport: T): T {
    this.#transports.add(transport);
    this.#timer ??= setInterval(() => this.tick(performance.now()), TURN_MS);
    return transport;
  }

  tick(nowMs: number): void {
    for (const transport of this.#dialled) this.#turn(transport, nowMs);
    this.#deadlines.advance(nowMs, (transport) => {
      this.#turn(transport, nowMs);
      this.#deadlines.schedule(transport, transport.nextTickMs);
    });
  }

  #turn(transport: IceDtlsTransport | DiallingTransport, nowMs: number): void {
    try {
      transport.tick(nowMs);
    } catch (error) {
      this.#onFault(error);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const transport of [...this.#transports]) transport.close();
    await Promise.all(this.#sockets.map((socket) => socket.close()));
    this.#opener.close();
  }

  #receive(datagram: Buffer, from: PeerAddress, owner: IceDtlsTransport | null, nowMs: number): void {
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
      this.#receiveStun(datagram, from, nowMs);
    } else {
      counters.unknownType += 1;
    }
  }

  #receiveStun(datagram: Buffer, from: PeerAddress, nowMs: number): void {
    const request = parseBindingRequest(datagram);
    const ufrag = request === null || request.username === null ? null : localFragment(request.username);
    const owner = ufrag === null ? undefined : this.#ufrags.get(ufrag);
    if (request === null || owner === undefined) this.#counters.unknownCheck += 1;
    else owner.receiveCheck(request, from, nowMs);
  }

  // ---- TransportHost ----

  send(datagram: Buffer, to: PeerAddress): void {
    this.#sockets[to.socket]?.send(datagram, to.address, to.port);
  }

  routeTo({ address, port, socket }: PeerAddress): DatagramRoute | null {
    const fd = this.#sockets[socket]?.fd ?? null;
    if (fd === null) return null;
    return { fd, address: ipBytes(address), zone: address.split('%', 2)[1] ?? '', port };
  }

  claim({ address, port, socket }: PeerAddress, owner: IceDtlsTransport): void {
    this.#sockets[socket]?.claim(address, port, owner);
  }

  release({ address, port, socket }: PeerAddress, owner: IceDtlsTransport): void {
    this.#sockets[socket]?.release(address, port, owner);
  }

  openKeyring(keys: InboundKeys): number {
    return this.#opener.openKeyring(keys);
  }

  closeKeyring(keyring: number): void {
    this.#opener.closeKeyring(keyring);
  }

  openOne(keyring: number, datagram: Buffer): ReturnType<DatagramSockets['openOne']> {
    return this.#opener.openOne(keyring, datagram);
  }

  defer(owner: IceDtlsTransport, datagram: Buffer, from: PeerAddress | null): void {
    this.#handshakes.push(owner, datagram, from);
  }

  hasDeferred(owner: IceDtlsTransport): boolean {
    return this.#handshakes.has(owner);
  }

  schedule(owner: IceDtlsTransport, atMs: number): void {
    this.#deadlines.schedule(owner, atMs);
  }

  openUfrag(ufrag: string, owner: IceDtlsTransport): void {
    this.#ufrags.set(ufrag, owner);
  }

  closeUfrag(ufrag: string, owner: IceDtlsTransport): void {
    if (this.#ufrags.get(ufrag) === owner) this.#ufrags.delete(ufrag);
  }

  removed(owner: IceDtlsTransport | DiallingTransport): void {
    this.#transports.delete(owner);
    if (owner instanceof IceDtlsTransport) {
      this.#handshakes.remove(owner);
      this.#deadlines.remove(owner);
    } else {
      this.#dialled.delete(owner);
    }
    if (this.#transports.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
