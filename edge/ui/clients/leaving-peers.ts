/** Peer sessions on their way out. */
import type { PeerSession } from './peer-session.ts';

export class LeavingPeers {
  /** Those that go on for a moment. */
  readonly #lingering = new Map<PeerSession, ReturnType<typeof setTimeout>>();
  #settled: Promise<void> = Promise.resolve();

  /** Resolves when the DELETE of all that were closed so far has been answered. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  close(peer: PeerSession): void {
    clearTimeout(this.#lingering.get(peer));
    this.#lingering.delete(peer);
    this.#settled = Promise.all([this.#settled, peer.close()]).then(() => undefined);
  }

  closeAfter(peer: PeerSession, delayMs: number): void {
    this.#lingering.set(
      peer,
      setTimeout(() => this.close(peer), delayMs),
    );
  }

  /** Those that would go on for a moment end at once. */
  closeLingering(): void {
    for (const peer of [...this.#lingering.keys()]) this.close(peer);
  }
}
