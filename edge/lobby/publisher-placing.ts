/** Opens the session of a room's publisher, where the viewers of a lost one are if that can be. */
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type { Coordinates, NodeResult } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import type { LobbyEvent } from './lobby-events.ts';
import { preferredNode } from './lobby-machine.ts';
import { ROOM_CLOSED } from './lobby-problems.ts';
import type { LobbyState } from './lobby-state.ts';
import { openOnSomeNode } from './opening.ts';

/** The object whose publisher is placed. */
interface Host {
  readonly env: Env;
  state(): LobbyState | null;
  /** Steps and starts what comes of it. */
  feed(event: LobbyEvent): Problem | null;
}

interface Publishing {
  lobby: LobbyId;
  session: SessionId;
  offer: string;
  near: Coordinates | null;
}

/** What the room is at when the node is asked: a later answer is told from an earlier one by it. */
interface Asked {
  revision: number;
  generation: number;
  replaces: SessionId | null;
}

/** Leaves no trace of the publisher when it fails. */
export function placePublisherOf(host: Host, publishing: Publishing): Promise<Outcome<NodeResult<'publish'>>> {
  const { lobby, session, offer } = publishing;
  return openOnSomeNode<Asked, NodeResult<'publish'>>({
    choose: (refused) => choose(host, publishing, refused),
    ask: ({ node, boot, ...asked }, deadlineMs) =>
      host.env.NODE_LINK.getByName(node).request<'publish'>(
        { method: 'publish', lobby, session, offer, ...asked },
        deadlineMs,
        boot,
      ),
    opened: ({ node, boot, revision }, { tracks, resumed }) =>
      host.feed({ type: 'opened', lobby, session, revision, node, boot, tracks, resumed }),
    failed: (uncertain) => host.feed({ type: 'open-failed', session, uncertain }),
  });
}

async function choose(
  host: Host,
  { lobby, session, near }: Publishing,
  refused: readonly NodeId[],
): Promise<Outcome<Asked & Carrier>> {
  const prefer = refused.length === 0 ? preferredNode(host.state()) : null;
  const placed = await host.env.FLEET.getByName(FLEET_NAME).place({ lobby, prefer, near, exclude: [...refused] });
  if (!placed.ok) return placed;
  const { node, boot } = placed.value;
  const refusal = host.feed({ type: 'placed', session, node, boot });
  const state = host.state();
  if (refusal !== null || !state?.opening) return failed(refusal ?? ROOM_CLOSED);
  const { generation, replaces } = state.opening;
  return succeeded({ node, boot, revision: state.revision, generation, replaces });
}
