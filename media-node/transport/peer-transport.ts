/** One ICE/DTLS association on the shared sockets: glues the ICE machine and the DTLS association to the demultiplexer. */

import { NOT_SCHEDULED, type Scheduled } from '../deadline-wheel.ts';
import type { IceCredentials } from '../negotiate/plan.ts';
import type { DtlsCertificate } from './certificate.ts';
import { AssociationChannels } from './data-channels.ts';
import { type DatagramOwner, type DatagramSockets, NO_KEYRING } from './datagram-socket.ts';
import { DtlsAssociation } from './dtls-association.ts';
import { matchesFingerprint } from './dtls-crypto.ts';
import type { HandshakeOwner } from './handshake-queue.ts';
import { type IceEvent, type IceState, openIce, type PeerAddress, step } from './ice-lite-machine.ts';
import type { BindingRequest } from './stun.ts';
import type {
  DataChannels,
  DataChannelsOptions,
  DatagramRoute,
  InboundKeys,
  InboundListener,
  PeerTransport,
  PeerTransportEvents,
  PeerTransportOptions,
  SrtpKeys,
  TransportEnd,
} from './types.ts';

/** What a transport asks of the demultiplexer. */
export interface TransportHost {
  readonly certificate: DtlsCertificate;
  send(datagram: Buffer, to: PeerAddress): void;
  /** The same way for a sender of its own; null when the socket has no descriptor. */
  routeTo(address: PeerAddress): DatagramRoute | null;
  /** Datagrams from `address` are this transport's. */
  claim(address: PeerAddress, owner: IceDtlsTransport): void;
  release(address: PeerAddress, owner: IceDtlsTransport): void;
  /** Checks for `ufrag` are this transport's. */
  openUfrag(ufrag: string, owner: IceDtlsTransport): void;
  closeUfrag(ufrag: string, owner: IceDtlsTransport): void;
  /** Keys that the sockets open media with; `NO_KEYRING` when they do not. */
  openKeyring(keys: InboundKeys): number;
  /** Once every address has been released. */
  closeKeyring(keyring: number): void;
  openOne(keyring: number, datagram: Buffer): ReturnType<DatagramSockets['openOne']>;
  /** Calls `receiveDeferred` when media has had its turn; keeps the order, and may drop. */
  defer(owner: IceDtlsTransport, datagram: Buffer, from: PeerAddress | null): void;
  hasDeferred(owner: IceDtlsTransport): boolean;
  /** Calls `tick` at that time; once, or sooner if asked for before. */
  schedule(owner: IceDtlsTransport, atMs: number): void;
  /** Called once, when everything else has been given back. */
  removed(owner: IceDtlsTransport): void;
}

/** DTLS that arrives before our offer's answer: a ClientHello and its repetitions. */
const MAX_EARLY_DATAGRAMS = 4;

export class IceDtlsTransport implements PeerTransport, DatagramOwner, HandshakeOwner, Scheduled {
  keyring = NO_KEYRING;
  dueTurn = NOT_SCHEDULED;
  readonly #host: TransportHost;
  readonly #events: PeerTransportEvents;
  readonly #connectTimeoutMs: number;
  readonly #silenceMs: number;
  readonly #expiryMs: number;
  readonly #createdMs: number;
  #ice: IceState;
  #dtls: DtlsAssociation | null = null;
  #dtlsRole: 'server' | 'client' | null = null;
  #earlyDtls: Buffer[] = [];
  /** Where the handshake came from last: the proven pair that the peer uses, be it nominated yet or not. */
  #handshakeFrom: PeerAddress | null = null;
  #channels: AssociationChannels | null = null;
  /** From the end of the DTLS handshake until somebody took them. */
  #keys: SrtpKeys | null = null;
  #state: 'connecting' | 'connected' | 'closed' = 'connecting';
  #lastHeardMs: number;
  #silent = false;
  #routeListener: (route: DatagramRoute | null) => void = () => {};
  #inbound: InboundListener = () => {};

  constructor(host: TransportHost, options: PeerTransportOptions, nowMs: number) {
    this.#host = host;
    this.#events = options.events;
    this.#connectTimeoutMs = options.connectTimeoutMs;
    this.#silenceMs = options.silenceMs;
    this.#expiryMs = options.expiryMs;
    this.#createdMs = nowMs;
    this.#lastHeardMs = nowMs;
    this.#ice = openIce(options.local);
    host.openUfrag(options.local.ufrag, this);
    if (options.remote !== null) this.#startDtls(options.remote, nowMs);
  }

  get remoteAddress(): string | null {
    const path = this.#path();
    if (path === null) return null;
    const { address, port } = path;
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  }

  setRemote(remote: NonNullable<PeerTransportOptions['remote']>): void {
    if (this.#state !== 'closed' && this.#dtls === null) this.#startDtls(remote, performance.now());
  }

  /** The peer's credentials are not needed: a lite agent sends no checks (RFC 8445 §2.5). */
  restartIce(local: IceCredentials, _remote: IceCredentials): void {
    if (this.#state !== 'closed') this.#stepIce({ type: 'restart', local }, performance.now());
  }

  send(datagram: Buffer): void {
    const path = this.#path();
    if (path !== null && this.#state !== 'closed') this.#host.send(datagram, path);
  }

  watchRoute(listener: (route: DatagramRoute | null) => void): void {
    this.#routeListener = listener;
    this.#tellRoute();
  }

  #tellRoute(): void {
    const path = this.#state === 'closed' ? null : this.#path();
    this.#routeListener(path === null ? null : this.#host.routeTo(path));
  }

  openInbound(keys: InboundKeys, listener: InboundListener): boolean {
    if (this.#state !== 'connected' || this.keyring !== NO_KEYRING) return false;
    this.keyring = this.#host.openKeyring(keys);
    if (this.keyring === NO_KEYRING) return false;
    this.#inbound = listener;
    for (const address of this.#ice.proven) this.#host.claim(address, this);
    return true;
  }

  noteAuthenticated(nowMs: number): void {
    this.#lastHeardMs = nowMs;
    if (this.#silent) this.#wake();
  }

  openDataChannels(options: DataChannelsOptions): DataChannels {
    if (this.#channels !== null) throw new Error('the data channels are open already');
    const channels = new AssociationChannels(options, {
      dtlsRole: () => this.#dtlsRole ?? 'server',
      send: (packet) => this.#dtls?.sendApplicationData(packet),
      now: () => performance.now(),
    });
    this.#channels = channels;
    if (this.#state === 'closed') channels.close();
    else this.#host.schedule(this, this.nextTickMs);
    return channels;
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#channels?.close();
    this.#dtls?.close();
    this.#release();
  }

  // ---- what the demultiplexer calls ----

  receiveCheck(request: BindingRequest, from: PeerAddress, nowMs: number): void {
    if (this.#state !== 'closed') this.#stepIce({ type: 'check', request, from }, nowMs);
  }

  receiveMedia(datagram: Buffer, nowMs: number): void {
    if (this.#state === 'connecting') {
      // Behind the message that may bring its keys, as it was sent.
      if (this.#host.hasDeferred(this)) this.#host.defer(this, datagram, null);
    } else if (this.#state === 'connected') {
      this.#handOn(datagram, nowMs);
    }
  }

  /** Media that the sockets have opened. */
  receiveOpened(packet: Buffer, length: number, index: number, wireBytes: number, nowMs: number): void {
    if (this.#state === 'connected') this.#inbound(packet, length, index, wireBytes, nowMs);
  }

  receiveDtls(datagram: Buffer, from: PeerAddress, nowMs: number): void {
    if (this.#state === 'connecting') this.#host.defer(this, datagram, from);
    else this.#receiveDtlsNow(datagram, nowMs);
  }

  /** What `defer` kept: DTLS, or media when `from` is null. */
  receiveDeferred(datagram: Buffer, from: PeerAddress | null, nowMs: number): void {
    if (from === null) {
      if (this.#state === 'connected') this.#handOn(datagram, nowMs);
      return;
    }
    if (this.#state === 'connecting') this.#handshakeFrom = from;
    this.#receiveDtlsNow(datagram, nowMs);
  }

  #receiveDtlsNow(datagram: Buffer, nowMs: number): void {
    if (this.#state === 'closed') return;
    if (this.#dtls === null) {
      if (this.#earlyDtls.length < MAX_EARLY_DATAGRAMS) this.#earlyDtls.push(Buffer.from(datagram));
      return;
    }
    if (this.#dtls.receive(datagram, nowMs)) this.noteAuthenticated(nowMs);
    this.#host.schedule(this, this.nextTickMs);
  }

  /** Media as it came; of a batch that was read before the sockets got its keys, when they have them now. */
  #handOn(datagram: Buffer, nowMs: number): void {
    if (this.keyring === NO_KEYRING) {
      this.#events.onMedia(datagram, nowMs);
      return;
    }
    const { packet, length, index } = this.#host.openOne(this.keyring, datagram);
    this.#inbound(packet, length, index, datagram.length, nowMs);
  }

  /** When `tick` has something to do; Infinity when closed. */
  get nextTickMs(): number {
    if (this.#state === 'closed') return Number.POSITIVE_INFINITY;
    if (this.#state === 'connecting') {
      const giveUpMs = this.#createdMs + this.#connectTimeoutMs;
      return Math.min(giveUpMs, this.#dtls?.retransmitAtMs ?? giveUpMs);
    }
    if (this.#channels !== null) return 0;
    return this.#lastHeardMs + (this.#silent ? this.#expiryMs : Math.min(this.#silenceMs, this.#expiryMs));
  }

  /** Drives what time drives: the DTLS handshake, the set-up time, silence. */
  tick(nowMs: number): void {
    if (this.#state === 'connecting') {
      if (nowMs - this.#createdMs >= this.#connectTimeoutMs) this.#end('never-connected');
      else this.#dtls?.tick(nowMs);
      return;
    }
    if (this.#state === 'closed') return;
    this.#channels?.tick(nowMs);
    const silentMs = nowMs - this.#lastHeardMs;
    if (silentMs >= this.#silenceMs && !this.#silent) {
      this.#silent = true;
      this.#events.onSilence(true);
    }
    // The handler may have closed us.
    if (silentMs >= this.#expiryMs && this.#isOpen()) this.#end('silence');
  }

  #isOpen(): boolean {
    return this.#state !== 'closed';
  }

  #wake(): void {
    this.#silent = false;
    if (this.#state !== 'connected') return;
    this.#host.schedule(this, this.nextTickMs);
    this.#events.onSilence(false);
  }

  #stepIce(event: IceEvent, nowMs: number): void {
    const { state, effects } = step(this.#ice, event);
    this.#ice = state;
    for (const effect of effects) {
      switch (effect.type) {
        case 'reply':
          this.#host.send(effect.datagram, effect.to);
          break;
        case 'proved':
          // Each time, not only the first: another transport may have had the address since.
          this.#host.claim(effect.address, this);
          this.noteAuthenticated(nowMs);
          break;
        case 'forgotten':
          this.#host.release(effect.address, this);
          break;
        case 'nominated':
          this.#tellRoute();
          if (this.#dtlsRole === 'client') this.#dtls?.start(nowMs);
          this.#connectWhenReady();
          this.#host.schedule(this, this.nextTickMs);
          break;
        case 'opened':
          this.#host.openUfrag(effect.ufrag, this);
          break;
        case 'retired':
          this.#host.closeUfrag(effect.ufrag, this);
          break;
      }
    }
  }

  #startDtls(remote: NonNullable<PeerTransportOptions['remote']>, nowMs: number): void {
    const dtls = new DtlsAssociation({
      role: remote.dtlsRole,
      certificate: this.#host.certificate,
      acceptsCertificate: (der) => matchesFingerprint(der, remote.fingerprints),
      events: {
        send: (datagram) => this.#sendDtls(datagram),
        connected: (keys) => {
          this.#keys = keys;
          this.#connectWhenReady();
        },
        applicationData: (data) => this.#channels?.receive(data, performance.now()),
        ended: (reason) => this.#end(reason === 'failed' ? 'dtls-failed' : 'peer-closed'),
      },
    });
    this.#dtls = dtls;
    this.#dtlsRole = remote.dtlsRole;
    if (remote.dtlsRole === 'client' && this.#ice.nominated !== null) dtls.start(nowMs);
    const early = this.#earlyDtls;
    this.#earlyDtls = [];
    const from = this.#handshakeFrom;
    if (from !== null) for (const datagram of early) this.#host.defer(this, datagram, from);
    this.#host.schedule(this, this.nextTickMs);
  }

  /**
   * Where datagrams go. libwebrtc nominates a lite agent's pair only with the check after the one that proved it, 50 ms
   * later, but it shakes hands on that pair at once: media that waited for the nomination would make every viewer wait.
   */
  #path(): PeerAddress | null {
    return this.#ice.nominated ?? (this.#state === 'connected' ? this.#handshakeFrom : null);
  }

  /** A handshake is answered where it came from, or else where the peer proved to be last. */
  #sendDtls(datagram: Buffer): void {
    const to = this.#ice.nominated ?? this.#handshakeFrom ?? this.#ice.proven.at(-1);
    if (to !== undefined) this.#host.send(datagram, to);
  }

  /** With keys and a pair: the nominated one, or the proven one that the peer completed the handshake on. */
  #connectWhenReady(): void {
    if (this.#state !== 'connecting' || this.#keys === null) return;
    if (this.#ice.nominated === null && this.#handshakeFrom === null) return;
    const keys = this.#keys;
    this.#keys = null;
    this.#state = 'connected';
    this.#events.onConnected(keys);
  }

  #end(reason: TransportEnd): void {
    if (this.#state === 'closed') return;
    this.#dtls?.close();
    this.#release();
    this.#channels?.end();
    this.#events.onEnded(reason);
  }

  #release(): void {
    this.#state = 'closed';
    this.#tellRoute();
    this.#earlyDtls = [];
    this.#keys = null;
    for (const address of this.#ice.proven) this.#host.release(address, this);
    if (this.keyring !== NO_KEYRING) this.#host.closeKeyring(this.keyring);
    this.keyring = NO_KEYRING;
    this.#inbound = () => {};
    this.#host.closeUfrag(this.#ice.current.ufrag, this);
    if (this.#ice.previous !== null) this.#host.closeUfrag(this.#ice.previous.ufrag, this);
    this.#host.removed(this);
  }
}
