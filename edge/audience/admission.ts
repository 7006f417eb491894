/** A viewer at the door of a room, as the Worker sees it. */
import type { Outcome } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type { Coordinates } from '../../shared/protocol/control.ts';
import type { Env } from '../env.ts';
import { cellName, Spreads } from './shard.ts';

const spreads = new Spreads();

/** Opens a viewer's session on the node that is best for it. Refusals as `AudienceRpc.play`. */
export async function admit(
  env: Env,
  viewer: { lobby: LobbyId; session: SessionId; offer: string | null; near: Coordinates | null },
): Promise<Outcome<{ sdp: string; etag: string; node: NodeId }>> {
  const cell = cellName(viewer.lobby, viewer.near);
  const asker = spreads.pick(cell, Math.random());
  const outcome = await env.AUDIENCE.getByName(asker).play({ ...viewer, asker });
  spreads.answered(cell, outcome.busy, Date.now());
  return outcome;
}
