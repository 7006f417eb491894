/** The DTLS of one transport: from the peer's first message, which may come before its answer, to the end of the association. */
import type { DtlsCertificate } from './certificate.ts';
import { DtlsAssociation, type DtlsEvents } from './dtls-association.ts';
import { matchesFingerprint } from './dtls-crypto.ts';
import { type PeerAddress, sameAddress } from './ice-lite-machine.ts';
import type { PeerTransportOptions } from './types.ts';

/** A ClientHello and its repetitions. */
const MAX_EARLY_DATAGRAMS = 4;

export interface PeerHandshakeOptions {
  certificate: DtlsCertificate;
  /** Where to send to when it is not known from where the handshake comes; null: nowhere. */
  way(): PeerAddress | null;
  events: Omit<DtlsEvents, 'send'> & { send(datagram: Buffer, to: PeerAddress): void };
}

export class PeerHandshake {
  readonly #options: PeerHandshakeOptions;
  #association: DtlsAssociation | null = null;
  #role: 'server' | 'client' | null = null;
  #early: Buffer[] = [];
  #from: PeerAddress | null = null;
  #to: PeerAddress | null = null;
  #sentToSeveral = false;
  #done = false;

  constructor(options: PeerHandshakeOptions) {
    this.#options = options;
  }

  /** Null before `begin`. */
  get role(): 'server' | 'client' | null {
    return this.#role;
  }

  /** Where the peer's messages came from last. */
  get from(): PeerAddress | null {
    return this.#from;
  }

  /**
   * Once it is done: where the peer certainly is. Its last messages are computed from random numbers that we sent; whoever
   * has them is where we sent them, if that was one place. Null: it cannot be told.
   */
  get shownAddress(): PeerAddress | null {
    if (this.#from === null || this.#to === null || this.#sentToSeveral) return null;
    return sameAddress(this.#from, this.#to) ? this.#to : null;
  }

  /** When `tick` has something to do. */
  get retransmitAtMs(): number {
    return this.#association?.retransmitAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** The remote side is known. Returns what came before it, to be received again. */
  begin(remote: NonNullable<PeerTransportOptions['remote']>): readonly Buffer[] {
    const { certificate, events } = this.#options;
    this.#role = remote.dtlsRole;
    this.#association = new DtlsAssociation({
      role: remote.dtlsRole,
      certificate,
      acceptsCertificate: (der) => matchesFingerprint(der, remote.fingerprints),
      events: {
        ...events,
        send: (datagram) => this.#send(datagram),
        connected: (keys) => {
          this.#done = true;
          events.connected(keys);
        },
      },
    });
    const early = this.#early;
    this.#early = [];
    return early;
  }

  /** The peer can be reached: a client says hello, once. */
  greet(nowMs: number): void {
    if (this.#role === 'client') this.#association?.start(nowMs);
  }

  /** True when something in the datagram was authenticated. */
  receive(datagram: Buffer, from: PeerAddress, nowMs: number): boolean {
    if (!this.#done) this.#from = from;
    if (this.#association !== null) return this.#association.receive(datagram, nowMs);
    if (this.#early.length < MAX_EARLY_DATAGRAMS) this.#early.push(Buffer.from(datagram));
    return false;
  }

  sendApplicationData(data: Buffer): void {
    this.#association?.sendApplicationData(data);
  }

  tick(nowMs: number): void {
    this.#association?.tick(nowMs);
  }

  /** Says goodbye when there is somebody to say it to. Idempotent. */
  close(): void {
    this.#association?.close();
    this.#early = [];
  }

  #send(datagram: Buffer): void {
    // Answered where it came from; what comes after it goes where media goes.
    const to = (this.#done ? null : this.#from) ?? this.#options.way() ?? this.#from;
    if (to === null) return;
    if (!this.#done) {
      if (this.#to !== null && !sameAddress(this.#to, to)) this.#sentToSeveral = true;
      this.#to = to;
    }
    this.#options.events.send(datagram, to);
  }
}
