/**
 * A join storm: so many viewers per second for one room, from everywhere. Every join goes the real way (spread over
 * `Audience` objects, routes remembered, the lobby asked, the tree grown), and every call that an object gets is counted.
 * With what such a call costs, measured in workerd, that says how busy the busiest object of each kind is.
 */
import { cellName, Spreads } from '../../../edge/audience/shard.ts';
import type { LobbyId } from '../../../shared/ids.ts';
import { Fleet } from './fleet.ts';
import { Random, Weighted } from './random.ts';
import { type Counters, Room } from './room.ts';
import { makeWorld } from './world.ts';

/**
 * Processor time of one call in microseconds, both sides of it, measured in workerd 1.20261117 on one shared core with 16
 * calls at a time (README.md says how). An object runs on one thread: more than a million of these in a second, and it
 * becomes a queue.
 */
export const COST_US = {
  /** Audience.play: the call, an SDP in and out, the call to the node's link. */
  audience: 85 + 85,
  /** Lobby.route: the call, placement among a thousand nodes, now and then a relay. */
  lobby: 70 + 60,
  /** NodeLink.request: the call, a frame out and in through the WebSocket, parsed. */
  nodeLink: 85 + 300,
  /** Fleet.nodeUpdated. */
  report: 55,
  /** Fleet.snapshot of a thousand nodes. */
  snapshot: 560,
} as const;

/** Every node speaks to the fleet at most so often (edge/node-link/reporter.ts). */
const REPORT_INTERVAL_MS = 2_000;
/** Isolates that keep a snapshot of their own: at each of Cloudflare's places some, of which this room uses these. */
const ISOLATES = 200;
const STEP_MS = 100;
/** As refusals say; who was refused so often goes away. */
const RETRY_AFTER_MS = 2_000;
const MAX_TRIES = 5;
const START = 1_800_000_000_000;

export interface StormOptions {
  seed: number;
  nodes: number;
  joinsPerSecond: number;
  seconds: number;
}

export interface Busiest {
  objects: number;
  /** Of the busiest object in its busiest second. */
  callsPerSecond: number;
  /** Share of the one thread that it has. */
  busy: number;
}

export interface StormResult {
  joined: number;
  /** Found no place at first: the nodes that were named for them had filled up since their last report. */
  waited: number;
  refused: number;
  relays: number;
  audience: Busiest;
  lobby: Busiest;
  nodeLink: Busiest;
  fleet: Busiest;
}

/** Calls by object and second. */
class Calls {
  readonly #counts = new Map<string, number[]>();

  add(object: string, second: number, calls = 1): void {
    const counts = this.#counts.get(object) ?? [];
    counts[second] = (counts[second] ?? 0) + calls;
    this.#counts.set(object, counts);
  }

  busiest(costUs: number): Busiest {
    let most = 0;
    for (const counts of this.#counts.values()) for (const calls of counts) most = Math.max(most, calls ?? 0);
    return { objects: this.#counts.size, callsPerSecond: most, busy: Number(((most * costUs) / 1e6).toFixed(3)) };
  }
}

export function joinStorm({ seed, nodes, joinsPerSecond, seconds }: StormOptions): StormResult {
  const random = new Random(seed);
  const sessions = joinsPerSecond * seconds * 2;
  const world = makeWorld({ nodes, locations: 200, rooms: 1, sessions }, random);
  const fleet = new Fleet(world.sites, random);
  fleet.now = START;
  fleet.report();
  const counters: Counters = { placements: 0, routeQuestions: 0, relaysOpened: 0, treeSteps: 0 };
  const byLocation = new Weighted(world.locations.map(({ weight }) => weight));
  const origin = world.locations[0];
  if (origin === undefined) throw new Error('there are no locations');
  const calls = { audience: new Calls(), lobby: new Calls(), nodeLink: new Calls() };
  const lobby = 'room:storm' as LobbyId;
  let second = 0;
  const room = new Room(lobby, origin.near, fleet, counters, {
    lobbyAsked: () => calls.lobby.add(lobby, second),
    nodeAsked: (node) => calls.nodeLink.add(node, second),
  });
  room.publish();
  // Each place has an isolate of its own, which finds out by itself how many objects to spread over.
  const spreads = world.locations.map(() => new Spreads());
  const result = { joined: 0, waited: 0, refused: 0 };
  const again: { at: number; index: number; tries: number }[] = [];
  let owed = 0;
  const join = (index: number, tries: number) => {
    const near = world.locations[index]?.near;
    const spread = spreads[index];
    if (near === undefined || spread === undefined) throw new Error('a viewer from nowhere');
    const cell = cellName(lobby, near);
    const asker = spread.pick(cell, random.next());
    calls.audience.add(asker, second);
    const busy = room.memory(asker).joined(fleet.now);
    const node = room.admit(near, asker);
    spread.answered(cell, busy, fleet.now);
    if (node !== null) {
      result.joined += 1;
    } else if (tries < MAX_TRIES) {
      if (tries === 1) result.waited += 1;
      again.push({ at: fleet.now + RETRY_AFTER_MS, index, tries: tries + 1 });
    } else {
      result.refused += 1;
    }
  };
  for (let step = 0; step * STEP_MS < seconds * 1_000 || again.length > 0; step += 1) {
    fleet.now = START + step * STEP_MS;
    second = Math.floor((step * STEP_MS) / 1_000);
    if ((step * STEP_MS) % REPORT_INTERVAL_MS === 0) fleet.report();
    while (again[0] !== undefined && again[0].at <= fleet.now) {
      const { index, tries } = again.shift() ?? { index: 0, tries: 1 };
      join(index, tries);
    }
    if (step * STEP_MS >= seconds * 1_000) continue;
    for (owed += (joinsPerSecond * STEP_MS) / 1_000; owed >= 1; owed -= 1) join(byLocation.pick(random), 1);
  }
  const reports = Math.ceil(nodes / (REPORT_INTERVAL_MS / 1_000));
  const snapshots = Math.ceil(ISOLATES / (REPORT_INTERVAL_MS / 1_000));
  const busy = Number(((reports * COST_US.report + snapshots * COST_US.snapshot) / 1e6).toFixed(3));
  return {
    ...result,
    relays: room.tree.relays.length,
    audience: calls.audience.busiest(COST_US.audience),
    lobby: calls.lobby.busiest(COST_US.lobby),
    nodeLink: calls.nodeLink.busiest(COST_US.nodeLink),
    fleet: { objects: 1, callsPerSecond: reports + snapshots, busy },
  };
}
