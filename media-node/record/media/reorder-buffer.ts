/**
 * Puts packets back in order. A packet that is missing is waited for as long as a repair may take; then it is lost, and
 * said to be. What waits behind it is bounded in time, number and bytes.
 */
import { extendSequence } from '../../forward/sequence.ts';

/** NACKs are sent for a second at most, and answered within a round trip. */
const PATIENCE_MS = 1_000;
const MAX_PACKETS = 2_048;
const MAX_BYTES = 4 * 1024 * 1024;
/** A jump beyond this is a new numbering, not a loss. */
const MAX_JUMP = 8_192;

export interface OrderedPackets {
  packet(rtp: Buffer, arrivalMs: number): void;
  /** Packets before the next one never came. */
  lost(): void;
}

export class ReorderBuffer {
  readonly #out: OrderedPackets;
  readonly #held = new Map<number, { rtp: Buffer; arrivalMs: number }>();
  #heldBytes = 0;
  /** Extended number of the packet that is due; -1 before the first. */
  #next = -1;

  constructor(out: OrderedPackets) {
    this.#out = out;
  }

  /** @param rtp a whole RTP packet; kept by reference while it waits */
  push(rtp: Buffer, arrivalMs: number): void {
    const sequence = rtp.readUInt16BE(2);
    if (this.#next < 0) this.#next = sequence + 0x10000;
    const extended = extendSequence(sequence, this.#next);
    if (Math.abs(extended - this.#next) > MAX_JUMP) {
      this.flush();
      this.#out.lost();
      this.#next = sequence + 0x10000;
      this.push(rtp, arrivalMs);
      return;
    }
    if (extended < this.#next || this.#held.has(extended)) return;
    if (extended === this.#next) {
      this.#emit(rtp, arrivalMs);
      this.#drain();
      return;
    }
    this.#held.set(extended, { rtp, arrivalMs });
    this.#heldBytes += rtp.length;
    if (this.#held.size > MAX_PACKETS || this.#heldBytes > MAX_BYTES) this.#giveUp();
  }

  /** Gives up what has been missing for too long. */
  tick(nowMs: number): void {
    while (this.#held.size > 0) {
      let oldestMs = Number.POSITIVE_INFINITY;
      for (const { arrivalMs } of this.#held.values()) oldestMs = Math.min(oldestMs, arrivalMs);
      if (nowMs - oldestMs < PATIENCE_MS) return;
      this.#giveUp();
    }
  }

  /** Nothing more comes: all that is held goes out. */
  flush(): void {
    while (this.#held.size > 0) this.#giveUp();
  }

  #emit(rtp: Buffer, arrivalMs: number): void {
    this.#next++;
    this.#out.packet(rtp, arrivalMs);
  }

  #drain(): void {
    for (let held = this.#held.get(this.#next); held !== undefined; held = this.#held.get(this.#next)) {
      this.#held.delete(this.#next);
      this.#heldBytes -= held.rtp.length;
      this.#emit(held.rtp, held.arrivalMs);
    }
  }

  /** Goes on with the first packet that is here. */
  #giveUp(): void {
    this.#next = Math.min(...this.#held.keys());
    this.#out.lost();
    this.#drain();
  }
}
