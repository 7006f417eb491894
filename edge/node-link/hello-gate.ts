/**
 * How often a node may introduce itself. A hello is dear: all lobbies that it names are asked. In memory only, for whoever
 * floods keeps the object awake.
 */
import { type Bucket, takeToken } from '../middleware/rate-limit-machine.ts';

/** A node that restarts in a loop, or an edge that is being mended, stays below this. */
const HELLOS = { rps: 0.5, burst: 10 };
/** The log says it once in this time. */
const COMPLAINT_INTERVAL_MS = 10_000;
/** Connections that have not said hello yet; the oldest makes way, for a node says hello at once. */
export const MAX_GREETING = 16;

export class HelloGate {
  #bucket: Bucket | undefined;
  #complainedAt = 0;

  /** False: too many. `isKnown`: it is the life of the node that is remembered here, which nobody else can claim to be. */
  admits(isKnown: boolean, now: number): boolean {
    const verdict = takeToken(this.#bucket, HELLOS, now);
    this.#bucket = verdict.bucket;
    return verdict.allowed || isKnown;
  }

  /** Says something to the log unless it was just said. */
  complain(message: string, now: number): void {
    if (now - this.#complainedAt < COMPLAINT_INTERVAL_MS) return;
    this.#complainedAt = now;
    console.warn(message);
  }
}
