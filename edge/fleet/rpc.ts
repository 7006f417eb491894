/** What the fleet offers to the Worker and to other objects. */
import type { Outcome } from '../../shared/errors.ts';
import type { BootId, LobbyId, NodeId } from '../../shared/ids.ts';
import type { Coordinates, LobbyLoad, NodeCapacity, NodeLoad } from '../../shared/protocol/control.ts';

export interface NodeSnapshot {
  node: NodeId;
  boot: BootId;
  linked: boolean;
  region: string;
  /** Degrees: as the node said, or where its region is; null: nobody knows. */
  coordinates: Coordinates | null;
  version: string;
  /** Of its hello: below `FLEET_PROTOCOL_VERSION` it neither relays nor drains. */
  protocol: number;
  engine: 'portable' | 'native';
  addresses: string[];
  capacity: NodeCapacity;
  load: NodeLoad;
  /** It takes nothing new: it says so, or an operator wants it so. */
  draining: boolean;
  /** Unix ms of the last word. */
  seenAt: number;
}

/** What operators see of a node. */
export interface NodeStatus extends NodeSnapshot {
  /** Unix ms; null while it is not draining. */
  drainingSince: number | null;
  /** As the operator wished who ordered it; null: nobody did, or the node drains for its own reasons. */
  drainTimeoutMs: number | null;
  /** Sums over `lobbies`. */
  totals: { lobbies: number; subscribers: number; relaysFrom: number; relaysTo: number };
  /** What is there of each lobby: viewers (relays are not counted), and which nodes its tracks come from and go to. */
  lobbies: Required<LobbyLoad>[];
}

/** All nodes at one moment of the fleet's clock, as text: it is made once for all who ask in the same moment. */
export interface FleetSnapshot {
  /** Unix ms, of the same clock as `seenAt`. */
  takenAt: number;
  /** JSON of `NodeSnapshot[]`, without addresses. */
  nodes: string;
}

export interface RoomSummary {
  name: string;
  hasPublisher: boolean;
  tracks: number;
  subscribers: number;
}

/** All nodes and all rooms: `env.FLEET.getByName('fleet')`. */
export interface FleetRpc {
  /**
   * The node for a new publisher; 503 `no_media_node` with Retry-After when nothing fits. `prefer`: where the viewers are;
   * `near`: where the publisher is; `exclude`: nodes that have just turned out to be unreachable.
   */
  place(input: {
    lobby: LobbyId;
    prefer: NodeId | null;
    near?: Coordinates | null;
    exclude?: NodeId[];
  }): Promise<Outcome<{ node: NodeId; boot: BootId }>>;
  /** Viewers of one lobby by node, as last reported. */
  viewersOf(input: { lobby: LobbyId }): Promise<{ node: NodeId; subscribers: number }[]>;
  /** For the caches of those who place viewers (`fleet/snapshot-cache.ts`). */
  snapshot(): Promise<FleetSnapshot>;
  /**
   * Nothing new goes to the node from now on, and it is asked to empty itself within `timeoutMs`. Again: the same, with the
   * shorter time. 404 `no_node`; 501 `drain_not_supported` by a node that is too old.
   */
  drain(input: { node: NodeId; timeoutMs: number }): Promise<Outcome<NodeStatus>>;
  nodeUpdated(input: { snapshot: NodeSnapshot; lobbies: LobbyLoad[] }): Promise<void>;
  /** The link is down: nothing new goes there, but it may come back and what it carries is still its own. */
  nodeUnlinked(input: { node: NodeId; boot: BootId }): Promise<void>;
  /** It did not come back in time: forgotten. */
  nodeGone(input: { node: NodeId; boot: BootId }): Promise<void>;
  nodes(): Promise<NodeStatus[]>;
  lobbyUpdated(input: { lobby: LobbyId; hasPublisher: boolean; tracks: number }): Promise<void>;
  lobbyEnded(input: { lobby: LobbyId }): Promise<void>;
  rooms(): Promise<RoomSummary[]>;
}
