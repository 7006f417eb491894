/** The one Durable Object that knows all nodes and lists all rooms. */
import { DurableObject } from 'cloudflare:workers';
import { z } from 'zod';
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import { type BootId, bootIdSchema, type LobbyId, lobbyIdSchema, type NodeId, nodeIdSchema } from '../../shared/ids.ts';
import { helloSchema, type LobbyLoad, type NodeLoad } from '../../shared/protocol/control.ts';
import type { Env } from '../env.ts';
import type { FleetRpc, NodeSnapshot, RoomSummary } from '../rpc.ts';
import {
  EMPTY_FLEET,
  type FleetEffect,
  type FleetEvent,
  type FleetNode,
  type FleetState,
  type LobbySummary,
  nodesOf,
  roomsOf,
  step,
} from './fleet-machine.ts';
import { place } from './placement.ts';

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

const nodeRecordSchema = z.object({
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
const lobbyRecordSchema = z.object({ version: z.literal(1), hasPublisher: z.boolean(), tracks: z.int().nonnegative() });

export class Fleet extends DurableObject<Env> implements FleetRpc {
  #state: FleetState;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#state = this.#load();
    if (this.#state.lobbies.size > 0) ctx.waitUntil(this.#askLobbies());
    ctx.waitUntil(this.#askNodes());
  }

  async place(input: {
    lobby: LobbyId;
    prefer: NodeId | null;
    exclude?: NodeId[];
  }): Promise<Outcome<{ node: NodeId; boot: BootId }>> {
    const wish = { prefer: input.prefer, exclude: input.exclude ?? [] };
    const chosen = place([...this.#state.nodes.values()], wish, [Math.random(), Math.random()], Date.now());
    if (chosen === null) return failed(NO_MEDIA_NODE);
    const { node, boot } = chosen.snapshot;
    this.#step({ type: 'placed', node });
    return succeeded({ node, boot });
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

  async nodes(): Promise<NodeSnapshot[]> {
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
    this.#state = state;
    for (const effect of effects) this.#write(effect);
  }

  #write(effect: FleetEffect): void {
    const { kv } = this.ctx.storage;
    switch (effect.type) {
      case 'store-node': {
        const { node, boot, linked, region, version: software, engine, addresses, capacity } = effect.snapshot;
        const record = { version: 1, node, boot, linked, region, software, engine, addresses, capacity } as const;
        kv.put(NODE_PREFIX + node, record satisfies z.infer<typeof nodeRecordSchema>);
        return;
      }
      case 'drop-node':
        kv.delete(NODE_PREFIX + effect.node);
        return;
      case 'store-lobby':
        kv.put(LOBBY_PREFIX + effect.lobby, { version: 1, ...effect.summary });
        return;
      case 'drop-lobby':
        kv.delete(LOBBY_PREFIX + effect.lobby);
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
      const { version: _, software, ...rest } = record;
      // Heard of just now: whose link has broken will be said, and silence shows within the usual time.
      const snapshot: NodeSnapshot = { ...rest, version: software, load: UNKNOWN_LOAD, seenAt: Date.now() };
      nodes.set(record.node, { snapshot, lobbies: [], pending: 0 });
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
