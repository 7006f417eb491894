/**
 * Requests to the node on behalf of others: waits for a link that is just coming back, refuses what the node would not
 * understand, and remembers which lobbies may have something there.
 */
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { BootId } from '../../shared/ids.ts';
import {
  type NodeMethod,
  type NodeRequest,
  type NodeResult,
  REQUEST_DEADLINE_MS,
  resultSchemas,
} from '../../shared/protocol/control.ts';
import { NO_SESSION } from '../problems.ts';
import { readAttachment } from './link-socket.ts';
import type { LinkSockets } from './link-sockets.ts';
import type { LobbyTable } from './lobby-table.ts';
import { type LinkState, mayBeLinked } from './node-link-machine.ts';
import { NODE_TIMEOUT, NODE_TOO_OLD, NODE_UNREACHABLE, type PendingRequests } from './pending-requests.ts';
import { begins, ends, protocolOf } from './request-kinds.ts';
import type { Waiters } from './waiters.ts';

/** A caller waits this long for a node that is just dialling again. */
const RELINK_WAIT_MS = 3_000;
const NOT_UNDERSTOOD: Problem = {
  status: 502,
  code: 'node_error',
  detail: 'the media node gave an answer that was not understood',
};

/** The object whose node is asked. */
interface Host {
  readonly sockets: LinkSockets;
  readonly table: LobbyTable;
  readonly pending: PendingRequests;
  readonly waiters: Waiters;
  state(): LinkState;
}

export class NodeRequests {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  /** As `NodeLinkRpc.request`. */
  async send<M extends NodeMethod>(
    request: Extract<NodeRequest, { method: M }>,
    deadlineMs: number = REQUEST_DEADLINE_MS,
    boot?: BootId,
  ): Promise<Outcome<NodeResult<M>>> {
    const asked: NodeRequest = request;
    const { table } = this.#host;
    // Before it is sent, so that the node's hello after a crash finds its lobby again.
    const begun = begins(asked);
    const isNew = begun !== null && table.revisionOf(begun.lobby) === null;
    if (begun !== null) table.remember(begun.lobby, begun.revision);
    const { outcome, mayHaveArrived } = await this.#ask(asked, deadlineMs, boot);
    if (!outcome.ok) {
      if (begun !== null && isNew && !mayHaveArrived) table.forget(begun.lobby, begun.revision);
      // Also when it was given up while the answer was awaited.
      return outcome.problem.code === NODE_UNREACHABLE.code && this.#hasLost(asked) ? failed(NO_SESSION) : outcome;
    }
    const ended = ends(asked);
    if (ended !== null) table.forget(ended.lobby, ended.revision);
    const result = resultSchemas[request.method].safeParse(outcome.value);
    return result.success ? succeeded(result.data as NodeResult<M>) : failed(NOT_UNDERSTOOD);
  }

  /** `mayHaveArrived`: of a request that failed, whether the node may have done it all the same. */
  async #ask(
    asked: NodeRequest,
    deadlineMs: number,
    boot: BootId | undefined,
  ): Promise<{ outcome: Outcome<unknown>; mayHaveArrived: boolean }> {
    const endsAt = Date.now() + deadlineMs;
    const socket = await this.#readySocket(Math.min(deadlineMs, RELINK_WAIT_MS));
    const refused = (problem: Problem) => ({ outcome: failed(problem), mayHaveArrived: false });
    const isMeant = boot === undefined || this.#host.state()?.boot === boot;
    if (socket === null || !isMeant) return refused(NODE_UNREACHABLE);
    const protocol = readAttachment(socket)?.about?.protocol ?? 0;
    if (protocol < protocolOf(asked.method)) return refused(NODE_TOO_OLD);
    const outcome = await this.#host.pending.send(socket, asked, Math.max(1, endsAt - Date.now()));
    const code = outcome.ok ? null : outcome.problem.code;
    return { outcome, mayHaveArrived: code === NODE_TIMEOUT.code || code === NODE_UNREACHABLE.code };
  }

  /** The node has not come back in time, so a client who asks for its session need not wait to make another. */
  #hasLost({ method }: NodeRequest): boolean {
    return (method === 'probe' || method === 'patch') && !mayBeLinked(this.#host.state(), Date.now());
  }

  async #readySocket(waitMs: number): Promise<WebSocket | null> {
    const { sockets, state, waiters } = this.#host;
    const ready = sockets.ready(state());
    if (ready !== null || !mayBeLinked(state(), Date.now())) return ready;
    await waiters.wait(waitMs);
    return sockets.ready(state());
  }
}
