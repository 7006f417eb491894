/**
 * Handshakes in slices. A datagram of a DTLS handshake costs up to a millisecond of cryptography; a hundred joins that come
 * at once must not make media wait for all of them. So they wait for the end of the event loop's turn, in which everything
 * that arrived has been forwarded, and get a few milliseconds of each.
 */
import type { PeerAddress } from './ice-lite-machine.ts';

/** What waits; media (`from` null) that came behind a message of the handshake, which may be the one that brings its keys. */
interface Waiting {
  readonly datagram: Buffer;
  readonly from: PeerAddress | null;
}

export interface HandshakeOwner {
  receiveDeferred(datagram: Buffer, from: PeerAddress | null, nowMs: number): void;
}

/** Of each turn of the event loop; one datagram is always handled. */
const SLICE_MS = 3;
/** Of one peer: a flight in small fragments, and the first packets of media. */
const MAX_PER_OWNER = 64;
/** Of all; beyond it the peers' own repetition has to do. */
const MAX_WAITING = 8192;

export class HandshakeQueue {
  /** Whose turn is next is first. */
  readonly #waiting = new Map<HandshakeOwner, Waiting[]>();
  readonly #onFault: (error: unknown) => void;
  readonly #run = (): void => this.#runSlice();
  #immediate: NodeJS.Immediate | null = null;
  #size = 0;
  /** Datagrams that found no room. */
  dropped = 0;

  constructor(onFault: (error: unknown) => void) {
    this.#onFault = onFault;
  }

  has(owner: HandshakeOwner): boolean {
    return this.#waiting.has(owner);
  }

  /** Keeps a copy of the datagram, or drops it. */
  push(owner: HandshakeOwner, datagram: Buffer, from: PeerAddress | null): void {
    const own = this.#waiting.get(owner) ?? [];
    if (own.length >= MAX_PER_OWNER || this.#size >= MAX_WAITING) {
      this.dropped += 1;
      return;
    }
    own.push({ datagram: Buffer.from(datagram), from });
    this.#size += 1;
    this.#waiting.set(owner, own);
    this.#immediate ??= setImmediate(this.#run);
  }

  /** Forgets what waits for `owner`. */
  remove(owner: HandshakeOwner): void {
    this.#size -= this.#waiting.get(owner)?.length ?? 0;
    this.#waiting.delete(owner);
  }

  #runSlice(): void {
    this.#immediate = null;
    let nowMs = performance.now();
    const endMs = nowMs + SLICE_MS;
    for (const [owner, own] of this.#waiting) {
      this.#handleNext(owner, own, nowMs);
      nowMs = performance.now();
      if (nowMs >= endMs) break;
    }
    if (this.#waiting.size > 0) this.#immediate ??= setImmediate(this.#run);
  }

  #handleNext(owner: HandshakeOwner, own: Waiting[], nowMs: number): void {
    const next = own.shift();
    this.#waiting.delete(owner);
    // To the back; `for … of` comes to it again.
    if (own.length > 0) this.#waiting.set(owner, own);
    if (next === undefined) return;
    this.#size -= 1;
    try {
      owner.receiveDeferred(next.datagram, next.from, nowMs);
    } catch (error) {
      this.#onFault(error);
    }
  }
}
