/** Opens a publisher's session: has a node chosen, offers, tries a second one when the first is out of reach or full. */
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import { type Coordinates, REQUEST_DEADLINE_MS } from '../../shared/protocol/control.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import type { LobbyEvent } from './lobby-events.ts';
import { OPENING_BUDGET_MS, preferredNode } from './lobby-machine.ts';
import { type Carrier, type LobbyState, ROOM_CLOSED } from './lobby-state.ts';

/** A third node would be later than clients wait. */
const MAX_NODES_TRIED = 2;
/** Less time than this is not worth another try. */
const MIN_TRY_MS = 1_000;
export const NO_MEDIA_NODE: Problem = {
  status: 503,
  code: 'no_media_node',
  detail: 'no media node can be reached',
  retryAfterSeconds: 2,
};
const ELSEWHERE: ReadonlySet<string> = new Set(['node_unreachable', 'node_full', 'node_draining']);

/** The object whose publisher is placed. */
interface Host {
  readonly env: Env;
  state(): LobbyState | null;
  /** Steps and starts what comes of it. */
  feed(event: LobbyEvent): Problem | null;
}

export interface Publishing {
  lobby: LobbyId;
  session: SessionId;
  offer: string;
  near: Coordinates | null;
}

type Answer = Outcome<{ answer: string; etag: string }>;

/** Leaves no trace of the publisher when it fails. */
export async function placePublisherOf(host: Host, publishing: Publishing): Promise<Answer> {
  const { lobby, session, near } = publishing;
  const endsAt = Date.now() + OPENING_BUDGET_MS;
  const unreachable: NodeId[] = [];
  while (unreachable.length < MAX_NODES_TRIED) {
    const prefer = unreachable.length === 0 ? preferredNode(host.state()) : null;
    const placed = await host.env.FLEET.getByName(FLEET_NAME).place({ lobby, prefer, near, exclude: unreachable });
    if (!placed.ok) {
      host.feed({ type: 'open-failed', session, uncertain: unreachable.length > 0 });
      return placed;
    }
    const outcome = await offerTo(host, placed.value, publishing, endsAt - Date.now());
    if (outcome.ok || !isElsewherePossible(outcome.problem)) return outcome;
    unreachable.push(placed.value.node);
    if (endsAt - Date.now() < MIN_TRY_MS) break;
  }
  host.feed({ type: 'open-failed', session, uncertain: true });
  return failed(NO_MEDIA_NODE);
}

/** Another node may take what this one did not. */
export function isElsewherePossible(problem: Problem): boolean {
  return ELSEWHERE.has(problem.code);
}

async function offerTo(host: Host, target: Carrier, publishing: Publishing, leftMs: number): Promise<Answer> {
  const { lobby, session, offer } = publishing;
  const { node, boot } = target;
  const refusal = host.feed({ type: 'placed', session, node, boot });
  const state = host.state();
  if (refusal !== null || !state?.opening) return failed(refusal ?? ROOM_CLOSED);
  const { revision } = state;
  const { generation, replaces } = state.opening;
  const outcome = await host.env.NODE_LINK.getByName(node).request<'publish'>(
    { method: 'publish', lobby, revision, session, generation, offer, replaces },
    Math.min(REQUEST_DEADLINE_MS, leftMs),
    boot,
  );
  if (outcome.ok) {
    const { answer, etag, tracks, resumed } = outcome.value;
    const late = host.feed({ type: 'opened', lobby, session, revision, node, boot, tracks, resumed });
    return late === null ? succeeded({ answer, etag }) : failed(late);
  }
  const { code } = outcome.problem;
  if (!isElsewherePossible(outcome.problem)) {
    host.feed({ type: 'open-failed', session, uncertain: code === 'node_timeout' || code === 'node_error' });
  }
  return outcome;
}
