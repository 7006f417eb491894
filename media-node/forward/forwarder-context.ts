/** What all sessions of one forwarder share. */
import type { FanoutEngine } from './fanout-engine.ts';
import type { ForwarderOptions } from './types.ts';

export interface ForwarderContext {
  readonly engine: FanoutEngine;
  readonly cache: ForwarderOptions;
  readonly counters: { packetsIn: number; bytesIn: number; dropped: number };
  /** Unix time in milliseconds when the monotonic clock was 0. */
  readonly epochOffsetMs: number;
  /** The latest `nowMs` that the forwarder was given. */
  now(): number;
  onIngressClosed(session: object): void;
  onEgressClosed(session: object): void;
  /** The session wants its `tick` at that time. */
  onEgressDue(session: object, atMs: number): void;
}
