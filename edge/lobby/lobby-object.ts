/**
 * The Durable Object of one room: loads the record, asks the machine, keeps the answer, does what it says. Nothing is
 * decided here but the order of calls to other objects.
 */

import { DurableObject } from 'cloudflare:workers';
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import {
  type Coordinates,
  type DesiredLobby,
  type DesiredRecording,
  type IngressReport,
  type NodeResult,
  REQUEST_DEADLINE_MS,
  type RelayReport,
} from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import { type Env, readSettings } from '../env.ts';
import { FleetView } from '../fleet/snapshot-cache.ts';
import { FleetSurroundings } from '../relay/fleet-surroundings.ts';
import type { RelayHost } from '../relay/relay-opening.ts';
import { relayOn } from '../relay/relay-tree.ts';
import { Askers } from './askers.ts';
import { Changes } from './changes.ts';
import { LobbyEffects } from './lobby-effects.ts';
import type { LobbyEffect, LobbyEvent, LobbyStep } from './lobby-events.ts';
import { step } from './lobby-machine.ts';
import { NO_SESSION, PUBLISHER_OPENING } from './lobby-problems.ts';
import { LobbyRouter } from './lobby-router.ts';
import {
  admission,
  desiredOn,
  type LobbyState,
  lobbyRecordSchema,
  nextDeadline,
  persistent,
  publisherWith,
  summaryOf,
  treeOf,
} from './lobby-state.ts';
import { LobbyStore } from './lobby-store.ts';
import { placePublisherOf } from './publisher-placing.ts';
import { RecordingWish } from './recording-wish.ts';
import type { LobbyRpc, Route } from './rpc.ts';
import { SnapshotMemory } from './snapshot-memory.ts';
import { within } from './within.ts';

/** A DELETE is answered after this long whether or not the node has closed its sessions. */
const CLOSE_ACK_MS = 1_000;
/** The node may have to wait for a keyframe and start a program. */
const SNAPSHOT_DEADLINE_MS = 8_000;
/** A viewer waits this long for the publisher's offer to be answered. */
const PLAY_WAIT_MS = 3_000;

export class Lobby extends DurableObject<Env> implements LobbyRpc {
  #state: LobbyState | null;
  readonly #store: LobbyStore<LobbyState>;
  readonly #effects: LobbyEffects;
  readonly #router: LobbyRouter;
  readonly #recording: RecordingWish;
  readonly #changes = new Changes();
  readonly #around = new FleetSurroundings();
  readonly #askers: Askers;
  readonly #snapshots = new SnapshotMemory();
  /** The call that opens a publisher, for viewers who came a moment too early. */
  #opening: Promise<unknown> | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const recording = new RecordingWish(ctx.storage, () => readSettings(env));
    this.#recording = recording;
    const keepsMore = () => recording.isKept;
    this.#store = new LobbyStore(ctx.storage, { schema: lobbyRecordSchema, persistent, nextDeadline, keepsMore });
    const feed = (event: LobbyEvent) => this.#feed(event);
    const host: RelayHost = { env, feed, wants: (node, generation) => this.#wants(node, generation) };
    this.#effects = new LobbyEffects(host, (desired) => recording.on(desired));
    this.#askers = new Askers(env);
    const fleet = FleetView.of(env, ctx);
    this.#router = new LobbyRouter({
      env,
      fleet,
      feed,
      changes: this.#changes,
      around: this.#around,
      state: () => this.#state,
      maxSubscribers: () => readSettings(env).maxSubsPerRoom,
    });
    this.#state = this.#store.load();
    // The calls that were opening this publisher or a relay died with the previous instance.
    if (this.#state?.opening || this.#state?.tree) this.#feed({ type: 'recovered' });
  }

  async publish(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string;
    near?: Coordinates | null;
    replaces?: SessionId | null;
  }): Promise<Outcome<{ answer: string; etag: string }>> {
    const { lobby, session, offer, near = null, replaces = null } = input;
    const refusal = this.#feed({ type: 'publish', lobby, session, replaces });
    if (refusal !== null) return failed(refusal);
    const host = { env: this.env, state: () => this.#state, feed: (event: LobbyEvent) => this.#feed(event) };
    const opening = placePublisherOf(host, { lobby, session, offer, near });
    this.#opening = opening;
    try {
      const outcome = await opening;
      if (outcome.ok && this.#recording.now !== null) this.#applyRecording();
      return outcome.ok ? succeeded({ answer: outcome.value.answer, etag: outcome.value.etag }) : outcome;
    } catch (error) {
      this.#feed({ type: 'open-failed', session, uncertain: true });
      throw error;
    } finally {
      if (this.#opening === opening) this.#opening = null;
    }
  }

  async route(input: {
    lobby: LobbyId;
    near: Coordinates | null;
    exclude: NodeId[];
    asker: string | null;
  }): Promise<Outcome<Route>> {
    let verdict = admission(this.#state, Date.now());
    if (verdict.kind === 'wait') {
      await within(PLAY_WAIT_MS, this.#opening);
      verdict = admission(this.#state, Date.now());
    }
    if (verdict.kind === 'wait') return failed(PUBLISHER_OPENING);
    if (verdict.kind === 'refuse') return failed(verdict.problem);
    if (input.asker !== null) this.#askers.add(input.asker);
    const routed = await this.#router.route(input.lobby, input.near, input.exclude);
    if (routed.ok) return routed;
    // The publisher may have gone while a node was made ready: then that is why there is no way.
    const after = admission(this.#state, Date.now());
    return after.kind === 'refuse' ? failed(after.problem) : routed;
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

  async snapshot(input: { lobby: LobbyId }): Promise<Outcome<{ jpeg: string }>> {
    const verdict = admission(this.#state, Date.now());
    if (verdict.kind !== 'go') return failed(verdict.kind === 'wait' ? PUBLISHER_OPENING : verdict.problem);
    const { node, boot } = verdict.carrier;
    const { lobby } = input;
    const of = `${node} ${boot} ${this.#state?.publisher?.session}`;
    return this.#snapshots.take(of, () =>
      this.env.NODE_LINK.getByName(node).request<'snapshot'>(
        { method: 'snapshot', lobby, session: null },
        SNAPSHOT_DEADLINE_MS,
        boot,
      ),
    );
  }

  async recording(input: { wish?: DesiredRecording | null }): Promise<DesiredRecording | null> {
    if (input.wish !== undefined && this.#recording.say(input.wish)) this.#applyRecording();
    return this.#recording.now;
  }

  async nodeReported(input: {
    node: NodeId;
    boot: BootId;
    ingress: IngressReport[];
    relays?: RelayReport[];
    draining?: boolean;
  }): Promise<void> {
    const { draining = false, ...said } = input;
    const { node, boot } = said;
    if (this.#around.said({ node, boot }, draining)) this.#askers.forget();
    this.#feed({ type: 'reported', ...said });
  }

  async reconcile(input: {
    node: NodeId;
    boot: BootId;
    ingress: IngressReport[];
    relays?: RelayReport[];
  }): Promise<DesiredLobby | null> {
    this.#feed({ type: 'reconcile', ...input });
    const lobby = this.#state?.lobby;
    const summary = summaryOf(this.#state);
    // The fleet may have missed it when the edge went down.
    if (lobby !== undefined && summary !== null) this.#run([{ type: 'announce', lobby, ...summary }]);
    const desired = desiredOn(this.#state, input);
    return desired && this.#recording.on(desired);
  }

  async nodeLost(input: { node: NodeId; boot: BootId }): Promise<void> {
    this.#feed({ type: 'node-lost', ...input });
  }

  override async alarm(): Promise<void> {
    const { effects } = this.#step({ type: 'deadline' });
    this.#store.rearm();
    await this.#run(effects);
  }

  async #end(event: LobbyEvent): Promise<Outcome<null>> {
    const ended = this.#step(event);
    await within(CLOSE_ACK_MS, this.#run(ended.effects));
    return ended.refusal === null ? succeeded(null) : failed(ended.refusal);
  }

  /** Steps and starts what comes of it. */
  #feed(event: LobbyEvent): Problem | null {
    const { effects, refusal } = this.#step(event);
    this.#run(effects);
    return refusal;
  }

  #step(event: LobbyEvent): LobbyStep {
    const policy = { publisherGraceMs: readSettings(this.env).publisherGraceMs, around: this.#around };
    const before = this.#state;
    const stepped = step(before, event, Date.now(), policy);
    this.#state = stepped.state;
    this.#store.save(stepped.state);
    if (stepped.state !== before) this.#changes.happened();
    if (routesChanged(before, stepped.state)) this.#askers.forget();
    return stepped;
  }

  /** Tells the nodes that receive a publisher of this room. */
  #applyRecording(): void {
    const { publisher = null, successor = null } = this.#state ?? {};
    const effects: LobbyEffect[] = [];
    for (const holder of [publisher, successor]) {
      const desired = holder && desiredOn(this.#state, holder);
      if (holder && desired) effects.push({ type: 'apply', node: holder.node, boot: holder.boot, desired });
    }
    this.#run(effects);
  }

  #wants(node: Carrier, generation: number): boolean {
    return relayOn(treeOf(this.#state), node)?.hop.generation === generation;
  }

  /** Starts the effects; resolves when they are done. */
  #run(effects: readonly LobbyEffect[]): Promise<void> {
    const done = this.#effects.run(effects);
    this.ctx.waitUntil(done);
    return done;
  }
}

/** Is a node that viewers were sent to no good for them any more? */
function routesChanged(before: LobbyState | null, after: LobbyState | null): boolean {
  const offered = (state: LobbyState | null) => {
    const isThere = state?.publisher && state.publisher.phase !== 'lost';
    return isThere ? [state.publisher?.node, ...(state.tree?.relays.map(({ node }) => node) ?? [])] : [];
  };
  const left = offered(after);
  return before !== after && offered(before).some((node) => !left.includes(node));
}
