/**
 * All transports of a process: one UDP socket per announced address, all on one port, and the transports on them, which it
 * opens, drives and closes.
 */

import { DeadlineWheel, TURN_MS } from '../deadline-wheel.ts';
import type { Fingerprint, LocalCandidate } from '../negotiate/plan.ts';
import { bindAll, bufferAdvice, type MediaAddress } from './bind-addresses.ts';
import { type CertificatePem, createCertificate, type DtlsCertificate, readCertificate } from './certificate.ts';
import type { DatagramSocket, DatagramSockets } from './datagram-socket.ts';
import { type DatagramCounters, Demultiplexer } from './demultiplexer.ts';
import { DiallingTransport } from './dialling-transport.ts';
import { HandshakeQueue } from './handshake-queue.ts';
import { IceDtlsTransport, type TransportHost } from './peer-transport.ts';
import type { DialOptions, MediaEndpoint, PeerTransport, PeerTransportOptions } from './types.ts';
import { portableSockets } from './udp-socket.ts';

export type { MediaAddress } from './bind-addresses.ts';
export { mintIceCredentials } from './ice-credentials.ts';
export type * from './types.ts';

/** A timer that is so late says that the process stood still. */
const STALL_MS = 500;

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
export interface EndpointCounters extends DatagramCounters {
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
  readonly sockets: DatagramSockets;
  readonly network: Demultiplexer<IceDtlsTransport>;
  readonly handshakes: HandshakeQueue;
  readonly deadlines = new DeadlineWheel<IceDtlsTransport>(performance.now());
  readonly onFault: (error: unknown) => void;
  /** They do something in each turn. */
  readonly #dialled = new Set<DiallingTransport>();
  readonly #transports = new Set<IceDtlsTransport | DiallingTransport>();
  #timer: NodeJS.Timeout | null = null;
  /** When the timer came last. */
  #wokeMs = 0;
  #closing: Promise<void> | null = null;

  constructor(
    addresses: readonly MediaAddress[],
    opener: DatagramSockets,
    sockets: readonly DatagramSocket<IceDtlsTransport>[],
    certificate: DtlsCertificate,
    onFault: (error: unknown) => void,
  ) {
    this.certificate = certificate;
    this.onFault = onFault;
    this.handshakes = new HandshakeQueue(onFault);
    this.sockets = opener;
    this.network = new Demultiplexer(sockets, onFault);
    this.candidates = addresses.map(({ announce, family }, index) => {
      return { address: announce, port: sockets[index]?.port ?? 0, family };
    });
  }

  get counters(): EndpointCounters {
    return { ...this.network.counters, deferredDropped: this.handshakes.dropped };
  }

  get fingerprint(): Fingerprint {
    return this.certificate.fingerprint;
  }

  get transportCount(): number {
    return this.#transports.size;
  }

  get socketErrors(): number {
    return this.network.errorCount;
  }

  get tableSize(): number {
    return this.network.size;
  }

  /** @throws {Error} when the endpoint is closed or the user name fragment is in use */
  createTransport(options: PeerTransportOptions): PeerTransport {
    if (this.#closing !== null) throw new Error('the media endpoint is closed');
    if (this.network.hasUfrag(options.local.ufrag)) throw new Error('the ICE user name fragment is in use');
    const transport = new IceDtlsTransport(this, options, performance.now());
    this.deadlines.schedule(transport, transport.nextTickMs);
    return this.#add(transport);
  }

  /** @throws {Error} when the endpoint is closed */
  dialTransport(options: DialOptions): PeerTransport {
    if (this.#closing !== null) throw new Error('the media endpoint is closed');
    const transport = new DiallingTransport(this, options, performance.now());
    this.#dialled.add(transport);
    return this.#add(transport);
  }

  #add<T extends IceDtlsTransport | DiallingTransport>(transport: T): T {
    this.#transports.add(transport);
    if (this.#timer === null) {
      this.#wokeMs = performance.now();
      this.#timer = setInterval(() => this.#wake(performance.now()), TURN_MS);
    }
    return transport;
  }

  /** After a stop (a machine that was suspended, or has no time for us) timers come before the datagrams that wait. */
  #wake(nowMs: number): void {
    const missedMs = nowMs - this.#wokeMs - TURN_MS;
    this.#wokeMs = nowMs;
    if (missedMs >= STALL_MS) for (const transport of this.#transports) transport.pardon(missedMs, nowMs);
    this.tick(nowMs);
  }

  tick(nowMs: number): void {
    for (const transport of this.#dialled) this.#turn(transport, nowMs);
    this.deadlines.advance(nowMs, (transport) => {
      this.#turn(transport, nowMs);
      this.deadlines.schedule(transport, transport.nextTickMs);
    });
  }

  #turn(transport: IceDtlsTransport | DiallingTransport, nowMs: number): void {
    try {
      transport.tick(nowMs);
    } catch (error) {
      this.onFault(error);
    }
  }

  removed(owner: IceDtlsTransport | DiallingTransport): void {
    this.#transports.delete(owner);
    if (owner instanceof IceDtlsTransport) {
      this.handshakes.remove(owner);
      this.deadlines.remove(owner);
    } else {
      this.#dialled.delete(owner);
    }
    if (this.#transports.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const transport of [...this.#transports]) transport.close();
    await this.network.close();
    this.sockets.close();
  }
}
