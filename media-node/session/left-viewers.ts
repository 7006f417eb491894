/** Viewers that closed the connection before they said DELETE, as many libraries do: it still succeeds. */
import type { SessionId } from '../../shared/ids.ts';

const MAX_REMEMBERED = 1_000;

export class LeftViewers {
  /** Oldest first. */
  readonly #sessions = new Set<SessionId>();

  remember(session: SessionId): void {
    this.#sessions.add(session);
    for (const oldest of this.#sessions) {
      if (this.#sessions.size <= MAX_REMEMBERED) return;
      this.#sessions.delete(oldest);
    }
  }

  /** True once for each that is remembered. */
  take(session: SessionId): boolean {
    return this.#sessions.delete(session);
  }
}
