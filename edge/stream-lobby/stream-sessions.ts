/** What is done with the sessions of members and listeners once they are in: their node is asked. */

import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';
import {
  type NodeMethod,
  type NodeRequest,
  type NodeResult,
  REQUEST_DEADLINE_MS,
} from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import type { Env } from '../env.ts';
import type { StreamEvent } from './stream-events.ts';
import { NO_SESSION } from './stream-problems.ts';
import { memberListeningAs, memberOf, memberWith, type StreamState } from './stream-state.ts';

/** The node waits 10 s for the signal channel before it refuses. */
const LISTEN_DEADLINE_MS = 12_000;
const NO_OFFER_PENDING: Problem = { status: 422, code: 'no_offer_pending', detail: 'no answer is awaited' };

/** The object whose sessions these are. */
interface Host {
  readonly env: Env;
  state(): StreamState | null;
  /** Steps and starts what comes of it. */
  feed(event: StreamEvent): Problem | null;
}

export class StreamSessions {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  async listen(input: {
    member: SessionId;
    session: SessionId;
    offer: string | null;
  }): Promise<Outcome<{ sdp: string; etag: string }>> {
    await this.#forgetGoneListener(input.member);
    const { member, session: listener, offer } = input;
    const refusal = this.#host.feed({ type: 'listen', member, listener });
    const state = this.#host.state();
    const target = memberWith(state, member)?.target ?? null;
    if (refusal !== null || state === null || target === null) return failed(refusal ?? NO_SESSION);
    const request = { method: 'listen', lobby: state.lobby, member, session: listener, offer } as const;
    try {
      const outcome = await this.#ask<'listen'>(target, request, LISTEN_DEADLINE_MS);
      if (outcome.ok) {
        const late = this.#host.feed({ type: 'listening', listener });
        return late === null ? outcome : failed(late);
      }
      const { code } = outcome.problem;
      const uncertain = code === 'node_timeout' || code === 'node_error' || code === 'node_unreachable';
      this.#host.feed({ type: 'listen-failed', listener, uncertain });
      return outcome;
    } catch (error) {
      this.#host.feed({ type: 'listen-failed', listener, uncertain: true });
      throw error;
    }
  }

  async answer(input: { session: SessionId; answer: string }): Promise<Outcome<null>> {
    const member = memberOf(this.#host.state(), input.session);
    const session = member?.listener?.session;
    if (session === undefined) {
      // A member that does not listen was never offered anything.
      return failed(member === null ? NO_SESSION : NO_OFFER_PENDING);
    }
    const outcome = await this.#ask<'answer'>(member?.target, { method: 'answer', session, answer: input.answer });
    return outcome.ok ? succeeded(null) : outcome;
  }

  async patch(input: {
    session: SessionId;
    fragment: string;
    ifMatch: string | null;
    strict: boolean;
  }): Promise<Outcome<NodeResult<'patch'>>> {
    return this.#ask<'patch'>(memberOf(this.#host.state(), input.session)?.target, { method: 'patch', ...input });
  }

  async probe({ session }: { session: SessionId }): Promise<Outcome<null>> {
    const outcome = await this.#ask<'probe'>(memberOf(this.#host.state(), session)?.target, {
      method: 'probe',
      session,
    });
    return outcome.ok ? succeeded(null) : outcome;
  }

  /** The word that a listener has ended may be on its way, or was never said: the node knows. */
  async #forgetGoneListener(session: SessionId): Promise<void> {
    const member = memberWith(this.#host.state(), session);
    if (member?.listener?.phase !== 'open') return;
    const listener = member.listener.session;
    const outcome = await this.#ask<'probe'>(member.target, { method: 'probe', session: listener });
    const isGone = !outcome.ok && outcome.problem.status === NO_SESSION.status;
    if (isGone && memberListeningAs(this.#host.state(), listener))
      this.#host.feed({ type: 'leave', session: listener });
  }

  async #ask<M extends NodeMethod>(
    target: Carrier | null | undefined,
    request: Extract<NodeRequest, { method: M }>,
    deadlineMs: number = REQUEST_DEADLINE_MS,
  ): Promise<Outcome<NodeResult<M>>> {
    if (!target) return failed(NO_SESSION);
    const outcome = await this.#host.env.NODE_LINK.getByName(target.node).request<M>(request, deadlineMs, target.boot);
    // A copy: what came over RPC and is passed on keeps both calls, and so both objects, from ending.
    return outcome.ok ? succeeded(outcome.value) : failed(outcome.problem);
  }
}
