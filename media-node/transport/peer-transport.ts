/** One ICE/DTLS association on the shared sockets: a lite ICE agent, a handshake, and what comes of them. */

import { type DeadlineWheel, NOT_SCHEDULED, type Scheduled } from '../deadline-wheel.ts';
import type { IceCredentials } from '../negotiate/plan.ts';
import type { DtlsCertificate } from './certificate.ts';
import { AssociationChannels } from './data-channels.ts';
import { hostAndPort } from './datagram-route.ts';
import type { DatagramSockets } from './datagram-socket.ts';
import type { DatagramMember, Demultiplexer } from './demultiplexer.ts';
import type { HandshakeOwner, HandshakeQueue } from './handshake-queue.ts';
import { type PeerAddress, sameAddress } from './ice-lite-machine.ts';
import { InboundMedia } from './inbound-media.ts';
import { LiteIceAgent } from './lite-ice-agent.ts';
import { Liveness } from './liveness.ts';
import { PeerHandshake } from './peer-handshake.ts';
import type { BindingRequest } from './stun.ts';
import type {
  DataChannels,
  DataChannelsOptions,
  DatagramRoute,
  InboundKeys,
  InboundListener,
  PeerTransport,
  PeerTransportOptions,
  SrtpKeys,
  TransportEnd,
} from './types.ts';

/** What a transport is part of. */
export interface TransportHost {
  readonly certificate: DtlsCertificate;
  readonly sockets: DatagramSockets;
  readonly network: Demultiplexer<IceDtlsTransport>;
  /** Messages of handshakes wait here until media has had its turn. */
  readonly handshakes: HandshakeQueue;
  /** Calls `tick`. */
  readonly deadlines: DeadlineWheel<IceDtlsTransport>;
  /** Called once, when everything else has been given back. */
  removed(owner: IceDtlsTransport): void;
}

/** A client is heard every 2.5 s at least, by its checks if not by its media; who is not may have left its address to another. */
const HELD_MS = 3_000;

export class IceDtlsTransport implements PeerTransport, DatagramMember, HandshakeOwner, Scheduled {
  dueTurn = NOT_SCHEDULED;
  readonly #host: TransportHost;
  readonly #options: PeerTransportOptions;
  readonly #createdMs: number;
  readonly #agent: LiteIceAgent<IceDtlsTransport>;
  readonly #handshake: PeerHandshake;
  readonly #inbound: InboundMedia;
  readonly #liveness: Liveness;
  #channels: AssociationChannels | null = null;
  /** From the end of the handshake until there is a path. */
  #keys: SrtpKeys | null = null;
  #state: 'connecting' | 'connected' | 'closed' = 'connecting';
  #routeListener: (route: DatagramRoute | null) => void = () => {};

  constructor(host: TransportHost, options: PeerTransportOptions, nowMs: number) {
    this.#host = host;
    this.#options = options;
    this.#createdMs = nowMs;
    this.#liveness = new Liveness(options, (silent) => this.#onSilence(silent), nowMs);
    this.#inbound = new InboundMedia(host.sockets, (datagram, atMs) => options.events.onMedia(datagram, atMs));
    this.#agent = new LiteIceAgent(host.network, this, options.local, {
      onAlive: (atMs) => this.noteAuthenticated(atMs),
      onNominated: (atMs) => this.#handshake.greet(atMs),
      onMoved: () => {
        this.#tellRoute();
        this.#connectWhenReady();
      },
    });
    this.#handshake = new PeerHandshake({
      certificate: host.certificate,
      way: () => this.#agent.path ?? this.#agent.lastProven,
      events: {
        send: (datagram, to) => host.network.send(datagram, to),
        connected: (keys) => this.#shookHands(keys),
        applicationData: (data) => this.#channels?.receive(data, performance.now()),
        ended: (reason) => this.#end(reason === 'failed' ? 'dtls-failed' : 'peer-closed'),
      },
    });
    if (options.remote !== null) this.#begin(options.remote, nowMs);
  }

  get keyring(): number {
    return this.#inbound.keyring;
  }

  get remoteAddress(): string | null {
    const { path } = this.#agent;
    return path === null ? null : hostAndPort(path.address, path.port);
  }

  setRemote(remote: NonNullable<PeerTransportOptions['remote']>): void {
    if (this.#state !== 'closed' && this.#handshake.role === null) this.#begin(remote, performance.now());
  }

  restartIce(local: IceCredentials, remote: IceCredentials): void {
    if (this.#state !== 'closed') this.#agent.restart(local, remote, performance.now());
  }

  send(datagram: Buffer): void {
    const { path } = this.#agent;
    if (path !== null && this.#state !== 'closed') this.#host.network.send(datagram, path);
  }

  watchRoute(listener: (route: DatagramRoute | null) => void): void {
    this.#routeListener = listener;
    this.#tellRoute();
  }

  openInbound(keys: InboundKeys, listener: InboundListener): boolean {
    if (this.#state !== 'connected' || !this.#inbound.open(keys, listener)) return false;
    this.#agent.claimAll();
    return true;
  }

  /** The process stood still for so long: see `Liveness`. */
  pardon(missedMs: number, nowMs: number): void {
    this.#liveness.pardon(missedMs, nowMs);
  }

  noteAuthenticated(nowMs: number): void {
    this.#liveness.hear(nowMs);
  }

  openDataChannels(options: DataChannelsOptions): DataChannels {
    if (this.#channels !== null) throw new Error('the data channels are open already');
    const channels = new AssociationChannels(options, {
      dtlsRole: () => this.#handshake.role ?? 'server',
      send: (packet) => {
        this.#handshake.sendApplicationData(packet);
        this.#schedule();
      },
      now: () => performance.now(),
    });
    this.#channels = channels;
    if (this.#state === 'closed') channels.close();
    return channels;
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#channels?.close();
    this.#handshake.close();
    this.#release();
  }

  // ---- what the demultiplexer and the queue of handshakes call ----

  receiveCheck(request: BindingRequest, from: PeerAddress, nowMs: number): void {
    if (this.#state === 'closed') return;
    this.#agent.receiveCheck(request, from, nowMs);
    this.#schedule();
  }

  holds(address: PeerAddress, nowMs: number): boolean {
    const { path } = this.#agent;
    if (this.#state !== 'connected' || path === null || !sameAddress(path, address)) return false;
    return nowMs - this.#liveness.heardMs < HELD_MS;
  }

  receiveAnswer(datagram: Buffer, from: PeerAddress, nowMs: number): void {
    if (this.#state === 'closed') return;
    this.#agent.receiveAnswer(datagram, from, nowMs);
    this.#schedule();
  }

  receiveMedia(datagram: Buffer, nowMs: number): void {
    if (this.#state === 'connecting') {
      // Behind the message that may bring its keys, as it was sent.
      if (this.#host.handshakes.has(this)) this.#host.handshakes.push(this, datagram, null);
    } else if (this.#state === 'connected') {
      this.#inbound.receive(datagram, nowMs);
    }
  }

  receiveOpened(packet: Buffer, length: number, index: number, wireBytes: number, nowMs: number): void {
    if (this.#state === 'connected') this.#inbound.receiveOpened(packet, length, index, wireBytes, nowMs);
  }

  receiveDtls(datagram: Buffer, from: PeerAddress, nowMs: number): void {
    if (this.#state === 'connecting') this.#host.handshakes.push(this, datagram, from);
    else this.receiveDeferred(datagram, from, nowMs);
  }

  /** What waited among the handshakes: DTLS, or media when `from` is null. */
  receiveDeferred(datagram: Buffer, from: PeerAddress | null, nowMs: number): void {
    if (this.#state === 'closed') return;
    if (from === null) {
      if (this.#state === 'connected') this.#inbound.receive(datagram, nowMs);
      return;
    }
    if (this.#handshake.receive(datagram, from, nowMs)) this.noteAuthenticated(nowMs);
    this.#schedule();
  }

  // ---- what time drives ----

  /** When `tick` has something to do; Infinity when closed. */
  get nextTickMs(): number {
    if (this.#state === 'closed') return Number.POSITIVE_INFINITY;
    if (this.#state === 'connecting') {
      const giveUpMs = this.#createdMs + this.#options.connectTimeoutMs;
      return Math.min(giveUpMs, this.#agent.nextTickMs, this.#handshake.retransmitAtMs);
    }
    const channelsMs = this.#channels?.nextTickMs ?? Number.POSITIVE_INFINITY;
    return Math.min(this.#liveness.nextTickMs, this.#agent.nextTickMs, channelsMs);
  }

  /** Drives the handshake, the set-up time, questions for consent, data channels, silence. */
  tick(nowMs: number): void {
    if (this.#state === 'closed') return;
    this.#agent.tick(nowMs);
    if (this.#state === 'connecting') {
      if (nowMs - this.#createdMs >= this.#options.connectTimeoutMs) this.#end('never-connected');
      else this.#handshake.tick(nowMs);
      return;
    }
    this.#channels?.tick(nowMs);
    if (this.#liveness.tick(nowMs)) this.#end('silence');
  }

  #schedule(): void {
    this.#host.deadlines.schedule(this, this.nextTickMs);
  }

  #onSilence(silent: boolean): void {
    if (this.#state !== 'connected') return;
    if (!silent) this.#schedule();
    this.#options.events.onSilence(silent);
  }

  // ---- from the handshake to the end ----

  #begin(remote: NonNullable<PeerTransportOptions['remote']>, nowMs: number): void {
    this.#agent.setRemote(remote.ice);
    const early = this.#handshake.begin(remote);
    if (this.#agent.nominated !== null) this.#handshake.greet(nowMs);
    const { from } = this.#handshake;
    if (from !== null) for (const datagram of early) this.#host.handshakes.push(this, datagram, from);
    this.#schedule();
  }

  #shookHands(keys: SrtpKeys): void {
    this.#keys = keys;
    this.#agent.begin(this.#handshake.shownAddress, this.#handshake.from, performance.now());
  }

  /** With keys, and a place to send to. */
  #connectWhenReady(): void {
    if (this.#state !== 'connecting' || this.#keys === null || this.#agent.path === null) return;
    const keys = this.#keys;
    this.#keys = null;
    this.#state = 'connected';
    this.#options.events.onConnected(keys);
  }

  #tellRoute(): void {
    const path = this.#state === 'closed' ? null : this.#agent.path;
    this.#routeListener(path === null ? null : this.#host.network.routeTo(path));
  }

  #end(reason: TransportEnd): void {
    if (this.#state === 'closed') return;
    this.#handshake.close();
    this.#release();
    this.#channels?.end();
    this.#options.events.onEnded(reason);
  }

  #release(): void {
    this.#state = 'closed';
    this.#tellRoute();
    this.#keys = null;
    this.#agent.close();
    this.#inbound.close();
    this.#host.removed(this);
  }
}
