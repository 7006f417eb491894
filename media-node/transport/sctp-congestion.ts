/** How much an SCTP sender may have on the way (RFC 9260 §7.2). */
import { tsnDistance } from './sctp-packet.ts';

/** As of libwebrtc, and of TCP (RFC 6928): an SDP answer leaves at once. */
const INITIAL_CHUNKS = 10;
const MIN_CHUNKS_AFTER_LOSS = 4;

export class CongestionWindow {
  readonly #chunkBytes: number;
  #bytes: number;
  #thresholdBytes: number;
  #partialBytes = 0;
  /** Until this TSN is acknowledged, further losses do not shrink the window, and it does not grow. */
  #recoveryTsn: number | null = null;

  /** @param chunkBytes of the longest chunk */
  constructor(chunkBytes: number, peerWindowBytes: number) {
    this.#chunkBytes = chunkBytes;
    this.#bytes = INITIAL_CHUNKS * chunkBytes;
    this.#thresholdBytes = peerWindowBytes;
  }

  /** A chunk may be sent while less than this is on the way (RFC 9260 §6.1 B). */
  get bytes(): number {
    return this.#bytes;
  }

  /** Everything up to `cumulativeTsn` is acknowledged. */
  advance(cumulativeTsn: number): void {
    if (this.#recoveryTsn !== null && tsnDistance(this.#recoveryTsn, cumulativeTsn) >= 0) this.#recoveryTsn = null;
  }

  /** After new acknowledgements, when the window was full before (§7.2.1, §7.2.2). */
  grow(acknowledgedBytes: number): void {
    if (this.#recoveryTsn !== null) return;
    if (this.#bytes <= this.#thresholdBytes) {
      this.#bytes += Math.min(acknowledgedBytes, this.#chunkBytes);
      return;
    }
    this.#partialBytes += acknowledgedBytes;
    if (this.#partialBytes < this.#bytes) return;
    this.#partialBytes -= this.#bytes;
    this.#bytes += this.#chunkBytes;
  }

  /**
   * Chunks were lost (§7.2.4). True when that was not known before: one of them goes out at once, however much is on
   * the way.
   */
  shrink(lastTsn: number): boolean {
    if (this.#recoveryTsn !== null) return false;
    this.#thresholdBytes = this.#halved();
    this.#bytes = this.#thresholdBytes;
    this.#partialBytes = 0;
    this.#recoveryTsn = lastTsn;
    return true;
  }

  /** After a timeout one chunk may be on the way (§7.2.3). */
  collapse(): void {
    this.#thresholdBytes = this.#halved();
    this.#bytes = this.#chunkBytes;
    this.#partialBytes = 0;
    this.#recoveryTsn = null;
  }

  #halved(): number {
    return Math.max(this.#bytes >> 1, MIN_CHUNKS_AFTER_LOSS * this.#chunkBytes);
  }
}
