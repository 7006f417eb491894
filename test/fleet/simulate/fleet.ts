/** The nodes of the simulation, as they are and as the edge believes them to be. */
import { kmBetween, type UnitVector, unitVector } from '../../../edge/fleet/geography.ts';
import type { Candidate } from '../../../edge/fleet/placement.ts';
import type { NodeSnapshot } from '../../../edge/fleet/rpc.ts';
import type { BootId, NodeId } from '../../../shared/ids.ts';
import { FLEET_PROTOCOL_VERSION } from '../../../shared/protocol/control.ts';
import type { Random } from './random.ts';
import type { Site } from './world.ts';

/** What one viewer of 1.4 Mb/s costs: packets and bytes per second. */
const PACKETS_PER_VIEWER = 187;
const BYTES_PER_VIEWER = 175_000;
/** At its limit a node uses so much of its core. */
const CPU_WHEN_FULL = 0.85;

/** Truth and belief: `sessions`, `alive` and `leaving` are true now, `snapshot` is what was reported last. */
export class SimNode implements Candidate {
  snapshot: NodeSnapshot;
  pending = 0;
  readonly where: UnitVector;
  sessions = 0;
  alive = true;
  leaving = false;

  constructor(site: Site, boot: BootId) {
    this.where = unitVector(site.coordinates);
    this.snapshot = {
      node: site.name as NodeId,
      boot,
      linked: true,
      region: '',
      coordinates: site.coordinates,
      version: '1',
      protocol: FLEET_PROTOCOL_VERSION,
      engine: 'native',
      addresses: [],
      capacity: { sessions: site.sessions },
      load: { sessions: 0, packetsPerSecond: 0, cpu: 0 },
      draining: false,
      seenAt: 0,
    };
  }

  /** Would this life of the node say yes to one more viewer? */
  takes(boot: BootId): boolean {
    const { capacity } = this.snapshot;
    return this.alive && !this.leaving && this.snapshot.boot === boot && this.sessions < capacity.sessions;
  }

  report(now: number): void {
    if (!this.alive) return;
    const { sessions, leaving } = this;
    const load = {
      sessions,
      packetsPerSecond: sessions * PACKETS_PER_VIEWER,
      bytesOutPerSecond: sessions * BYTES_PER_VIEWER,
      cpu: (CPU_WHEN_FULL * sessions) / this.snapshot.capacity.sessions,
    };
    this.snapshot = { ...this.snapshot, load, draining: leaving, linked: true, seenAt: now };
    this.pending = 0;
  }

  /** The edge has noticed that it is gone. */
  unlink(): void {
    this.snapshot = { ...this.snapshot, linked: false };
  }

  restart(boot: BootId): void {
    this.alive = true;
    this.leaving = false;
    this.sessions = 0;
    this.snapshot = { ...this.snapshot, boot };
  }
}

export class Fleet {
  readonly nodes: readonly SimNode[];
  readonly random: Random;
  /** Unix ms */
  now = 0;
  /** Nodes that said no, because more had been sent to them than the last report showed. */
  refusals = 0;
  readonly #byId: ReadonlyMap<NodeId, SimNode>;

  constructor(sites: readonly Site[], random: Random) {
    this.random = random;
    this.nodes = sites.map((site) => new SimNode(site, random.id() as BootId));
    this.#byId = new Map(this.nodes.map((node) => [node.snapshot.node, node]));
  }

  get candidates(): readonly Candidate[] {
    return this.nodes;
  }

  of(id: NodeId): SimNode {
    const node = this.#byId.get(id);
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  km(a: NodeId, b: NodeId): number {
    return kmBetween(this.of(a).where, this.of(b).where);
  }

  report(): void {
    for (const node of this.nodes) node.report(this.now);
  }
}
