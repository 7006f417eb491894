/**
 * The Durable Object of one stream's lobby: loads the record, asks the machine, keeps the answer, does what it says.
 * Nothing is decided here but the order of calls to other objects.
 */

import { DurableObject } from 'cloudflare:workers';
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type { Coordinates, DesiredRecording, DesiredStream, NodeResult } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import { type Env, readSettings } from '../env.ts';
import { FleetView } from '../fleet/snapshot-cache.ts';
import { Changes } from '../lobby/changes.ts';
import { LobbyStore } from '../lobby/lobby-store.ts';
import { RecordingWish } from '../lobby/recording-wish.ts';
import { within } from '../lobby/within.ts';
import { FleetSurroundings } from '../relay/fleet-surroundings.ts';
import type { TreeContext } from '../relay/relay-tree-events.ts';
import { hashOfToken, mintRequestToken } from './request-token.ts';
import type { LiveStatus, NodeWord, StreamLobbyRpc } from './rpc.ts';
import { StreamAudience } from './stream-audience.ts';
import { StreamEffects } from './stream-effects.ts';
import type { StreamEffect, StreamEvent, StreamStep } from './stream-events.ts';
import { step } from './stream-machine.ts';
import { carriersIn } from './stream-places.ts';
import { StreamPlacing } from './stream-placing.ts';
import { NO_SESSION } from './stream-problems.ts';
import { StreamSessions } from './stream-sessions.ts';
import {
  desiredOn,
  lineageOf,
  liveStatusOf,
  memberOf,
  memberWith,
  nextDeadline,
  type StreamState,
  sessionsOf,
  streamRecordSchema,
} from './stream-state.ts';

/** A DELETE is answered after this long whether or not the node has closed the session. */
const CLOSE_ACK_MS = 1_000;

export class StreamLobby extends DurableObject<Env> implements StreamLobbyRpc {
  #state: StreamState | null;
  /** The highest revision that was told: the next life of the lobby may begin in the same millisecond. */
  #revisionFloor = 0;
  readonly #store: LobbyStore<StreamState>;
  readonly #placing: StreamPlacing;
  readonly #sessions: StreamSessions;
  readonly #audience: StreamAudience;
  readonly #effects: StreamEffects;
  readonly #recording: RecordingWish;
  readonly #changes = new Changes();
  readonly #around = new FleetSurroundings();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const recording = new RecordingWish(ctx.storage, () => readSettings(env));
    this.#recording = recording;
    const persistent = (state: StreamState | null) => state;
    const keepsMore = () => recording.isKept;
    this.#store = new LobbyStore(ctx.storage, { schema: streamRecordSchema, persistent, nextDeadline, keepsMore });
    const host = {
      env,
      fleet: FleetView.of(env, ctx),
      around: this.#around,
      changes: this.#changes,
      state: () => this.#state,
      feed: (event: StreamEvent) => this.#feed(event),
    };
    this.#placing = new StreamPlacing(host);
    this.#sessions = new StreamSessions(host);
    this.#audience = new StreamAudience(host);
    this.#effects = new StreamEffects(host, (desired) => recording.on(desired));
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
    near?: Coordinates | null;
    replaces?: SessionId | null;
  }): Promise<Outcome<{ answer: string; etag: string; token: string | null; lineage: SessionId }>> {
    const { lobby, user, session, fixed, offer, near = null, replaces = null } = input;
    const token = fixed ? null : mintRequestToken();
    const tokenHash = token === null ? null : await hashOfToken(token);
    const refusal = this.#feed({ type: 'join', lobby, user, session, fixed, tokenHash, replaces });
    if (refusal !== null) return failed(refusal);
    try {
      const outcome = await this.#placing.open({ lobby, session, fixed, offer, near });
      if (!outcome.ok) return outcome;
      const member = memberWith(this.#state, session);
      if (member?.target && this.#recording.now !== null) this.#applyRecording([member.target]);
      const { answer, etag } = outcome.value;
      return succeeded({ answer, etag, token, lineage: member?.lineage?.session ?? session });
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
  }): Promise<Outcome<{ user: string; session: SessionId; token: string }>> {
    const { session, lobby, bearer } = input;
    const token = mintRequestToken();
    const [presented, next] = await Promise.all([hashOfToken(input.token), hashOfToken(token)]);
    const refusal = this.#feed({ type: 'guard', session, lobby, bearer, presented, next });
    const member = sessionsOf(this.#state, session).find((own) => own.token?.hash === next);
    if (refusal !== null || member === undefined) return failed(refusal ?? NO_SESSION);
    return succeeded({ user: member.user, session: member.session, token });
  }

  async ownerOf({ session }: { session: SessionId }): Promise<{ user: string; lineage: SessionId } | null> {
    const member = memberOf(this.#state, session) ?? sessionsOf(this.#state, session)[0];
    return member === undefined ? null : { user: member.user, lineage: lineageOf(member).session };
  }

  async listen(input: {
    member: SessionId;
    session: SessionId;
    offer: string | null;
  }): Promise<Outcome<{ sdp: string; etag: string }>> {
    return this.#sessions.listen(input);
  }

  async answer(input: { session: SessionId; answer: string }): Promise<Outcome<null>> {
    return this.#sessions.answer(input);
  }

  async patch(input: {
    session: SessionId;
    fragment: string;
    ifMatch: string | null;
    strict: boolean;
  }): Promise<Outcome<NodeResult<'patch'>>> {
    return this.#sessions.patch(input);
  }

  async probe(input: { session: SessionId }): Promise<Outcome<null>> {
    return this.#sessions.probe(input);
  }

  async leave(input: { session: SessionId; whole?: boolean }): Promise<Outcome<null>> {
    return this.#end({ type: 'leave', ...input });
  }

  async watch(input: {
    lobby: LobbyId;
    session: SessionId;
    offer: string;
    near?: Coordinates | null;
  }): Promise<Outcome<{ sdp: string; etag: string; node: NodeId }>> {
    return this.#audience.watch({ near: null, ...input });
  }

  async startLive(input: { session: SessionId; live: string; url: string }): Promise<Outcome<null>> {
    const begun = this.#step({ type: 'start-live', ...input });
    const refused = await this.#run(begun.effects);
    return begun.refusal === null && refused === null
      ? succeeded(null)
      : failed(begun.refusal ?? refused ?? NO_SESSION);
  }

  async stopLive(input: { live: string | null }): Promise<Outcome<null>> {
    return this.#end({ type: 'stop-live', live: input.live });
  }

  async liveStatus(): Promise<LiveStatus> {
    return liveStatusOf(this.#state);
  }

  async keep(input: { users: readonly string[] }): Promise<void> {
    this.#feed({ type: 'keep', ...input });
  }

  async close(): Promise<Outcome<null>> {
    return this.#end({ type: 'close' });
  }

  async recording(input: { wish?: DesiredRecording | null }): Promise<DesiredRecording | null> {
    if (input.wish !== undefined && this.#recording.say(input.wish)) this.#applyRecording(carriersIn(this.#state));
    return this.#recording.now;
  }

  async nodeReported(input: NodeWord): Promise<void> {
    const { draining = false, ...said } = input;
    this.#around.said(said, draining);
    this.#feed({ type: 'reported', ...said });
  }

  async reconcile(input: NodeWord): Promise<DesiredStream | null> {
    this.#feed({ type: 'reconcile', ...input });
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
    const before = this.#state;
    const around = relaying(this.#around);
    const { memberGraceMs } = readSettings(this.env);
    const stepped = step(before, event, Date.now(), { memberGraceMs, revisionFloor: this.#revisionFloor, around });
    const told = stepped.effects.map((effect) => (effect.type === 'apply' ? effect.desired.revision : 0));
    this.#revisionFloor = Math.max(this.#revisionFloor, stepped.state?.revision ?? 0, ...told);
    this.#state = stepped.state;
    this.#store.save(stepped.state);
    if (stepped.state !== before) this.#changes.happened();
    return stepped;
  }

  /** Tells nodes that receive members of this lobby. */
  #applyRecording(places: readonly Carrier[]): void {
    const effects = places.flatMap((place): StreamEffect[] => {
      const desired = desiredOn(this.#state, place);
      return desired === null || desired.members.length === 0 ? [] : [{ type: 'apply', ...place, desired }];
    });
    this.#run(effects);
  }

  /** Starts the effects; resolves when they are done, with why a push cannot be done at all. */
  #run(effects: readonly StreamEffect[]): Promise<Problem | null> {
    const done = this.#effects.run(effects);
    this.ctx.waitUntil(done);
    return done;
  }
}

/** A node that has members, or was just sent somebody, is linked, whatever the last snapshot of the fleet says. */
function relaying(around: FleetSurroundings): TreeContext {
  return {
    distance: (a, b) => around.distance(a, b),
    canRelay: (node) => around.speaksRelay(node),
    draining: (node) => around.draining(node),
    expected: (place) => around.expected(place),
    mint: () => around.mint(),
  };
}
