/**
 * The newest picture of a room, for a moment: however many ask for it, its node makes and sends one a second, and the link
 * that carries everything else of that node is not filled with pictures.
 */
import type { Outcome } from '../../shared/errors.ts';

const FRESH_MS = 1_000;

type Snapshot = Outcome<{ jpeg: string }>;

export class SnapshotMemory {
  #known: { of: string; taken: Promise<Snapshot> } | null = null;

  /** @param of whose picture it is: another publisher's is never shown for it */
  take(of: string, ask: () => Promise<Snapshot>): Promise<Snapshot> {
    if (this.#known?.of === of) return this.#known.taken;
    const known = { of, taken: ask() };
    this.#known = known;
    // Forgotten by a timer and not by a look at the clock: a megabyte is not kept for a room that nobody looks at.
    const forget = () => {
      if (this.#known === known) this.#known = null;
    };
    known.taken.then(() => setTimeout(forget, FRESH_MS), forget);
    return known.taken;
  }
}
