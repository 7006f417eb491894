/**
 * Opens a member's session on the lobby's node: the first member has one chosen, the others follow. Another one is tried
 * when it cannot be reached and nobody is there yet.
 */
import { failed, type Outcome, type Problem } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import { type NodeResult, REQUEST_DEADLINE_MS } from '../../shared/protocol/control.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import type { Carrier } from '../lobby/lobby-state.ts';
import type { StreamEvent } from './stream-events.ts';
import { OPENING_BUDGET_MS } from './stream-machine.ts';
import { LOBBY_CLOSED, NO_MEDIA_NODE } from './stream-problems.ts';
import type { StreamState } from './stream-state.ts';

/** A third node would be later than clients wait. */
const MAX_NODES_TRIED = 2;
/** Less time than this is not worth another try. */
const MIN_TRY_MS = 1_000;

/** The object whose members are placed. */
interface Host {
  readonly env: Env;
  state(): StreamState | null;
  /** Steps and starts what comes of it. */
  feed(event: StreamEvent): Problem | null;
}

interface Joining {
  lobby: LobbyId;
  session: SessionId;
  fixed: boolean;
  offer: string;
}

export class StreamPlacing {
  readonly #host: Host;
  /** The choice that is being made now: who comes meanwhile waits for it. */
  #choosing: Promise<Problem | null> | null = null;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Leaves no trace of the member when it fails. */
  async open(joining: Joining): Promise<Outcome<NodeResult<'join'>>> {
    const { session } = joining;
    const endsAt = Date.now() + OPENING_BUDGET_MS;
    const unreachable: NodeId[] = [];
    while (unreachable.length < MAX_NODES_TRIED) {
      const problem = await this.#haveNode(joining.lobby, unreachable);
      if (problem !== null) return this.#fail(session, problem, unreachable.length > 0);
      const refusal = this.#host.feed({ type: 'targeted', session });
      const target = this.#host.state()?.node ?? null;
      if (refusal !== null || target === null) {
        return this.#fail(session, refusal ?? LOBBY_CLOSED, unreachable.length > 0);
      }
      const outcome = await this.#ask(target, joining, Math.min(REQUEST_DEADLINE_MS, endsAt - Date.now()));
      if (outcome.ok) {
        const { tracks } = outcome.value;
        const late = this.#host.feed({ type: 'opened', lobby: joining.lobby, session, tracks, ...target });
        return late === null ? outcome : failed(late);
      }
      const { code } = outcome.problem;
      if (code !== 'node_unreachable' && code !== 'node_full') {
        return this.#fail(session, outcome.problem, code === 'node_timeout' || code === 'node_error');
      }
      unreachable.push(target.node);
      this.#host.feed({ type: 'unplaced', ...target });
      // The others are there: this member cannot be anywhere else.
      if (this.#host.state()?.node?.node === target.node || endsAt - Date.now() < MIN_TRY_MS) break;
    }
    return this.#fail(session, NO_MEDIA_NODE, true);
  }

  async #haveNode(lobby: LobbyId, exclude: NodeId[]): Promise<Problem | null> {
    while ((this.#host.state()?.node ?? null) === null) {
      const choosing = this.#choosing ?? this.#choose(lobby, exclude);
      this.#choosing = choosing;
      const problem = await choosing;
      if (problem !== null) return problem;
      // The lobby was closed while the node was chosen.
      if (this.#host.state() === null) return LOBBY_CLOSED;
    }
    return null;
  }

  async #choose(lobby: LobbyId, exclude: NodeId[]): Promise<Problem | null> {
    try {
      const fleet = this.#host.env.FLEET.getByName(FLEET_NAME);
      const placed = await fleet.place({ lobby, prefer: null, exclude });
      if (!placed.ok) return placed.problem;
      return this.#host.feed({ type: 'placed', ...placed.value });
    } finally {
      this.#choosing = null;
    }
  }

  #ask(target: Carrier, joining: Joining, deadlineMs: number): Promise<Outcome<NodeResult<'join'>>> {
    const state = this.#host.state();
    const { lobby, session, fixed, offer } = joining;
    const generation = state?.members.find((member) => member.session === session)?.generation ?? 0;
    const revision = state?.revision ?? 0;
    const link = this.#host.env.NODE_LINK.getByName(target.node);
    return link.request<'join'>(
      { method: 'join', lobby, revision, session, generation, fixed, offer },
      Math.max(1, deadlineMs),
      target.boot,
    );
  }

  #fail(session: SessionId, problem: Problem, uncertain: boolean): Outcome<never> {
    this.#host.feed({ type: 'open-failed', session, uncertain });
    return failed(problem);
  }
}
