/**
 * One ICE/DTLS association that we dial: on a UDP port of its own, ICE controlling towards a lite agent. A relay is the
 * client of the node that it pulls from, so that a node needs to be reachable on its one port only.
 */
import { randomBytes } from 'node:crypto';
import { isIP, SocketAddress } from 'node:net';
import type { DtlsCertificate } from './certificate.ts';
import { DtlsAssociation } from './dtls-association.ts';
import { matchesFingerprint } from './dtls-crypto.ts';
import {
  type ControllingEvent,
  type ControllingState,
  type DialledAddress,
  openControlling,
  step,
} from './ice-controlling-machine.ts';
import { ipBytes } from './ip-bytes.ts';
import { readBindingSuccess, TRANSACTION_ID_BYTES, writeBindingRequest } from './stun-checks.ts';
import type {
  DataChannels,
  DatagramRoute,
  DialledCandidate,
  DialOptions,
  PeerTransport,
  PeerTransportEvents,
  SrtpKeys,
  TransportEnd,
} from './types.ts';
import { bindUdp, type DatagramSocket } from './udp-socket.ts';

/** What a dialled transport asks of its endpoint. */
export interface DiallingHost {
  readonly certificate: DtlsCertificate;
  /** Called once, when everything else has been given back (a socket may still be closing). */
  removed(owner: DiallingTransport): void;
  /** Something threw that should not. */
  onFault(error: unknown): void;
}

/** All addresses of a family: the kernel chooses the source by the route, and the peer learns it from our checks. */
const ANY_ADDRESS = { 4: '0.0.0.0', 6: '::' } as const;
/** More candidates than a node announces; the rest is not tried. */
const MAX_CANDIDATES = 16;
/** Of a peer-reflexive candidate with the highest local preference (RFC 8445 §5.1.2.1). */
const CHECK_PRIORITY = 110 * 2 ** 24 + 65_535 * 2 ** 8 + 255;
const TIE_BREAKER_BYTES = 8;

export class DiallingTransport implements PeerTransport {
  readonly #host: DiallingHost;
  readonly #options: DialOptions;
  readonly #events: PeerTransportEvents;
  readonly #createdMs: number;
  readonly #tieBreaker = randomBytes(TIE_BREAKER_BYTES);
  readonly #dtls: DtlsAssociation;
  readonly #sockets = new Map<4 | 6, DatagramSocket>();
  /** Null until the sockets are open. */
  #ice: ControllingState | null = null;
  /** Numbers of checks by transaction id. */
  readonly #transactions = new Map<string, number>();
  #working: DialledAddress[] = [];
  #nominated: DialledAddress | null = null;
  #keys: SrtpKeys | null = null;
  #state: 'connecting' | 'connected' | 'closed' = 'connecting';
  #lastHeardMs: number;
  #silent = false;
  #routeListener: (route: DatagramRoute | null) => void = () => {};

  constructor(host: DiallingHost, options: DialOptions, nowMs: number) {
    this.#host = host;
    this.#options = options;
    this.#events = options.events;
    this.#createdMs = nowMs;
    this.#lastHeardMs = nowMs;
    const { remote } = options;
    this.#dtls = new DtlsAssociation({
      role: remote.dtlsRole,
      certificate: host.certificate,
      acceptsCertificate: (der) => matchesFingerprint(der, remote.fingerprints),
      events: {
        send: (datagram) => this.#sendTo(this.#path(), datagram),
        connected: (keys) => {
          this.#keys = keys;
          this.#connectWhenReady();
        },
        applicationData: () => {},
        ended: (reason) => this.#end(reason === 'failed' ? 'dtls-failed' : 'peer-closed'),
      },
    });
    this.#dial().catch((error: unknown) => host.onFault(error));
  }

  get remoteAddress(): string | null {
    const path = this.#state === 'closed' ? null : this.#path();
    if (path === null) return null;
    return path.family === 6 ? `[${path.address}]:${path.port}` : `${path.address}:${path.port}`;
  }

  /** The remote side is known from the start. */
  setRemote(): void {}

  /** A relay whose path is lost is replaced by another, so it has no restart. */
  restartIce(): void {}

  send(datagram: Buffer): void {
    if (this.#state === 'connected') this.#sendTo(this.#nominated, datagram);
  }

  watchRoute(listener: (route: DatagramRoute | null) => void): void {
    this.#routeListener = listener;
    this.#tellRoute();
  }

  noteAuthenticated(nowMs: number): void {
    this.#lastHeardMs = nowMs;
    if (!this.#silent) return;
    this.#silent = false;
    if (this.#state === 'connected') this.#events.onSilence(false);
  }

  /** @throws {Error} always: nothing is said between nodes, the edge tells them all */
  openDataChannels(): DataChannels {
    throw new Error('a dialled transport has no data channels');
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#dtls.close();
    this.#release();
  }

  /** Drives what time drives: checks, the handshake, the set-up time, silence. */
  tick(nowMs: number): void {
    if (this.#state === 'closed') return;
    this.#stepIce({ type: 'time-passed', heardMs: this.#lastHeardMs, random: Math.random() }, nowMs);
    if (this.#isConnecting()) {
      if (nowMs - this.#createdMs >= this.#options.connectTimeoutMs) this.#end('never-connected');
      else this.#dtls.tick(nowMs);
      return;
    }
    if (this.#isClosed()) return;
    const silentMs = nowMs - this.#lastHeardMs;
    if (silentMs >= this.#options.silenceMs && !this.#silent) {
      this.#silent = true;
      this.#events.onSilence(true);
    }
    // The handler may have closed us.
    if (silentMs >= this.#options.expiryMs && !this.#isClosed()) this.#end('silence');
  }

  async #dial(): Promise<void> {
    const candidates = this.#options.candidates.slice(0, MAX_CANDIDATES).flatMap(dialled);
    for (const family of [4, 6] as const) {
      if (!candidates.some((candidate) => candidate.family === family)) continue;
      const socket = await openSocket(family);
      // Closed meanwhile, or a machine without this family.
      if (socket !== null && this.#isClosed()) await socket.close();
      else if (socket !== null) this.#sockets.set(family, socket);
    }
    if (this.#isClosed()) return;
    const reachable = candidates.filter(({ family }) => this.#sockets.has(family));
    for (const [family, socket] of this.#sockets) {
      socket.onDatagram = (datagram, address, port) => {
        try {
          this.#receive(datagram, address, port, family);
        } catch (error) {
          this.#host.onFault(error);
        }
      };
    }
    const nowMs = performance.now();
    this.#ice = openControlling(reachable, nowMs);
    this.tick(nowMs);
  }

  #receive(datagram: Buffer, address: string, port: number, family: 4 | 6): void {
    const nowMs = performance.now();
    const first = datagram.length === 0 ? 0xff : (datagram[0] ?? 0xff);
    if (first <= 3) {
      this.#receiveAnswer(datagram, address, port, nowMs);
    } else if (!this.#isPeer(address, port, family)) {
      // Neither a candidate nor one that answered a check.
    } else if (first >= 128 && first <= 191) {
      if (this.#state === 'connected') this.#events.onMedia(datagram, nowMs);
    } else if (first >= 20 && first <= 63) {
      if (this.#dtls.receive(datagram, nowMs)) this.noteAuthenticated(nowMs);
    }
  }

  #receiveAnswer(datagram: Buffer, address: string, port: number, nowMs: number): void {
    const transaction = readBindingSuccess(datagram, this.#options.remote.ice.pwd);
    const number = transaction === null ? undefined : this.#transactions.get(transaction);
    if (transaction === null || number === undefined) return;
    this.#transactions.delete(transaction);
    this.noteAuthenticated(nowMs);
    this.#stepIce({ type: 'answered', number, address, port, random: Math.random() }, nowMs);
  }

  #isPeer(address: string, port: number, family: 4 | 6): boolean {
    for (const known of this.#working) {
      if (known.port === port && known.address === address && known.family === family) return true;
    }
    return false;
  }

  #stepIce(event: ControllingEvent, nowMs: number): void {
    if (this.#ice === null || this.#isClosed()) return;
    const { state, effects } = step(this.#ice, event, nowMs);
    this.#ice = state;
    for (const effect of effects) {
      switch (effect.type) {
        case 'check':
          this.#sendCheck(effect.number, effect.to, effect.useCandidate);
          break;
        case 'working':
          this.#working.push(effect.to);
          // The peer shakes hands on a proven pair, nominated or not: half a round trip sooner.
          this.#dtls.start(nowMs);
          break;
        case 'nominated':
          this.#nominated = effect.to;
          this.#tellRoute();
          this.#connectWhenReady();
          break;
        case 'forgotten':
          this.#forget(effect.number);
          break;
        case 'consent-lost':
          this.#end('silence');
          break;
      }
    }
  }

  #sendCheck(number: number, to: DialledAddress, useCandidate: boolean): void {
    const { local, remote } = this.#options;
    const transactionId = randomBytes(TRANSACTION_ID_BYTES);
    this.#transactions.set(transactionId.toString('hex'), number);
    const datagram = writeBindingRequest({
      username: `${remote.ice.ufrag}:${local.ufrag}`,
      password: remote.ice.pwd,
      transactionId,
      priority: CHECK_PRIORITY,
      tieBreaker: this.#tieBreaker,
      useCandidate,
    });
    this.#sendTo(to, datagram);
  }

  #forget(number: number): void {
    for (const [transaction, known] of this.#transactions) {
      if (known === number) this.#transactions.delete(transaction);
    }
  }

  /** Null while no pair works. */
  #path(): DialledAddress | null {
    return this.#nominated ?? this.#working[0] ?? null;
  }

  #sendTo(to: DialledAddress | null, datagram: Buffer): void {
    if (to !== null) this.#sockets.get(to.family)?.send(datagram, to.address, to.port);
  }

  #tellRoute(): void {
    const to = this.#state === 'closed' ? null : this.#nominated;
    const fd = to === null ? null : (this.#sockets.get(to.family)?.fd ?? null);
    if (to === null || fd === null) this.#routeListener(null);
    else
      this.#routeListener({ fd, address: ipBytes(to.address), zone: to.address.split('%', 2)[1] ?? '', port: to.port });
  }

  #connectWhenReady(): void {
    if (this.#state !== 'connecting' || this.#keys === null || this.#nominated === null) return;
    const keys = this.#keys;
    this.#keys = null;
    this.#state = 'connected';
    this.#events.onConnected(keys);
  }

  #isConnecting(): boolean {
    return this.#state === 'connecting';
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #end(reason: TransportEnd): void {
    if (this.#state === 'closed') return;
    this.#dtls.close();
    this.#release();
    this.#events.onEnded(reason);
  }

  #release(): void {
    this.#state = 'closed';
    this.#tellRoute();
    this.#keys = null;
    this.#transactions.clear();
    for (const socket of this.#sockets.values()) socket.close().catch((error: unknown) => this.#host.onFault(error));
    this.#sockets.clear();
    this.#host.removed(this);
  }
}

/** As the kernel writes the sender of a datagram (`2001:DB8::0:1` is `2001:db8::1` there); nothing for a name. */
function dialled({ address, port }: DialledCandidate): DialledAddress[] {
  const family = isIP(address);
  if (family !== 4 && family !== 6) return [];
  return [{ address: new SocketAddress({ address, family: family === 4 ? 'ipv4' : 'ipv6' }).address, port, family }];
}

/** Null when this machine has no such address family, or no descriptor to spare. */
async function openSocket(family: 4 | 6): Promise<DatagramSocket | null> {
  try {
    return await bindUdp(ANY_ADDRESS[family], family, 0);
  } catch {
    return null;
  }
}
