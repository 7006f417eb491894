/** What the door for viewers offers to the Worker and to the lobby. */
import type { Outcome } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type { Coordinates } from '../../shared/protocol/control.ts';

/**
 * The door for viewers of one room from one part of the world: `env.AUDIENCE.getByName(lobby + '|' + shard)`. Remembers
 * where the lobby sends them, so that the lobby does not hear of each. Nothing is stored.
 */
export interface AudienceRpc {
  /**
   * Opens a viewer's session: refusals as `LobbyRpc.route` and as the node's. The session id is bound to the node that
   * carries it: the Worker writes both into the resource URL. `busy`: so many come that they should be spread over more of
   * these objects.
   */
  play(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string | null;
    near: Coordinates | null;
    /** The name of this object. */
    asker: string;
  }): Promise<Outcome<{ sdp: string; etag: string; node: NodeId }> & { busy: boolean }>;
  /** What was remembered of routes is no good any more. */
  forget(): Promise<void>;
}
