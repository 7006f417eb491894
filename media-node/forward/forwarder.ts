/** All media of a process: opens sessions, and drives what time drives. */
import { DeadlineWheel } from '../deadline-wheel.ts';
import { EgressSession } from './egress-media.ts';
import type { FanoutEngine } from './fanout-engine.ts';
import type { ForwarderContext } from './forwarder-context.ts';
import { IngressSession } from './ingress-media.ts';
import { PortableEngine } from './portable-engine.ts';
import type {
  EgressMedia,
  EgressMediaOptions,
  Forwarder,
  ForwarderOptions,
  IngressMedia,
  IngressMediaOptions,
} from './types.ts';

/** What a test or a node with another engine may set. */
export interface ForwarderParts {
  engine?: FanoutEngine;
  /** Unix time in milliseconds when `nowMs` was 0; that of `performance.now()` by default. */
  epochOffsetMs?: number;
  /** Something threw that should not: it cost one session one turn. Thrown on when absent. */
  onFault?(error: unknown): void;
}

/** A forwarder without sessions. Drive it by `tick` every 10 ms. */
export function createForwarder(options: ForwarderOptions, parts: ForwarderParts = {}): Forwarder {
  return new MediaForwarder(
    options,
    parts.engine ?? new PortableEngine(),
    parts.epochOffsetMs ?? performance.timeOrigin,
    parts.onFault ?? rethrow,
  );
}

function rethrow(error: unknown): never {
  throw error;
}

class MediaForwarder implements Forwarder {
  readonly #engine: FanoutEngine;
  readonly #context: ForwarderContext;
  readonly #incoming = { packetsIn: 0, bytesIn: 0, dropped: 0 };
  readonly #ingress = new Set<IngressSession>();
  readonly #egress = new Set<EgressSession>();
  /** When viewers have something to do: thousands of them mostly have nothing. */
  readonly #deadlines = new DeadlineWheel<EgressSession>(0);
  readonly #onFault: (error: unknown) => void;
  #nowMs = 0;

  constructor(
    options: ForwarderOptions,
    engine: FanoutEngine,
    epochOffsetMs: number,
    onFault: (error: unknown) => void,
  ) {
    this.#engine = engine;
    this.#onFault = onFault;
    this.#context = {
      engine,
      cache: options,
      counters: this.#incoming,
      epochOffsetMs,
      now: () => this.#nowMs,
      onIngressClosed: (session) => this.#ingress.delete(session as IngressSession),
      onEgressClosed: (session) => {
        this.#egress.delete(session as EgressSession);
        this.#deadlines.remove(session as EgressSession);
      },
      onEgressDue: (session, atMs) => this.#deadlines.schedule(session as EgressSession, atMs),
    };
  }

  get engine(): 'portable' | 'native' {
    return this.#engine.name;
  }

  get counters(): Forwarder['counters'] {
    const { packets, bytes } = this.#engine.counters;
    const { dropped: droppedOut = 0, delayed: delayedOut = 0 } = this.#engine.sending ?? {};
    return { ...this.#incoming, packetsOut: packets, bytesOut: bytes, droppedOut, delayedOut };
  }

  get sending(): Forwarder['sending'] {
    return this.#engine.sending;
  }

  openIngress(options: IngressMediaOptions, nowMs: number): IngressMedia {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const session = new IngressSession(options, this.#context);
    this.#ingress.add(session);
    return session;
  }

  openEgress(options: EgressMediaOptions, nowMs: number): EgressMedia {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const session = new EgressSession(options, this.#context, nowMs);
    this.#egress.add(session);
    this.#deadlines.schedule(session, nowMs);
    return session;
  }

  tick(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    for (const session of this.#ingress) {
      // One session's fault must not cost the others theirs.
      try {
        session.tick(nowMs);
      } catch (error) {
        this.#onFault(error);
      }
    }
    this.#deadlines.advance(nowMs, (session) => this.#turn(session, nowMs));
  }

  #turn(session: EgressSession, nowMs: number): void {
    let dueMs = nowMs;
    try {
      dueMs = session.tick(nowMs);
    } catch (error) {
      this.#onFault(error);
    }
    if (this.#egress.has(session)) this.#deadlines.schedule(session, dueMs);
  }

  close(): void {
    for (const session of [...this.#egress]) session.close();
    for (const session of [...this.#ingress]) session.close();
  }
}
