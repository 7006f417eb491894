/**
 * The Durable Object of one stream's lobby: loads the record, asks the machine, keeps the answer, does what it says.
 * Nothing is decided here but the order of calls to other objects.
 */
import { DurableObject } from 'cloudflare:workers';
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import {
  type DesiredStream,
  type NodeMethod,
  type NodeRequest,
  type NodeResult,
  REQUEST_DEADLINE_MS,
} from '../../shared/protocol/control.ts';
import { type Env, readSettings } from '../env.ts';
import type { Carrier } from '../lobby/lobby-state.ts';
import { LobbyStore } from '../lobby/lobby-store.ts';
import { within } from '../lobby/within.ts';
import type { LiveStatus, NodeWord, StreamLobbyRpc } from '../rpc.ts';
import { hashOfToken, mintRequestToken } from './request-token.ts';
import type { StreamEffect, StreamEvent, StreamStep } from './stream-events.ts';
import { step } from './stream-machine.ts';
import { StreamPlacing } from './stream-placing.ts';
import { NO_SESSION, NOTHING_ON } from './stream-problems.ts';
import {
  desiredOn,
  hasMainTrack,
  liveStatusOf,
  memberListeningAs,
  memberOf,
  memberWith,
  nextDeadline,
  type StreamState,
  streamRecordSchema,
} from './stream-state.ts';

/** A DELETE is answered after this long whether or not the node has closed the session. */
const CLOSE_ACK_MS = 1_000;
/** The node waits 10 s for the signal channel before it refuses. */
const LISTEN_DEADLINE_MS = 12_000;
/** The audience may be of any size. */
const NO_LIMIT = 0;

export class StreamLobby extends DurableObject<Env> implements StreamLobbyRpc {
  #state: StreamState | null;
  /** The highest revision that was told: the next life of the lobby may begin in the same millisecond. */
  #revisionFloor = 0;
  readonly #store: LobbyStore<StreamState>;
  readonly #placing: StreamPlacing;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const persistent = (state: StreamState | null) => state;
    this.#store = new LobbyStore(ctx.storage, { schema: streamRecordSchema, persistent, nextDeadline });
    this.#placing = new StreamPlacing({ env, state: () => this.#state, feed: (event) => this.#feed(event) });
    this.#state = this.#store.load();
    // The calls that were opening sessions died with the previous instance, and their clients with them.
    if (this.#state !== null) this.#feed({ type: 'recovered' });
  }

  async join(input: {
    lobby: LobbyId;
    user: string;
    session: SessionId;
    fixed: boolean;
    offer: string;
  }): Promise<Outcome<{ answer: string; etag: string; token: string | null }>> {
    const { lobby, user, session, fixed, offer } = input;
    const token = fixed ? null : mintRequestToken();
    const tokenHash = token === null ? null : await hashOfToken(token);
    const refusal = this.#feed({ type: 'join', lobby, user, session, fixed, tokenHash });
    if (refusal !== null) return failed(refusal);
    try {
      const outcome = await this.#placing.open({ lobby, session, fixed, offer });
      if (!outcome.ok) return outcome;
      return succeeded({ answer: outcome.value.answer, etag: outcome.value.etag, token });
    } catch (error) {
      this.#feed({ type: 'open-failed', session, uncertain: true });
      throw error;
    }
  }

  async guard(input: {
    session: SessionId;
    lobby: LobbyId;
    bearer: readonly string[] | null;
    token: string;
  }): Promise<Outcome<{ user: string; token: string }>> {
    const { session, lobby, bearer } = input;
    const token = mintRequestToken();
    const [presented, next] = await Promise.all([hashOfToken(input.token), hashOfToken(token)]);
    const refusal = this.#feed({ type: 'guard', session, lobby, bearer, presented, next });
    const user = memberWith(this.#state, session)?.user;
    return refusal === null && user !== undefined ? succeeded({ user, token }) : failed(refusal ?? NO_SESSION);
  }

  async userOf(input: { session: SessionId }): Promise<string | null> {
    return memberOf(this.#state, input.session)?.user ?? null;
  }

  async listen(input: {
    member: SessionId;
    session: SessionId;
    offer: string | null;
  }): Promise<Outcome<{ sdp: string; etag: string }>> {
    await this.#forgetGoneListener(input.member);
    const { member, session: listener, offer } = input;
    const refusal = this.#feed({ type: 'listen', member, listener });
    const state = this.#state;
    const target = memberWith(state, member)?.target ?? null;
    if (refusal !== null || state === null || target === null) return failed(refusal ?? NO_SESSION);
    const request = { method: 'listen', lobby: state.lobby, member, session: listener, offer } as const;
    try {
      const outcome = await this.#ask<'listen'>(target, request, LISTEN_DEADLINE_MS);
      if (outcome.ok) {
        const late = this.#feed({ type: 'listening', listener });
        return late === null ? outcome : failed(late);
      }
      const { code } = outcome.problem;
      const uncertain = code === 'node_timeout' || code === 'node_error' || code === 'node_unreachable';
      this.#feed({ type: 'listen-failed', listener, uncertain });
      return outcome;
    } catch (error) {
      this.#feed({ type: 'listen-failed', listener, uncertain: true });
      throw error;
    }
  }

  async answer(input: { session: SessionId; answer: string }): Promise<Outcome<null>> {
    const member = memberOf(this.#state, input.session);
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
    return this.#ask<'patch'>(memberOf(this.#state, input.session)?.target, { method: 'patch', ...input });
  }

  async probe({ session }: { session: SessionId }): Promise<Outcome<null>> {
    const outcome = await this.#ask<'probe'>(memberOf(this.#state, session)?.target, { method: 'probe', session });
    return outcome.ok ? succeeded(null) : outcome;
  }

  async leave(input: { session: SessionId }): Promise<Outcome<null>> {
    return this.#end({ type: 'leave', session: input.session });
  }

  async watch(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string;
  }): Promise<Outcome<{ sdp: string; etag: string; node: NodeId }>> {
    const node = this.#state?.node ?? null;
    if (node === null || !hasMainTrack(this.#state)) return failed(NOTHING_ON);
    const outcome = await this.#ask<'play'>(node, { method: 'play', ...input, maxSubscribers: NO_LIMIT });
    return outcome.ok ? succeeded({ ...outcome.value, node: node.node }) : outcome;
  }

  async startLive(input: { session: SessionId; live: string; url: string }): Promise<Outcome<null>> {
    const begun = this.#step({ type: 'start-live', ...input });
    const outcomes = await this.#run(begun.effects);
    if (begun.refusal !== null) return failed(begun.refusal);
    // A node that cannot be reached hears of it when it is back.
    const impossible = outcomes.find((outcome) => !outcome.ok && outcome.problem.status === CANNOT_PUSH);
    if (impossible === undefined || impossible.ok) return succeeded(null);
    this.#feed({ type: 'live-refused', live: input.live, error: impossible.problem.detail });
    return impossible;
  }

  async stopLive(input: { live: string | null }): Promise<Outcome<null>> {
    return this.#end({ type: 'stop-live', live: input.live });
  }

  async liveStatus(): Promise<LiveStatus> {
    return liveStatusOf(this.#state);
  }

  async close(): Promise<Outcome<null>> {
    return this.#end({ type: 'close' });
  }

  async nodeReported(input: NodeWord): Promise<void> {
    this.#feed({ type: 'reported', ...input });
  }

  async reconcile(input: NodeWord): Promise<DesiredStream | null> {
    this.#feed({ type: 'reconcile', ...input });
    return desiredOn(this.#state, input);
  }

  async nodeLost(input: { node: NodeId; boot: BootId }): Promise<void> {
    this.#feed({ type: 'node-lost', ...input });
  }

  override async alarm(): Promise<void> {
    const { effects } = this.#step({ type: 'deadline' });
    this.#store.rearm();
    await this.#run(effects);
  }

  /** The word that a listener has ended may be on its way, or was never said: the node knows. */
  async #forgetGoneListener(session: SessionId): Promise<void> {
    const member = memberWith(this.#state, session);
    if (member?.listener?.phase !== 'open') return;
    const listener = member.listener.session;
    const outcome = await this.#ask<'probe'>(member.target, { method: 'probe', session: listener });
    const isGone = !outcome.ok && outcome.problem.status === NO_SESSION.status;
    if (isGone && memberListeningAs(this.#state, listener)) this.#feed({ type: 'leave', session: listener });
  }

  async #ask<M extends NodeMethod>(
    target: Carrier | null | undefined,
    request: Extract<NodeRequest, { method: M }>,
    deadlineMs: number = REQUEST_DEADLINE_MS,
  ): Promise<Outcome<NodeResult<M>>> {
    if (!target) return failed(NO_SESSION);
    const outcome = await this.env.NODE_LINK.getByName(target.node).request<M>(request, deadlineMs, target.boot);
    // A copy: what came over RPC and is passed on keeps both calls, and so both objects, from ending.
    return outcome.ok ? succeeded(outcome.value) : failed(outcome.problem);
  }

  async #end(event: StreamEvent): Promise<Outcome<null>> {
    const ended = this.#step(event);
    await within(CLOSE_ACK_MS, this.#run(ended.effects));
    return ended.refusal === null ? succeeded(null) : failed(ended.refusal);
  }

  #feed(event: StreamEvent): Problem | null {
    const { effects, refusal } = this.#step(event);
    this.#run(effects);
    return refusal;
  }

  #step(event: StreamEvent): StreamStep {
    const policy = { memberGraceMs: readSettings(this.env).memberGraceMs, revisionFloor: this.#revisionFloor };
    const stepped = step(this.#state, event, Date.now(), policy);
    const told = stepped.effects.map((effect) => effect.desired.revision);
    this.#revisionFloor = Math.max(this.#revisionFloor, stepped.state?.revision ?? 0, ...told);
    this.#state = stepped.state;
    this.#store.save(stepped.state);
    return stepped;
  }

  /** Starts the effects; resolves when they are done. What failed heals when the node links again. */
  #run(effects: readonly StreamEffect[]): Promise<Outcome<unknown>[]> {
    const done = Promise.all(
      effects.map(({ node, boot, desired }) =>
        this.#ask<'apply-stream'>({ node, boot }, { method: 'apply-stream', desired }).catch((error: unknown) => {
          console.error('a node’s link could not be asked', error);
          return failed(LINK_BROKEN);
        }),
      ),
    );
    this.ctx.waitUntil(done);
    return done;
  }
}

/** How a node says that it has no ffmpeg. */
const CANNOT_PUSH = 501;
const LINK_BROKEN: Problem = { status: 503, code: 'busy', detail: 'try again in a moment', retryAfterSeconds: 1 };
const NO_OFFER_PENDING: Problem = { status: 422, code: 'no_offer_pending', detail: 'no answer is awaited' };
