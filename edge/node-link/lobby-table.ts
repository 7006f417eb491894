/**
 * The lobbies that may have something on this node: one small row each, so that they can be asked when the node links
 * and told when it is lost. A row is written when a publisher is sent here and goes when its lobby has ended.
 *
 * Rows carry the revision that wrote them: an old goodbye does not remove what a newer publisher has written.
 */
import { z } from 'zod';
import { type LobbyId, lobbyIdSchema } from '../../shared/ids.ts';

const PREFIX = 'lobby:';
const revisionSchema = z.int().nonnegative();

export class LobbyTable {
  readonly #kv: SyncKvStorage;
  readonly #revisions = new Map<LobbyId, number>();

  constructor(kv: SyncKvStorage) {
    this.#kv = kv;
    for (const [key, value] of kv.list({ prefix: PREFIX })) {
      const lobby = lobbyIdSchema.safeParse(key.slice(PREFIX.length));
      const revision = revisionSchema.safeParse(value);
      if (lobby.success && revision.success) this.#revisions.set(lobby.data, revision.data);
      else kv.delete(key);
    }
  }

  get lobbies(): LobbyId[] {
    return [...this.#revisions.keys()];
  }

  revisionOf(lobby: LobbyId): number | null {
    return this.#revisions.get(lobby) ?? null;
  }

  remember(lobby: LobbyId, revision: number): void {
    if ((this.revisionOf(lobby) ?? -1) >= revision) return;
    this.#revisions.set(lobby, revision);
    this.#kv.put(PREFIX + lobby, revision);
  }

  /** Removes the row unless something newer than `revision` has been written. */
  forget(lobby: LobbyId, revision: number): void {
    const known = this.revisionOf(lobby);
    if (known === null || known > revision) return;
    this.#revisions.delete(lobby);
    this.#kv.delete(PREFIX + lobby);
  }
}
