/** Two DTLS associations joined by a wire that loses, repeats and reorders by a seed, on a clock of its own. */
import { createCertificate, type DtlsCertificate, readCertificate } from '../certificate.ts';
import { DtlsAssociation } from '../dtls-association.ts';
import type { SrtpKeys } from '../types.ts';

export async function freshCertificate(): Promise<DtlsCertificate> {
  return readCertificate(await createCertificate());
}

export interface Wire {
  /** The datagrams that arrive instead of this one. */
  carry(datagram: Buffer, from: 'client' | 'server'): Buffer[];
}

export const PERFECT: Wire = { carry: (datagram) => [datagram] };

export interface EndOptions {
  certificate: DtlsCertificate;
  accepts?: (der: Buffer) => boolean;
}

export class DtlsEnd {
  readonly association: DtlsAssociation;
  readonly outbox: Buffer[] = [];
  readonly data: string[] = [];
  readonly log: string[] = [];
  keys: SrtpKeys | null = null;

  constructor(role: 'client' | 'server', options: EndOptions) {
    this.association = new DtlsAssociation({
      role,
      certificate: options.certificate,
      acceptsCertificate: options.accepts ?? (() => true),
      events: {
        send: (datagram) => void this.outbox.push(datagram),
        connected: (keys) => {
          this.keys = keys;
          this.log.push('connected');
        },
        applicationData: (data) => void this.data.push(data.toString()),
        ended: (reason) => void this.log.push(reason),
      },
    });
  }
}

const STEP_MS = 20;

export class DtlsPair {
  readonly client: DtlsEnd;
  readonly server: DtlsEnd;
  readonly #wire: Wire;
  nowMs = 0;
  datagrams = 0;

  constructor(client: EndOptions, server: EndOptions, wire: Wire = PERFECT) {
    this.client = new DtlsEnd('client', client);
    this.server = new DtlsEnd('server', server);
    this.#wire = wire;
  }

  start(): this {
    this.client.association.start(this.nowMs);
    return this;
  }

  /** Lets both talk until both are connected, one ended, or `limitMs` are over. */
  run(limitMs: number): this {
    const settled = (): boolean =>
      [this.client, this.server].some(({ log }) => log.includes('failed') || log.includes('closed')) ||
      (this.client.keys !== null && this.server.keys !== null);
    const end = this.nowMs + limitMs;
    for (;;) {
      this.flush();
      if (settled() || this.nowMs >= end) return this;
      this.nowMs += STEP_MS;
      this.client.association.tick(this.nowMs);
      this.server.association.tick(this.nowMs);
    }
  }

  /** Delivers everything that waits, and what comes of it. */
  flush(): this {
    while (this.client.outbox.length + this.server.outbox.length > 0) {
      this.#deliver(this.client, this.server, 'client');
      this.#deliver(this.server, this.client, 'server');
    }
    return this;
  }

  #deliver(from: DtlsEnd, to: DtlsEnd, side: 'client' | 'server'): void {
    for (const datagram of from.outbox.splice(0)) {
      this.datagrams += 1;
      for (const arrived of this.#wire.carry(datagram, side)) to.association.receive(arrived, this.nowMs);
    }
  }
}
