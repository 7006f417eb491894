/**
 * Requests that a node has not answered yet. They live in memory only: the caller that waits for the answer is an open
 * call on this object, which keeps the object from being evicted, and when the object dies so does the call.
 */
import { failed, type Outcome, type Problem } from '../../shared/errors.ts';
import type { NodeRequest, RequestFrame, ResponseFrame } from '../../shared/protocol/control.ts';

export const NODE_UNREACHABLE: Problem = {
  status: 503,
  code: 'node_unreachable',
  detail: 'the media node cannot be reached',
  retryAfterSeconds: 2,
};
export const NODE_TIMEOUT: Problem = {
  status: 504,
  code: 'node_timeout',
  detail: 'the media node did not answer in time',
  retryAfterSeconds: 2,
};

export const NODE_TOO_OLD: Problem = {
  status: 501,
  code: 'node_too_old',
  detail: 'the media node is of a version that cannot do this',
};

interface Pending {
  socket: WebSocket;
  timer: ReturnType<typeof setTimeout>;
  resolve(outcome: Outcome<unknown>): void;
}

/** Two lives of this object within one millisecond would have to send this many requests to share an id. */
const IDS_PER_MS = 1000;

export class PendingRequests {
  readonly #pending = new Map<number, Pending>();
  /** Starts at the clock, so that a late answer to a previous life of this object matches nothing. */
  #nextId = Date.now() * IDS_PER_MS;

  /** Sends one request; resolves with its response, `node_timeout` after `deadlineMs`, `node_unreachable` on a lost link. */
  send(socket: WebSocket, request: NodeRequest, deadlineMs: number): Promise<Outcome<unknown>> {
    this.#nextId += 1;
    const id = this.#nextId;
    const frame: RequestFrame = { type: 'request', id, deadlineMs, request };
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(id, failed(NODE_TIMEOUT)), deadlineMs);
      this.#pending.set(id, { socket, timer, resolve });
      try {
        socket.send(JSON.stringify(frame));
      } catch {
        this.#settle(id, failed(NODE_UNREACHABLE));
      }
    });
  }

  /** Late and unknown ids are dropped. */
  answer(frame: ResponseFrame): void {
    const { outcome } = frame;
    this.#settle(frame.id, outcome.ok ? { ok: true, value: outcome.value } : failed(outcome.problem));
  }

  failAll(socket: WebSocket): void {
    for (const [id, pending] of this.#pending) {
      if (pending.socket === socket) this.#settle(id, failed(NODE_UNREACHABLE));
    }
  }

  get size(): number {
    return this.#pending.size;
  }

  #settle(id: number, outcome: Outcome<unknown>): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    pending.resolve(outcome);
  }
}
