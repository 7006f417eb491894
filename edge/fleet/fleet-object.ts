/** The one Durable Object that knows all nodes and lists all rooms. */
import { DurableObject } from 'cloudflare:workers';
import { z } from 'zod';
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import { type BootId, bootIdSchema, type LobbyId, lobbyIdSchema, type NodeId, nodeIdSchema } from '../../shared/ids.ts';
import {
  type Coordinates,
  coordinatesSchema,
  FLEET_PROTOCOL_VERSION,
  helloSchema,
  type LobbyLoad,
  type NodeLoad,
  REQUEST_DEADLINE_MS,
} from '../../shared/protocol/control.ts';
import type { Env } from '../env.ts';
import {
  EMPTY_FLEET,
  type FleetEffect,
  type FleetEvent,
  type FleetNode,
  type FleetState,
  type LobbySummary,
  nodesOf,
  roomsOf,
  statusOf,
  step,
} from './fleet-machine.ts';
import { candidateOf, placePublisher } from './placement.ts';
import type { FleetRpc, FleetSnapshot, NodeSnapshot, NodeStatus, RoomSummary } from './rpc.ts';

const NODE_PREFIX = 'node:';
const LOBBY_PREFIX = 'lobby:';
/** Lobbies asked at the same time after a restart. */
const LOBBIES_AT_ONCE = 32;
const UNKNOWN_LOAD: NodeLoad = { sessions: 0, packetsPerSecond: 0, cpu: 0 };
const NO_MEDIA_NODE: Problem = {
  status: 503,
  code: 'no_media_node',
  detail: 'no media node has room for this now',
  retryAfterSeconds: 2,
};

const NO_NODE: Problem = { status: 404, code: 'no_node', detail: 'no such media node' };
const DRAIN_NOT_SUPPORTED: Problem = {
  status: 501,
  code: 'drain_not_supported',
  detail: 'this media node is too old to drain; stop it when its sessions have ended',
};
/** Who asks for a snapshot within this time of another gets the same. */
const SNAPSHOT_SHARED_MS = 250;

const nodeRecordV1 = z.object({
  version: z.literal(1),
  node: nodeIdSchema,
  boot: bootIdSchema,
  linked: z.boolean(),
  region: z.string(),
  software: z.string(),
  engine: helloSchema.shape.engine,
  addresses: z.array(z.string()),
  capacity: helloSchema.shape.capacity,
});
const nodeRecordV2 = nodeRecordV1.extend({
  version: z.literal(2),
  protocol: z.int().positive(),
  coordinates: coordinatesSchema.nullable(),
  draining: z.boolean(),
  drainingSince: z.int().nullable(),
  /** Of an operator's order to drain; null: there is none. */
  drainTimeoutMs: z.int().nonnegative().nullable(),
});
type NodeRecord = z.infer<typeof nodeRecordV2>;
/** Version 1 is from before nodes could drain; its node says the rest when it links. */
const nodeRecordSchema = z.union([
  nodeRecordV2,
  nodeRecordV1.transform((old): NodeRecord => {
    const unknown = { coordinates: null, draining: false, drainingSince: null, drainTimeoutMs: null };
    return { ...old, version: 2, protocol: 1, ...unknown };
  }),
]);
const lobbyRecordSchema = z.object({ version: z.literal(1), hasPublisher: z.boolean(), tracks: z.int().nonnegative() });

export class Fleet extends DurableObject<Env> implements FleetRpc {
  #state: FleetState;
  #snapshot: FleetSnapshot | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#state = this.#load();
    if (this.#state.lobbies.size > 0) ctx.waitUntil(this.#askLobbies());
    ctx.waitUntil(this.#askNodes());
  }

  async place(input: {
    lobby: LobbyId;
    prefer: NodeId | null;
    near?: Coordinates | null;
    exclude?: NodeId[];
  }): Promise<Outcome<{ node: NodeId; boot: BootId }>> {
    const wish = { prefer: input.prefer, near: input.near ?? null, exclude: input.exclude ?? [] };
    const candidates = [...this.#state.nodes.values()].map(({ snapshot, pending }) => candidateOf(snapshot, pending));
    const chosen = placePublisher(candidates, wish, [Math.random(), Math.random()], Date.now());
    if (chosen === null) return failed(NO_MEDIA_NODE);
    const { node, boot } = chosen;
    this.#step({ type: 'placed', node });
    return succeeded({ node, boot });
  }

  async snapshot(): Promise<FleetSnapshot> {
    const now = Date.now();
    if (this.#snapshot === null || now - this.#snapshot.takenAt >= SNAPSHOT_SHARED_MS) {
      const nodes = [...this.#state.nodes.values()].map(({ snapshot }) => ({ ...snapshot, addresses: [] }));
      this.#snapshot = { takenAt: now, nodes: JSON.stringify(nodes) };
    }
    return this.#snapshot;
  }

  async drain(input: { node: NodeId; timeoutMs: number }): Promise<Outcome<NodeStatus>> {
    const known = this.#state.nodes.get(input.node);
    if (known === undefined) return failed(NO_NODE);
    if (known.snapshot.protocol < FLEET_PROTOCOL_VERSION) return failed(DRAIN_NOT_SUPPORTED);
    console.info(`node ${input.node}: an operator wants it drained within ${input.timeoutMs} ms`);
    this.#step({ type: 'drain', ...input });
    return succeeded(statusOf(this.#state.nodes.get(input.node) ?? known));
  }

  async viewersOf(input: { lobby: LobbyId }): Promise<{ node: NodeId; subscribers: number }[]> {
    return [...this.#state.nodes].flatMap(([node, { lobbies }]) => {
      const load = lobbies.find(({ lobby }) => lobby === input.lobby);
      return load === undefined ? [] : [{ node, subscribers: load.subscribers }];
    });
  }

  async nodeUpdated(input: { snapshot: NodeSnapshot; lobbies: LobbyLoad[] }): Promise<void> {
    this.#step({ type: 'node-updated', ...input });
  }

  async nodeUnlinked(input: { node: NodeId; boot: BootId }): Promise<void> {
    this.#step({ type: 'node-unlinked', ...input });
  }

  async nodeGone(input: { node: NodeId; boot: BootId }): Promise<void> {
    this.#step({ type: 'node-gone', ...input });
  }

  async nodes(): Promise<NodeStatus[]> {
    return nodesOf(this.#state);
  }

  async lobbyUpdated(input: { lobby: LobbyId; hasPublisher: boolean; tracks: number }): Promise<void> {
    this.#step({ type: 'lobby-updated', ...input });
  }

  async lobbyEnded(input: { lobby: LobbyId }): Promise<void> {
    this.#step({ type: 'lobby-ended', ...input });
  }

  async rooms(): Promise<RoomSummary[]> {
    return roomsOf(this.#state);
  }

  #step(event: FleetEvent): void {
    const { state, effects } = step(this.#state, event, Date.now());
    // Nobody shall be sent to a node that is known to be lost or draining, however young the last snapshot is.
    if (effects.length > 0) this.#snapshot = null;
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: FleetEffect): void {
    const { kv } = this.ctx.storage;
    switch (effect.type) {
      case 'store-node':
        kv.put(NODE_PREFIX + effect.node.snapshot.node, recordOf(effect.node));
        return;
      case 'drop-node':
        kv.delete(NODE_PREFIX + effect.node);
        return;
      case 'store-lobby':
        kv.put(LOBBY_PREFIX + effect.lobby, { version: 1, ...effect.summary });
        return;
      case 'drop-lobby':
        kv.delete(LOBBY_PREFIX + effect.lobby);
        return;
      case 'tell-drain':
        this.ctx.waitUntil(this.#tellDrain(effect));
    }
  }

  /** Not heard? The node's next word shows it, and it is told again. */
  async #tellDrain({ node, boot, timeoutMs }: { node: NodeId; boot: BootId; timeoutMs: number }): Promise<void> {
    const link = this.env.NODE_LINK.getByName(node);
    try {
      const outcome = await link.request<'drain'>({ method: 'drain', timeoutMs }, REQUEST_DEADLINE_MS, boot);
      if (!outcome.ok) console.error(`node ${node} could not be told to drain: ${outcome.problem.code}`);
    } catch (error) {
      console.error(`node ${node} could not be told to drain`, error);
    }
  }

  #load(): FleetState {
    const { kv } = this.ctx.storage;
    const nodes = new Map<NodeId, FleetNode>();
    const lobbies = new Map<LobbyId, LobbySummary>();
    for (const [key, value] of kv.list({ prefix: NODE_PREFIX })) {
      const record = nodeRecordSchema.safeParse(value).data;
      if (record === undefined) {
        kv.delete(key);
        continue;
      }
      nodes.set(record.node, nodeOf(record, Date.now()));
    }
    for (const [key, value] of kv.list({ prefix: LOBBY_PREFIX })) {
      const lobby = lobbyIdSchema.safeParse(key.slice(LOBBY_PREFIX.length)).data;
      const record = lobbyRecordSchema.safeParse(value).data;
      if (lobby === undefined || record === undefined) kv.delete(key);
      else lobbies.set(lobby, { hasPublisher: record.hasPublisher, tracks: record.tracks });
    }
    return nodes.size + lobbies.size === 0 ? EMPTY_FLEET : { nodes, lobbies };
  }

  /** When the edge went down, so did the links: the objects that hold them find out when they are woken. */
  async #askNodes(): Promise<void> {
    const asked = nodesOf(this.#state).map(({ node, boot }) =>
      this.env.NODE_LINK.getByName(node).announce({ node, boot }),
    );
    for (const { reason } of (await Promise.allSettled(asked)).filter(isRejected)) {
      console.error('a node’s link could not be asked', reason);
    }
  }

  /** When the edge went down, a lobby may have ended without a chance to say so; nobody else would ever correct the list. */
  async #askLobbies(): Promise<void> {
    const todo = [...this.#state.lobbies.keys()];
    const ask = async () => {
      for (let lobby = todo.pop(); lobby !== undefined; lobby = todo.pop()) {
        const asked = this.#state.lobbies.get(lobby);
        try {
          const summary = await this.env.LOBBY.getByName(lobby).summary();
          // Unless it has spoken itself meanwhile.
          if (this.#state.lobbies.get(lobby) !== asked) continue;
          if (summary === null) this.#step({ type: 'lobby-ended', lobby });
          else this.#step({ type: 'lobby-updated', lobby, ...summary });
        } catch (error) {
          console.error('a lobby could not be asked', error);
        }
      }
    };
    await Promise.all(Array.from({ length: LOBBIES_AT_ONCE }, ask));
  }
}

function isRejected(result: PromiseSettledResult<void>): result is PromiseRejectedResult {
  return result.status === 'rejected';
}

function recordOf({ snapshot, order, drainingSince }: FleetNode): NodeRecord {
  const { load: _, seenAt: __, version: software, ...rest } = snapshot;
  return { ...rest, version: 2, software, drainingSince, drainTimeoutMs: order?.timeoutMs ?? null };
}

/** As of `now`: whose link has broken will be said, and silence shows within the usual time. */
function nodeOf(record: NodeRecord, now: number): FleetNode {
  const { version: _, software, drainTimeoutMs, drainingSince, ...rest } = record;
  const snapshot: NodeSnapshot = { ...rest, version: software, load: UNKNOWN_LOAD, seenAt: now };
  const order = drainTimeoutMs === null ? null : { timeoutMs: drainTimeoutMs, toldAt: 0 };
  return { snapshot, lobbies: [], pending: 0, order, drainingSince };
}
