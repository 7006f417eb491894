/**
 * The Durable Object of one room: loads the record, asks the machine, keeps the answer, does what it says. Nothing is
 * decided here but the order of calls to other objects.
 */
import { DurableObject } from 'cloudflare:workers';
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import {
  type DesiredLobby,
  type IngressReport,
  type NodeResult,
  REQUEST_DEADLINE_MS,
} from '../../shared/protocol/control.ts';
import { type Env, FLEET_NAME, readSettings } from '../env.ts';
import type { LobbyRpc } from '../rpc.ts';
import { LobbyEffects } from './lobby-effects.ts';
import type { LobbyEffect, LobbyEvent, LobbyStep } from './lobby-events.ts';
import { OPENING_BUDGET_MS, preferredNode, step } from './lobby-machine.ts';
import {
  admission,
  type Carrier,
  desiredOn,
  type LobbyState,
  lobbyRecordSchema,
  NO_SESSION,
  nextDeadline,
  PUBLISHER_OPENING,
  persistent,
  publisherWith,
  ROOM_CLOSED,
  summaryOf,
} from './lobby-state.ts';
import { LobbyStore } from './lobby-store.ts';
import { within } from './within.ts';

/** A second node is tried when the first is out of reach; a third would be later than clients wait. */
const MAX_NODES_TRIED = 2;
/** A DELETE is answered after this long whether or not the node has closed its sessions. */
const CLOSE_ACK_MS = 1_000;
/** A viewer waits this long for the publisher's offer to be answered. */
const PLAY_WAIT_MS = 3_000;
const NO_MEDIA_NODE: Problem = {
  status: 503,
  code: 'no_media_node',
  detail: 'no media node can be reached',
  retryAfterSeconds: 2,
};

export class Lobby extends DurableObject<Env> implements LobbyRpc {
  #state: LobbyState | null;
  readonly #store: LobbyStore<LobbyState>;
  readonly #effects: LobbyEffects;
  /** The call that opens a publisher, for viewers who came a moment too early. */
  #opening: Promise<unknown> | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = new LobbyStore(ctx.storage, { schema: lobbyRecordSchema, persistent, nextDeadline });
    this.#effects = new LobbyEffects(env);
    this.#state = this.#store.load();
    // The call that was opening this publisher died with the previous instance, and its client with it.
    if (this.#state?.opening) this.#run(this.#step({ type: 'recovered' }).effects);
  }

  async publish(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string;
  }): Promise<Outcome<{ answer: string; etag: string }>> {
    const { lobby, session, offer } = input;
    const begun = this.#step({ type: 'publish', lobby, session });
    this.#run(begun.effects);
    if (begun.refusal !== null) return failed(begun.refusal);
    const opening = this.#open(lobby, session, offer);
    this.#opening = opening;
    try {
      return await opening;
    } catch (error) {
      this.#run(this.#step({ type: 'open-failed', session, uncertain: true }).effects);
      throw error;
    } finally {
      if (this.#opening === opening) this.#opening = null;
    }
  }

  async play(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string | null;
  }): Promise<Outcome<{ sdp: string; etag: string; node: NodeId }>> {
    let verdict = admission(this.#state, Date.now());
    if (verdict.kind === 'wait') {
      await within(PLAY_WAIT_MS, this.#opening);
      verdict = admission(this.#state, Date.now());
    }
    if (verdict.kind === 'wait') return failed(PUBLISHER_OPENING);
    if (verdict.kind === 'refuse') return failed(verdict.problem);
    const { node, boot } = verdict.carrier;
    const { lobby, session, offer } = input;
    const maxSubscribers = readSettings(this.env).maxSubsPerRoom;
    const outcome = await this.env.NODE_LINK.getByName(node).request<'play'>(
      { method: 'play', lobby, session, offer, maxSubscribers },
      REQUEST_DEADLINE_MS,
      boot,
    );
    return outcome.ok ? succeeded({ sdp: outcome.value.sdp, etag: outcome.value.etag, node }) : outcome;
  }

  async patch(input: {
    session: SessionId;
    fragment: string;
    ifMatch: string | null;
    strict: boolean;
  }): Promise<Outcome<NodeResult<'patch'>>> {
    const publisher = publisherWith(this.#state, input.session, Date.now());
    if (publisher === null) return failed(NO_SESSION);
    return this.env.NODE_LINK.getByName(publisher.node).request<'patch'>(
      { method: 'patch', ...input },
      REQUEST_DEADLINE_MS,
      publisher.boot,
    );
  }

  async probe(input: { session: SessionId }): Promise<Outcome<null>> {
    const publisher = publisherWith(this.#state, input.session, Date.now());
    if (publisher === null) return failed(NO_SESSION);
    const outcome = await this.env.NODE_LINK.getByName(publisher.node).request<'probe'>(
      { method: 'probe', session: input.session },
      REQUEST_DEADLINE_MS,
      publisher.boot,
    );
    return outcome.ok ? succeeded(null) : outcome;
  }

  async unpublish(input: { session: SessionId }): Promise<Outcome<null>> {
    return this.#end({ type: 'unpublish', session: input.session });
  }

  async closeRoom(): Promise<Outcome<null>> {
    return this.#end({ type: 'close' });
  }

  async summary(): Promise<{ hasPublisher: boolean; tracks: number } | null> {
    return summaryOf(this.#state);
  }

  async nodeReported(input: { node: NodeId; boot: BootId; ingress: IngressReport[] }): Promise<void> {
    this.#run(this.#step({ type: 'reported', ...input }).effects);
  }

  async reconcile(input: { node: NodeId; boot: BootId; ingress: IngressReport[] }): Promise<DesiredLobby | null> {
    this.#run(this.#step({ type: 'reconcile', ...input }).effects);
    const lobby = this.#state?.lobby;
    const summary = summaryOf(this.#state);
    // The fleet may have missed it when the edge went down.
    if (lobby !== undefined && summary !== null) this.#run([{ type: 'announce', lobby, ...summary }]);
    return desiredOn(this.#state, input);
  }

  async nodeLost(input: { node: NodeId; boot: BootId }): Promise<void> {
    this.#run(this.#step({ type: 'node-lost', ...input }).effects);
  }

  override async alarm(): Promise<void> {
    const { effects } = this.#step({ type: 'deadline' });
    this.#store.rearm();
    await this.#run(effects);
  }

  async #open(lobby: LobbyId, session: SessionId, offer: string): Promise<Outcome<{ answer: string; etag: string }>> {
    const endsAt = Date.now() + OPENING_BUDGET_MS;
    const unreachable: NodeId[] = [];
    while (unreachable.length < MAX_NODES_TRIED) {
      const prefer = unreachable.length === 0 ? preferredNode(this.#state) : null;
      const placed = await this.env.FLEET.getByName(FLEET_NAME).place({ lobby, prefer, exclude: unreachable });
      if (!placed.ok) {
        this.#run(this.#step({ type: 'open-failed', session, uncertain: unreachable.length > 0 }).effects);
        return placed;
      }
      const target = placed.value;
      const outcome = await this.#offerTo(target, { lobby, session, offer, deadlineMs: endsAt - Date.now() });
      if (outcome.ok || !isElsewherePossible(outcome.problem)) return outcome;
      unreachable.push(target.node);
      if (endsAt - Date.now() < CLOSE_ACK_MS) break;
    }
    this.#run(this.#step({ type: 'open-failed', session, uncertain: true }).effects);
    return failed(NO_MEDIA_NODE);
  }

  async #offerTo(
    target: Carrier,
    input: { lobby: LobbyId; session: SessionId; offer: string; deadlineMs: number },
  ): Promise<Outcome<{ answer: string; etag: string }>> {
    const { lobby, session, offer } = input;
    const placed = this.#step({ type: 'placed', session, node: target.node, boot: target.boot });
    this.#run(placed.effects);
    const opening = this.#state?.opening;
    if (placed.refusal !== null || !this.#state || !opening) return failed(placed.refusal ?? ROOM_CLOSED);
    const { revision } = this.#state;
    const { generation, replaces } = opening;
    const outcome = await this.env.NODE_LINK.getByName(target.node).request<'publish'>(
      { method: 'publish', lobby, revision, session, generation, offer, replaces },
      Math.min(REQUEST_DEADLINE_MS, input.deadlineMs),
      target.boot,
    );
    if (outcome.ok) {
      const { answer, etag, tracks, resumed } = outcome.value;
      const { node, boot } = target;
      const opened = this.#step({ type: 'opened', lobby, session, revision, node, boot, tracks, resumed });
      this.#run(opened.effects);
      return opened.refusal === null ? succeeded({ answer, etag }) : failed(opened.refusal);
    }
    const { code } = outcome.problem;
    if (!isElsewherePossible(outcome.problem)) {
      const uncertain = code === 'node_timeout' || code === 'node_error';
      this.#run(this.#step({ type: 'open-failed', session, uncertain }).effects);
    }
    return outcome;
  }

  async #end(event: LobbyEvent): Promise<Outcome<null>> {
    const ended = this.#step(event);
    await within(CLOSE_ACK_MS, this.#run(ended.effects));
    return ended.refusal === null ? succeeded(null) : failed(ended.refusal);
  }

  #step(event: LobbyEvent): LobbyStep {
    const policy = { publisherGraceMs: readSettings(this.env).publisherGraceMs };
    const stepped = step(this.#state, event, Date.now(), policy);
    this.#state = stepped.state;
    this.#store.save(stepped.state);
    return stepped;
  }

  /** Starts the effects; resolves when they are done. */
  #run(effects: readonly LobbyEffect[]): Promise<void> {
    const done = this.#effects.run(effects);
    this.ctx.waitUntil(done);
    return done;
  }
}

/** Another node may take the offer that this one did not. */
function isElsewherePossible(problem: Problem): boolean {
  return problem.code === 'node_unreachable' || problem.code === 'node_full';
}
