/**
 * All transports of a process: one UDP socket per announced address, all on one port, demultiplexed (RFC 7983). STUN
 * goes by the user name fragment, everything else by the remote address, which only an authenticated check enters into
 * the table: spoofed datagrams leave no trace but a count.
 */
import type { Fingerprint, LocalCandidate } from '../negotiate/plan.ts';
import { AddressTable } from './address-table.ts';
import { type CertificatePem, createCertificate, type DtlsCertificate, readCertificate } from './certificate.ts';
import { DiallingTransport } from './dialling-transport.ts';
import type { PeerAddress } from './ice-lite-machine.ts';
import { ipBytes } from './ip-bytes.ts';
import { IceDtlsTransport, type TransportHost } from './peer-transport.ts';
import { localFragment, parseBindingRequest } from './stun.ts';
import type { DatagramRoute, DialOptions, MediaEndpoint, PeerTransport, PeerTransportOptions } from './types.ts';
import { bindUdp, type DatagramSocket } from './udp-socket.ts';

export { mintIceCredentials } from './ice-credentials.ts';
export type * from './types.ts';

export interface MediaAddress {
  /** An address of this machine. */
  bind: string;
  /** What clients are told: the same, or the public address of a 1:1 NAT. */
  announce: string;
  family: 4 | 6;
}

export interface MediaEndpointOptions {
  addresses: readonly MediaAddress[];
  /** The same for every address; 0 picks a free one. */
  port: number;
  /** A fresh one when absent. */
  certificate?: CertificatePem;
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

/** One timer for all transports; it bounds how late a handshake is repeated or a silence noticed. */
const TICK_MS = 50;
/** Tries to find a port that is free on every address. */
const FREE_PORT_ATTEMPTS = 16;

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
  const sockets = await bindAll(addresses, options.port);
  return new UdpEndpoint(addresses, sockets, certificate, options.onFault ?? rethrow);
}

async function bindAll(addresses: readonly MediaAddress[], port: number): Promise<DatagramSocket[]> {
  for (let attempt = 1; ; attempt++) {
    const sockets: DatagramSocket[] = [];
    let current: MediaAddress | undefined;
    try {
      for (const address of addresses) {
        current = address;
        sockets.push(await bindUdp(address.bind, address.family, sockets[0]?.port ?? port));
      }
      return sockets;
    } catch (error) {
      await Promise.all(sockets.map((socket) => socket.close()));
      const code = (error as NodeJS.ErrnoException).code;
      // The free port of the first address was taken on another one.
      if (port === 0 && code === 'EADDRINUSE' && attempt < FREE_PORT_ATTEMPTS) continue;
      throw bindError(error, current?.bind ?? '', port);
    }
  }
}

function rethrow(error: unknown): never {
  throw error;
}

function bindError(error: unknown, address: string, port: number): Error {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') {
    return new Error(`UDP port ${port} is in use on ${address}: choose another MEDIA_PORT`, { cause: error });
  }
  if (code === 'EACCES') {
    return new Error(`UDP port ${port} on ${address} is not permitted: choose another MEDIA_PORT`, { cause: error });
  }
  if (code === 'EADDRNOTAVAIL' || code === 'EINVAL') {
    return new Error(`${address} is not an address of this machine: check MEDIA_ADDRESSES`, { cause: error });
  }
  return new Error(`cannot bind UDP port ${port} on ${address} (MEDIA_PORT, MEDIA_ADDRESSES): ${code ?? error}`, {
    cause: error,
  });
}

class UdpEndpoint implements UdpMediaEndpoint, TransportHost {
  readonly candidates: readonly LocalCandidate[];
  readonly certificate: DtlsCertificate;
  readonly counters: EndpointCounters = { received: 0, unknownType: 0, unknownCheck: 0, unknownAddress: 0 };
  readonly #sockets: readonly DatagramSocket[];
  /** By socket. */
  readonly #owners: readonly AddressTable<IceDtlsTransport>[];
  readonly #ufrags = new Map<string, IceDtlsTransport>();
  readonly #transports = new Set<IceDtlsTransport | DiallingTransport>();
  readonly #onFault: (error: unknown) => void;
  #timer: NodeJS.Timeout | null = null;
  #closing: Promise<void> | null = null;

  constructor(
    addresses: readonly MediaAddress[],
    sockets: readonly DatagramSocket[],
    certificate: DtlsCertificate,
    onFault: (error: unknown) => void,
  ) {
    this.certificate = certificate;
    this.#onFault = onFault;
    this.#sockets = sockets;
    this.#owners = sockets.map(() => new AddressTable<IceDtlsTransport>());
    this.candidates = addresses.map(({ announce, family }, index) => {
      return { address: announce, port: sockets[index]?.port ?? 0, family };
    });
    sockets.forEach((socket, index) => {
      socket.onDatagram = (datagram, address, port) => {
        try {
          this.#receive(datagram, address, port, index);
        } catch (error) {
          this.#onFault(error);
        }
      };
    });
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
    return this.#owners.reduce((sum, { size }) => sum + size, this.#ufrags.size);
  }

  /** @throws {Error} when the endpoint is closed or the user name fragment is in use */
  createTransport(options: PeerTransportOptions): PeerTransport {
    if (this.#closing !== null) throw new Error('the media endpoint is closed');
    if (this.#ufrags.has(options.local.ufrag)) throw new Error('the ICE user name fragment is in use');
    const transport = new IceDtlsTransport(this, options, performance.now());
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
    return this.#add(new DiallingTransport(host, options, performance.now()));
  }

  #add<T extends IceDtlsTransport | DiallingTransport>(transport: T): T {
    this.#transports.add(transport);
    this.#timer ??= setInterval(() => this.tick(performance.now()), TICK_MS);
    return transport;
  }

  tick(nowMs: number): void {
    for (const transport of this.#transports) {
      try {
        transport.tick(nowMs);
      } catch (error) {
        this.#onFault(error);
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const transport of [...this.#transports]) transport.close();
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }

  #receive(datagram: Buffer, address: string, port: number, socket: number): void {
    const counters = this.counters;
    counters.received += 1;
    const first = datagram.length === 0 ? 0xff : (datagram[0] ?? 0xff);
    if (port === 0 || first > 191) {
      counters.unknownType += 1;
    } else if (first >= 128) {
      const owner = this.#owners[socket]?.get(address, port);
      if (owner === undefined) counters.unknownAddress += 1;
      else owner.receiveMedia(datagram, performance.now());
    } else if (first >= 20 && first <= 63) {
      const owner = this.#owners[socket]?.get(address, port);
      if (owner === undefined) counters.unknownAddress += 1;
      else owner.receiveDtls(datagram, { address, port, socket }, performance.now());
    } else if (first <= 3) {
      this.#receiveStun(datagram, address, port, socket);
    } else {
      counters.unknownType += 1;
    }
  }

  #receiveStun(datagram: Buffer, address: string, port: number, socket: number): void {
    const request = parseBindingRequest(datagram);
    const ufrag = request === null || request.username === null ? null : localFragment(request.username);
    const owner = ufrag === null ? undefined : this.#ufrags.get(ufrag);
    if (request === null || owner === undefined) this.counters.unknownCheck += 1;
    else owner.receiveCheck(request, { address, port, socket }, performance.now());
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
    const owners = this.#owners[socket];
    if (owners !== undefined && owners.get(address, port) !== owner) owners.set(address, port, owner);
  }

  release({ address, port, socket }: PeerAddress, owner: IceDtlsTransport): void {
    this.#owners[socket]?.delete(address, port, owner);
  }

  openUfrag(ufrag: string, owner: IceDtlsTransport): void {
    this.#ufrags.set(ufrag, owner);
  }

  closeUfrag(ufrag: string, owner: IceDtlsTransport): void {
    if (this.#ufrags.get(ufrag) === owner) this.#ufrags.delete(ufrag);
  }

  removed(owner: IceDtlsTransport | DiallingTransport): void {
    this.#transports.delete(owner);
    if (this.#transports.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
