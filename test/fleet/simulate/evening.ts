/**
 * An evening: viewers come, stay and go; nodes die and are replaced; an operator drains nodes one batch after the other.
 * Every viewer is simulated by itself, in steps of the two seconds after which nodes report. Calls take no time.
 */
import { kmBetween, unitVector } from '../../../edge/fleet/geography.ts';
import { depthOf } from '../../../edge/relay/relay-tree.ts';
import type { BootId, LobbyId } from '../../../shared/ids.ts';
import { Fleet, type SimNode } from './fleet.ts';
import { Random, Weighted } from './random.ts';
import { depthsOf, type EveningResult, spreadOf, summaryOfKm } from './result.ts';
import { type Counters, Room } from './room.ts';
import { makeWorld, type World } from './world.ts';

export interface EveningOptions {
  seed: number;
  nodes: number;
  locations: number;
  viewers: number;
  hours: number;
  rooms: number;
  /** Share of all nodes that die during the evening, and that are drained. */
  deaths: number;
  drains: number;
}

export const STEP_MS = 2_000;
const MEAN_STAY_MS = 35 * 60_000;
/** Sessions that all nodes can carry, for each viewer of the evening: about a third of them are there at the same time. */
const CAPACITY_PER_VIEWER = 0.7;
/** From a node's death to its lobbies being told; within the promised 10 s. */
const DETECTION_MS = 6_000;
/** A dead node's machine is back after this long, with another boot id. */
const REPAIR_MS = 10 * 60_000;
const DRAIN_MS = 30_000;
const UPGRADE_MS = 60_000;
/** Relays are looked at this often. */
const LOOK_EVERY = 5;
/** Who finds no place comes again after `Retry-After`, so many times. */
const MAX_TRIES = 5;
const START = 1_800_000_000_000;

export class Evening {
  readonly fleet: Fleet;
  readonly rooms: Room[];
  readonly #options: EveningOptions;
  readonly #random: Random;
  readonly #world: World;
  readonly #counters: Counters = { placements: 0, routeQuestions: 0, relaysOpened: 0, treeSteps: 0 };
  /** What is due in each step. */
  readonly #due: (() => void)[][];
  readonly #steps: number;
  /** By viewer: its node, or -1. */
  readonly #at: Int32Array;
  readonly #roomOf: Int32Array;
  readonly #locationOf: Int32Array;
  readonly #km: Float32Array;
  readonly #detourKm: Float32Array;
  readonly #nearestKm: number[] = [];
  readonly #tally = { arrived: 0, refused: 0, waited: 0, movedByDeath: 0, movedByDrain: 0, droppedByDrain: 0 };
  #present = 0;
  #step = 0;
  #peak: EveningResult['peak'] | null = null;

  constructor(options: EveningOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    const { nodes, locations, rooms, viewers } = options;
    const sessions = Math.ceil(viewers * CAPACITY_PER_VIEWER);
    this.#world = makeWorld({ nodes, locations, rooms, sessions }, this.#random);
    this.fleet = new Fleet(this.#world.sites, this.#random);
    this.fleet.now = START;
    this.fleet.report();
    this.#steps = Math.ceil((options.hours * 3_600_000) / STEP_MS);
    this.#due = Array.from({ length: this.#steps }, () => []);
    this.#at = new Int32Array(viewers).fill(-1);
    this.#roomOf = new Int32Array(viewers);
    this.#locationOf = new Int32Array(viewers);
    this.#km = new Float32Array(viewers);
    this.#detourKm = new Float32Array(viewers);
    this.rooms = this.#world.rooms.map((_, index) => {
      const place = this.#world.locations[this.#random.int(locations)];
      if (place === undefined) throw new Error('there are no locations');
      return new Room(`room:${index}` as LobbyId, place.near, this.fleet, this.#counters);
    });
    for (const room of this.rooms) room.publish();
    this.#planAudience();
    this.#planAccidents();
  }

  /** `watch` sees the state after each step. */
  run(watch: (evening: Evening) => void = () => undefined): EveningResult {
    for (this.#step = 0; this.#step < this.#steps; this.#step += 1) {
      this.fleet.now = START + this.#step * STEP_MS;
      this.fleet.report();
      for (const happen of this.#due[this.#step] ?? []) happen();
      if (this.#step % LOOK_EVERY === 0) for (const room of this.rooms) room.look();
      if (this.#present > (this.#peak?.viewers ?? -1)) this.#notePeak();
      watch(this);
    }
    return this.#result();
  }

  get present(): number {
    return this.#present;
  }

  #after(delayMs: number, happen: () => void): void {
    this.#due[this.#step + Math.max(1, Math.round(delayMs / STEP_MS))]?.push(happen);
  }

  /** Everybody watches something; half of the big room's viewers come within ten minutes of its beginning. */
  #planAudience(): void {
    const byLocation = new Weighted(this.#world.locations.map(({ weight }) => weight));
    const byRoom = new Weighted(this.#world.rooms);
    const delays = this.#world.locations.map(() => this.#random.between(-0.08, 0.08));
    for (let viewer = 0; viewer < this.#options.viewers; viewer += 1) {
      const location = byLocation.pick(this.#random);
      const room = byRoom.pick(this.#random);
      this.#locationOf[viewer] = location;
      this.#roomOf[viewer] = room;
      const rush = room === 0 && this.#random.next() < 0.5;
      const minutes = 10 / (60 * this.#options.hours);
      // The sum of two is likeliest in the middle.
      const when = rush
        ? 0.35 + minutes * this.#random.next()
        : (this.#random.next() + this.#random.next()) / 2 + (delays[location] ?? 0);
      const step = Math.min(this.#steps - 1, Math.max(0, Math.floor(when * this.#steps)));
      this.#due[step]?.push(() => this.#arrive(viewer, 1));
    }
  }

  #planAccidents(): void {
    const order = this.fleet.nodes.map((_, index) => index);
    for (let index = order.length - 1; index > 0; index -= 1) {
      const other = this.#random.int(index + 1);
      [order[index], order[other]] = [order[other] ?? 0, order[index] ?? 0];
    }
    const deaths = Math.round(this.#options.deaths * order.length);
    const drains = Math.round(this.#options.drains * order.length);
    const nodeAt = (index: number) => this.fleet.nodes[order[index] ?? 0];
    for (let index = 0; index < deaths + drains && index < order.length; index += 1) {
      const node = nodeAt(index);
      if (node === undefined) continue;
      const step = Math.floor(this.#random.between(0.1, 0.9) * this.#steps);
      this.#due[step]?.push(index < deaths ? () => this.#die(node) : () => this.#drain(node));
    }
  }

  #arrive(viewer: number, tries: number): void {
    const location = this.#locationOf[viewer] ?? 0;
    const near = this.#world.locations[location]?.near;
    const room = this.rooms[this.#roomOf[viewer] ?? 0];
    if (near === undefined || room === undefined) throw new Error('a viewer of nothing, from nowhere');
    const node = room.admit(near);
    if (node === null) {
      if (tries === 1) this.#tally.waited += 1;
      if (tries >= MAX_TRIES) this.#tally.refused += 1;
      else this.#after(STEP_MS, () => this.#arrive(viewer, tries + 1));
      return;
    }
    this.#tally.arrived += 1;
    this.#seat(viewer, node);
    this.#after(this.#random.exponential(MEAN_STAY_MS), () => this.#depart(viewer));
  }

  #seat(viewer: number, node: SimNode): void {
    this.#at[viewer] = this.fleet.nodes.indexOf(node);
    this.#present += 1;
    const location = this.#locationOf[viewer] ?? 0;
    const km = this.#kmTo(location, node);
    this.#km[viewer] = km;
    this.#detourKm[viewer] = km - this.#nearest(location);
  }

  #depart(viewer: number): void {
    const node = this.fleet.nodes[this.#at[viewer] ?? -1];
    if (node === undefined) return;
    this.rooms[this.#roomOf[viewer] ?? 0]?.leave(node);
    this.#at[viewer] = -1;
    this.#present -= 1;
  }

  #die(node: SimNode): void {
    if (!node.alive) return;
    node.alive = false;
    this.#after(DETECTION_MS, () => {
      node.unlink();
      const orphans = this.#viewersOn(node);
      for (const viewer of orphans) this.#depart(viewer);
      for (const room of this.rooms) room.lost(node, false);
      // They come again as new viewers do.
      for (const viewer of orphans) if (this.#move(viewer)) this.#tally.movedByDeath += 1;
    });
    this.#after(REPAIR_MS, () => node.restart(this.#random.id() as BootId));
  }

  /** As an operator upgrades a node: it asks its viewers to move, ends when it is empty, and comes back. */
  #drain(node: SimNode): void {
    if (!node.alive) return;
    node.leaving = true;
    node.report(this.fleet.now);
    for (const room of this.rooms) {
      room.forgetRoutes();
      if (room.tree.origin?.node === node.snapshot.node) room.publish();
    }
    const movers = this.#viewersOn(node);
    const waves = Math.floor(DRAIN_MS / STEP_MS) - 1;
    for (const [index, viewer] of movers.entries()) {
      this.#after((index % waves) * STEP_MS, () => this.#makeBeforeBreak(viewer, node));
    }
    this.#after(DRAIN_MS, () => {
      for (const viewer of this.#viewersOn(node)) {
        this.#depart(viewer);
        if (this.#move(viewer)) this.#tally.droppedByDrain += 1;
      }
      node.alive = false;
      node.unlink();
      for (const room of this.rooms) room.lost(node, false);
    });
    this.#after(DRAIN_MS + UPGRADE_MS, () => node.restart(this.#random.id() as BootId));
  }

  #makeBeforeBreak(viewer: number, from: SimNode): void {
    if (this.fleet.nodes[this.#at[viewer] ?? -1] !== from) return;
    const near = this.#world.locations[this.#locationOf[viewer] ?? 0]?.near;
    const room = this.rooms[this.#roomOf[viewer] ?? 0];
    const node = near === undefined ? null : (room?.admit(near) ?? null);
    // Stays where it is, and tries again until the node leaves.
    if (node === null) {
      this.#after(STEP_MS, () => this.#makeBeforeBreak(viewer, from));
      return;
    }
    this.#depart(viewer);
    this.#seat(viewer, node);
    this.#tally.movedByDrain += 1;
  }

  /** A viewer whose node is gone: its departure stays planned. */
  #move(viewer: number): boolean {
    const near = this.#world.locations[this.#locationOf[viewer] ?? 0]?.near;
    const node = near === undefined ? null : (this.rooms[this.#roomOf[viewer] ?? 0]?.admit(near) ?? null);
    if (node !== null) this.#seat(viewer, node);
    else this.#after(STEP_MS, () => void this.#arrive(viewer, 2));
    return node !== null;
  }

  #viewersOn(node: SimNode): number[] {
    const index = this.fleet.nodes.indexOf(node);
    const found: number[] = [];
    for (let viewer = 0; viewer < this.#at.length; viewer += 1) if (this.#at[viewer] === index) found.push(viewer);
    return found;
  }

  #kmTo(location: number, node: SimNode): number {
    const near = this.#world.locations[location]?.near;
    return near === undefined ? 0 : kmBetween(unitVector(near), node.where);
  }

  /** To the nearest node of all, whatever it carries and however full it is. */
  #nearest(location: number): number {
    const known = this.#nearestKm[location];
    if (known !== undefined) return known;
    const nearest = Math.min(...this.fleet.nodes.map((node) => this.#kmTo(location, node)));
    this.#nearestKm[location] = nearest;
    return nearest;
  }

  #notePeak(): void {
    const relays = this.rooms.reduce((sum, { tree }) => sum + tree.relays.length, 0);
    const depths = depthsOf(this.rooms.map(({ tree }) => tree.relays.map(({ node }) => depthOf(tree, node))));
    const largest = Math.max(...this.rooms.map(({ tree }) => tree.relays.length));
    this.#peak = { viewers: this.#present, relays, largestTree: largest, depths, load: spreadOf(this.fleet.nodes) };
  }

  #result(): EveningResult {
    if (this.#peak === null) throw new Error('nothing has happened');
    const { placements, routeQuestions, relaysOpened, treeSteps } = this.#counters;
    return {
      viewers: { ...this.#tally, saidNoByNodes: this.fleet.refusals },
      distanceKm: summaryOfKm(this.#km),
      detourKm: summaryOfKm(this.#detourKm),
      peak: this.#peak,
      work: { placements, routeQuestions, relaysOpened, treeSteps },
      end: { viewers: this.#present, relays: this.rooms.reduce((sum, { tree }) => sum + tree.relays.length, 0) },
    };
  }
}
