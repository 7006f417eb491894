/**
 * An edge and its nodes without sockets and clocks, for tests: the real machines of link and room and the real rules of
 * which lobby a link remembers; nodes that obey as the control protocol says; channels that lose, repeat and delay.
 */
import type { Problem } from '../../shared/errors.ts';
import { type BootId, mintSessionId, type NodeId, type SessionId } from '../../shared/ids.ts';
import type { DesiredLobby, IngressReport, NodeRequest, RelayReport } from '../../shared/protocol/control.ts';
import type { LobbyEffect, LobbyEvent } from '../lobby/lobby-events.ts';
import { step as stepLobby } from '../lobby/lobby-machine.ts';
import { desiredOn, type LobbyState } from '../lobby/lobby-state.ts';
import { LobbyTable } from './lobby-table.ts';
import { LOBBY, ModelNode, source } from './model-node-under-test.ts';
import { type LinkEvent, type LinkState, step as stepLink } from './node-link-machine.ts';
import { begins, ends } from './request-kinds.ts';

const GRACE_MS = 15_000;

interface EdgeLink {
  state: LinkState;
  table: LobbyTable;
  pending: Set<(problem: Problem | null) => void>;
  heardAt: number;
}

export class ModelWorld {
  now = 1_800_000_000_000;
  lobby: LobbyState | null = null;
  readonly nodes: ModelNode[];
  /** The session that must still be there, because nothing has happened that may end it. */
  precious: { session: SessionId; node: ModelNode } | null = null;
  readonly #links = new Map<NodeId, EdgeLink>();
  #connections = 0;

  constructor(names: readonly string[]) {
    this.nodes = names.map((name) => new ModelNode(name));
    for (const { node } of this.nodes) {
      this.#links.set(node, { state: null, table: new LobbyTable(emptyKv()), pending: new Set(), heardAt: 0 });
    }
  }

  publish(at: ModelNode): void {
    const session = mintSessionId();
    if (this.#feed({ type: 'publish', lobby: LOBBY, session }) !== null) return;
    const carrier = { node: at.node, boot: this.#link(at).state?.boot ?? at.boot };
    if (this.#feed({ type: 'placed', session, ...carrier }) !== null) return;
    const { opening, revision = 0 } = this.lobby ?? {};
    if (!opening) return;
    const { generation, replaces } = opening;
    this.#ask(
      at,
      carrier.boot,
      { method: 'publish', lobby: LOBBY, revision, session, generation, replaces, offer: '' },
      (problem) => {
        if (problem !== null) {
          const uncertain = problem.code === 'node_timeout' || problem.code === 'node_unreachable';
          this.#feed({ type: 'open-failed', session, uncertain });
          return;
        }
        const opened = { lobby: LOBBY, session, revision, tracks: [], resumed: replaces !== null, ...carrier };
        const said = this.#feed({ type: 'opened', ...opened });
        if (said === null) this.precious = { session, node: at };
      },
    );
  }

  watch(at: ModelNode): void {
    const boot = this.#link(at).state?.boot;
    if (boot === at.boot && at.carries) at.viewers += 1;
    else if (boot !== undefined) this.#feed({ type: 'grow', node: at.node, boot });
  }

  /** The publisher's client says goodbye to its node. */
  leave(at: ModelNode): void {
    const was = at.publisher;
    if (was === null) return;
    at.publisher = null;
    this.#spare(at);
    if (!at.welcomed) return;
    const closed = { lobby: LOBBY, ...was, state: 'closed' as const, reason: 'peer-closed' as const, tracks: [] };
    at.toEdge.push({ ingress: [closed], relays: [] });
  }

  unpublish(): void {
    const session = this.lobby?.publisher?.session;
    if (session === undefined) return;
    this.precious = null;
    this.#feed({ type: 'unpublish', session });
  }

  restart(at: ModelNode): void {
    this.cut(at);
    at.restart();
    this.#spare(at);
  }

  /** The link breaks; what was on its way is lost. `isSeen`: the edge notices at once. */
  cut(at: ModelNode, isSeen = true): void {
    const { connection } = at;
    at.connection = null;
    at.welcomed = false;
    at.toNode = [];
    at.toEdge = [];
    if (connection !== null && isSeen) this.#closed(at, connection);
  }

  /** The edge is restarted: records stay, calls and connections do not. */
  restartEdge(): void {
    for (const at of this.nodes) {
      this.cut(at, false);
      this.#link(at).pending.clear();
      this.#step(at, { type: 'woken', connections: [] });
    }
    this.#feed({ type: 'recovered' });
  }

  dial(at: ModelNode): void {
    if (at.connection !== null) this.cut(at, false);
    this.#connections += 1;
    at.connection = this.#connections;
    at.toEdge.push({ hello: true });
  }

  /** The next frame each way; `isTwice`: a report comes again, as when it was sent anew. */
  deliver(at: ModelNode, isTwice = false): void {
    const up = at.toEdge.shift();
    if (up !== undefined) {
      const link = this.#link(at);
      if (link.state?.connection === at.connection) link.heardAt = this.now;
      if ('hello' in up) this.#greet(at);
      else for (let time = 0; time < (isTwice ? 2 : 1); time += 1) this.#reported(at, up);
    }
    const down = at.toNode.shift();
    if (down === undefined) return;
    if ('request' in down) {
      const problem = at.handle(down.request);
      down.answer(problem);
    } else {
      const { desired } = down;
      at.welcomed = true;
      if (desired !== null) at.obey(desired);
      else Object.assign(at, { publisher: null, relay: null, viewers: 0 });
    }
    at.report();
  }

  /** A request runs into its deadline though the node may still do it. */
  timeOut(at: ModelNode): void {
    const { pending } = this.#link(at);
    for (const answer of [...pending]) {
      pending.delete(answer);
      answer({ status: 504, code: 'node_timeout', detail: 'late' });
    }
  }

  pass(ms: number): void {
    this.now += ms;
    for (const at of this.nodes) {
      const link = this.#link(at);
      // The runtime answers pings on a connection that is there.
      if (at.connection !== null && at.connection === link.state?.connection) link.heardAt = this.now;
      this.#step(at, { type: 'tick', heardAt: link.state?.connection == null ? null : link.heardAt });
    }
    // Media stops where the upstream has none.
    for (const at of this.nodes) {
      if (at.relay === null || this.nodes.some(({ node, carries }) => node === at.relay?.upstream && carries)) continue;
      const lost = {
        lobby: LOBBY,
        ...source(at.relay),
        state: 'closed' as const,
        reason: 'silence' as const,
        idle: false,
      };
      at.relay = null;
      if (at.welcomed) at.toEdge.push({ ingress: [], relays: [lost] });
    }
    this.#feed({ type: 'deadline' });
  }

  #greet(at: ModelNode): void {
    const { connection, node, boot } = at;
    if (connection === null) return;
    const link = this.#link(at);
    this.#step(at, {
      type: 'hello',
      connection,
      node,
      boot,
      heardAt: link.state?.connection == null ? null : link.heardAt,
    });
    if (at.connection !== connection || link.state?.connection !== connection) return;
    link.heardAt = this.now;
    const known = link.table.revisionOf(LOBBY);
    const words = at.words();
    const isNamed = words.ingress.length + words.relays.length + at.viewers > 0;
    let desired: DesiredLobby | null = null;
    if (isNamed || known !== null) {
      this.#feed({ type: 'reconcile', node, boot, ...words });
      desired = desiredOn(this.lobby, { node, boot });
      if (desired !== null) link.table.remember(LOBBY, desired.revision);
      else if (known !== null) link.table.forget(LOBBY, known);
    }
    // What the edge asks meanwhile waits for the welcome.
    at.toNode.unshift({ desired });
  }

  #reported(at: ModelNode, words: { ingress: IngressReport[]; relays: RelayReport[] }): void {
    if (this.#link(at).state?.connection !== at.connection) return;
    this.#feed({ type: 'reported', node: at.node, boot: at.boot, ...words });
  }

  #ask(at: ModelNode, boot: BootId, request: NodeRequest, then: (problem: Problem | null) => void): void {
    const link = this.#link(at);
    const begun = begins(request);
    const isNew = begun !== null && link.table.revisionOf(LOBBY) === null;
    if (begun !== null) link.table.remember(LOBBY, begun.revision);
    const isReached = at.connection !== null && link.state?.connection === at.connection && link.state.boot === boot;
    if (!isReached) {
      if (begun !== null && isNew) link.table.forget(LOBBY, begun.revision);
      then({ status: 503, code: 'node_unreachable', detail: '' });
      return;
    }
    const answer = (problem: Problem | null) => {
      if (!link.pending.delete(settle) && problem?.code !== 'node_timeout') return;
      if (problem === null) {
        const ended = ends(request);
        if (ended !== null) link.table.forget(LOBBY, ended.revision);
      }
      then(problem);
    };
    const settle = answer;
    link.pending.add(settle);
    at.toNode.push({ request, answer });
  }

  #feed(event: LobbyEvent): Problem | null {
    const around = {
      distance: () => 0,
      canRelay: (node: NodeId) => this.#links.get(node)?.state?.connection != null,
      draining: () => false,
      expected: () => true,
      mint: mintSessionId,
    };
    const {
      state,
      effects,
      refusal: said,
    } = stepLobby(this.lobby, event, this.now, { publisherGraceMs: GRACE_MS, around });
    this.lobby = state;
    for (const effect of effects) this.#perform(effect);
    return said;
  }

  #perform(effect: LobbyEffect): void {
    if (effect.type === 'apply') {
      this.#ask(this.#node(effect.node), effect.boot, { method: 'apply', desired: effect.desired }, () => undefined);
    } else if (effect.type === 'pull') {
      const { node, boot, hop, revision, tracks } = effect;
      const { session, generation, upstream } = hop;
      const fail = (at: 'upstream' | 'downstream') =>
        this.#feed({ type: 'failed', node, boot, generation, at, final: false });
      const offer: NodeRequest = { method: 'relay-offer', lobby: LOBBY, session, downstream: node, source: null };
      this.#ask(this.#node(upstream), hop.upstreamBoot, offer, (refused) => {
        if (refused !== null) return fail('upstream');
        this.#feed({ type: 'offered', node, boot, generation });
        const relay = { session, generation, upstream };
        const pull: NodeRequest = {
          method: 'relay-pull',
          lobby: LOBBY,
          revision,
          relay,
          source: null,
          tracks,
          offer: '',
        };
        this.#ask(this.#node(node), boot, pull, (problem) => {
          if (problem !== null) fail('downstream');
          else this.#feed({ type: 'pulled', node, boot, generation, resumed: true });
        });
      });
    }
  }

  #step(at: ModelNode, event: LinkEvent): void {
    const link = this.#link(at);
    const { state, effects } = stepLink(link.state, event, this.now);
    link.state = state;
    for (const effect of effects) {
      if (effect.type === 'drop' && at.connection === effect.connection) this.cut(at, false);
      if (effect.type === 'drop' || effect.type === 'unlinked') this.#failPending(link);
      if (effect.type !== 'gone') continue;
      if (this.precious?.node === at) this.precious = null;
      if (link.table.revisionOf(LOBBY) !== null)
        this.#feed({ type: 'node-lost', node: effect.node, boot: effect.boot });
      link.table.forget(LOBBY, link.table.revisionOf(LOBBY) ?? 0);
      this.#step(at, { type: 'forgotten' });
    }
  }

  #closed(at: ModelNode, connection: number): void {
    this.#failPending(this.#link(at));
    this.#step(at, { type: 'closed', connection });
  }

  #failPending(link: EdgeLink): void {
    for (const answer of [...link.pending]) answer({ status: 503, code: 'node_unreachable', detail: '' });
  }

  #spare(at: ModelNode): void {
    if (this.precious?.node === at) this.precious = null;
  }

  #link(at: ModelNode): EdgeLink {
    const link = this.#links.get(at.node);
    if (link === undefined) throw new Error(`no link of ${at.node}`);
    return link;
  }

  #node(id: NodeId): ModelNode {
    const found = this.nodes.find(({ node }) => node === id);
    if (found === undefined) throw new Error(`no node ${id}`);
    return found;
  }
}

/** As much of a Durable Object's storage as a table of lobbies uses. */
function emptyKv(): SyncKvStorage {
  const map = new Map<string, unknown>();
  const kv = {
    get: (key: string) => map.get(key),
    put: (key: string, value: unknown) => void map.set(key, value),
    delete: (key: string) => map.delete(key),
    list: () => map.entries(),
  };
  return kv as unknown as SyncKvStorage;
}
