/**
 * One ICE/DTLS association that we dial: on a UDP port of its own, ICE controlling towards a lite agent. A relay is the
 * client of the node that it pulls from, so that a node needs to be reachable on its one port only.
 */
import { isIP, SocketAddress } from 'node:net';
import type { DtlsCertificate } from './certificate.ts';
import { ControllingIceAgent } from './controlling-ice-agent.ts';
import { hostAndPort } from './datagram-route.ts';
import type { DatagramOwner, DatagramSockets } from './datagram-socket.ts';
import { DialledSockets } from './dialled-sockets.ts';
import { DtlsAssociation } from './dtls-association.ts';
import { matchesFingerprint } from './dtls-crypto.ts';
import type { DialledAddress } from './ice-controlling-machine.ts';
import { InboundMedia } from './inbound-media.ts';
import { Liveness } from './liveness.ts';
import type {
  DataChannels,
  DatagramRoute,
  DialledCandidate,
  DialOptions,
  InboundKeys,
  InboundListener,
  PeerTransport,
  SrtpKeys,
  TransportEnd,
} from './types.ts';

/** What a dialled transport asks of its endpoint. */
export interface DiallingHost {
  readonly certificate: DtlsCertificate;
  readonly sockets: DatagramSockets;
  /** Called once, when everything else has been given back (a socket may still be closing). */
  removed(owner: DiallingTransport): void;
  /** Something threw that should not. */
  onFault(error: unknown): void;
}

/** More candidates than a node announces; the rest is not tried. */
const MAX_CANDIDATES = 16;

export class DiallingTransport implements PeerTransport, DatagramOwner {
  readonly #host: DiallingHost;
  readonly #options: DialOptions;
  readonly #createdMs: number;
  readonly #agent: ControllingIceAgent<DiallingTransport>;
  readonly #dtls: DtlsAssociation;
  readonly #sockets: DialledSockets<DiallingTransport>;
  readonly #inbound: InboundMedia;
  readonly #liveness: Liveness;
  #keys: SrtpKeys | null = null;
  #state: 'connecting' | 'connected' | 'closed' = 'connecting';
  #routeListener: (route: DatagramRoute | null) => void = () => {};

  constructor(host: DiallingHost, options: DialOptions, nowMs: number) {
    this.#host = host;
    this.#options = options;
    this.#createdMs = nowMs;
    const { remote, events } = options;
    this.#liveness = new Liveness(
      options,
      (silent) => {
        if (this.#state === 'connected') events.onSilence(silent);
      },
      nowMs,
    );
    this.#inbound = new InboundMedia(host.sockets, (datagram, atMs) => events.onMedia(datagram, atMs));
    this.#dtls = new DtlsAssociation({
      role: remote.dtlsRole,
      certificate: host.certificate,
      acceptsCertificate: (der) => matchesFingerprint(der, remote.fingerprints),
      events: {
        send: (datagram) => this.#sendTo(this.#agent.path, datagram),
        connected: (keys) => {
          this.#keys = keys;
          this.#connectWhenReady();
        },
        applicationData: () => {},
        ended: (reason) => this.#end(reason === 'failed' ? 'dtls-failed' : 'peer-closed'),
      },
    });
    this.#sockets = new DialledSockets(host.sockets, {
      onDatagram: (datagram, from, owner, atMs) => this.#receive(datagram, from, owner, atMs),
      onOpened: (packet, length, index, wireBytes, atMs) => {
        if (this.#state === 'connected') this.#inbound.receiveOpened(packet, length, index, wireBytes, atMs);
      },
      onFault: (error) => host.onFault(error),
    });
    this.#agent = new ControllingIceAgent<DiallingTransport>({
      sockets: this.#sockets,
      owner: this,
      local: options.local,
      remote: remote.ice,
      events: {
        onAlive: (atMs) => this.noteAuthenticated(atMs),
        // The peer shakes hands on a proven pair, nominated or not: half a round trip sooner.
        onWorking: (atMs) => this.#dtls.start(atMs),
        onNominated: () => {
          this.#tellRoute();
          this.#connectWhenReady();
        },
        onLost: () => this.#end('silence'),
      },
    });
    this.#dial().catch((error: unknown) => host.onFault(error));
  }

  get keyring(): number {
    return this.#inbound.keyring;
  }

  get remoteAddress(): string | null {
    const path = this.#state === 'closed' ? null : this.#agent.path;
    return path === null ? null : hostAndPort(path.address, path.port);
  }

  /** The remote side is known from the start. */
  setRemote(): void {}

  /** A relay whose path is lost is replaced by another, so it has no restart. */
  restartIce(): void {}

  send(datagram: Buffer): void {
    if (this.#state === 'connected') this.#sendTo(this.#agent.nominated, datagram);
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
    this.#agent.tick(this.#liveness.heardMs, nowMs);
    if (this.#isConnecting()) {
      if (nowMs - this.#createdMs >= this.#options.connectTimeoutMs) this.#end('never-connected');
      else this.#dtls.tick(nowMs);
    } else if (!this.#isClosed() && this.#liveness.tick(nowMs)) {
      this.#end('silence');
    }
  }

  async #dial(): Promise<void> {
    const candidates = this.#options.candidates.slice(0, MAX_CANDIDATES).flatMap(dialled);
    await this.#sockets.open(new Set(candidates.map(({ family }) => family)));
    if (this.#isClosed()) return;
    const nowMs = performance.now();
    const reachable = candidates.filter(({ family }) => this.#sockets.has(family));
    this.#agent.begin(reachable, nowMs);
    this.tick(nowMs);
  }

  /** STUN proves itself; everything else must come from where a check was answered, which is claimed. */
  #receive(datagram: Buffer, from: DialledAddress, owner: DiallingTransport | null, nowMs: number): void {
    const first = datagram.length === 0 ? 0xff : (datagram[0] ?? 0xff);
    if (first <= 3) {
      this.#agent.receive(datagram, from, nowMs);
    } else if (owner === null) {
      // Nobody that we know.
    } else if (first >= 128 && first <= 191) {
      if (this.#state === 'connected') this.#inbound.receive(datagram, nowMs);
    } else if (first >= 20 && first <= 63) {
      if (this.#dtls.receive(datagram, nowMs)) this.noteAuthenticated(nowMs);
    }
  }

  #sendTo(to: DialledAddress | null, datagram: Buffer): void {
    if (to !== null) this.#sockets.send(datagram, to);
  }

  #tellRoute(): void {
    const to = this.#state === 'closed' ? null : this.#agent.nominated;
    this.#routeListener(to === null ? null : this.#sockets.routeTo(to));
  }

  #connectWhenReady(): void {
    if (this.#state !== 'connecting' || this.#keys === null || this.#agent.nominated === null) return;
    const keys = this.#keys;
    this.#keys = null;
    this.#state = 'connected';
    this.#options.events.onConnected(keys);
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
    this.#options.events.onEnded(reason);
  }

  #release(): void {
    this.#state = 'closed';
    this.#tellRoute();
    this.#keys = null;
    this.#agent.close();
    this.#inbound.close();
    this.#sockets.close();
    this.#host.removed(this);
  }
}

/** As the kernel writes the sender of a datagram (`2001:DB8::0:1` is `2001:db8::1` there); nothing for a name. */
function dialled({ address, port }: DialledCandidate): DialledAddress[] {
  const family = isIP(address);
  if (family !== 4 && family !== 6) return [];
  return [{ address: new SocketAddress({ address, family: family === 4 ? 'ipv4' : 'ipv6' }).address, port, family }];
}
