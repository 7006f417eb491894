/**
 * What an isolate knows of the fleet, a few seconds old, so that a join does not cost the fleet a call.
 *
 * The knowledge is shared by all objects of the isolate, as plain values. Calls are not: the runtime lets nobody wait for
 * what another object's request has begun. So each object has a `FleetView` of its own with its own single flight, and
 * one of them at a time refreshes for all.
 */
import { z } from 'zod';
import type { NodeId } from '../../shared/ids.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import { type Candidate, candidateOf } from './placement.ts';
import type { FleetSnapshot, NodeSnapshot } from './rpc.ts';

/** Up to this age a snapshot is used as it is. */
export const FRESH_MS = 2_000;
/** Up to this age it is used while a newer one is on its way. */
export const USABLE_MS = 10_000;

interface Knowledge {
  candidates: ReadonlyMap<NodeId, Candidate>;
  /** Unix ms of each node's last word, of the fleet's clock. */
  heardAt: ReadonlyMap<NodeId, number>;
  /** Unix ms, of this isolate's clock. */
  receivedAt: number;
  /** Since when somebody refreshes it; 0: nobody does. */
  refreshingSince: number;
}

/** Where knowledge is kept: one for all objects of an isolate. */
export interface Shelf {
  knowledge: Knowledge | null;
}

const OF_THIS_ISOLATE: Shelf = { knowledge: null };

export interface FleetViewOptions {
  ask: () => Promise<FleetSnapshot>;
  /** Keeps work alive that nobody waits for. */
  background: (work: Promise<unknown>) => void;
  shelf?: Shelf;
  /** Unix ms */
  clock?: () => number;
}

export class FleetView {
  readonly #options: FleetViewOptions;
  readonly #shelf: Shelf;
  readonly #clock: () => number;
  #flight: Promise<Knowledge> | null = null;

  constructor(options: FleetViewOptions) {
    this.#options = options;
    this.#shelf = options.shelf ?? OF_THIS_ISOLATE;
    this.#clock = options.clock ?? Date.now;
  }

  /** For a Durable Object (one for its whole life) or a request of the Worker. */
  static of(env: Env, ctx: { waitUntil(work: Promise<unknown>): void }): FleetView {
    return new FleetView({
      ask: () => env.FLEET.getByName(FLEET_NAME).snapshot(),
      background: (work) => ctx.waitUntil(work),
    });
  }

  /**
   * All nodes as of a few seconds ago, with what has been sent to them from here since. Asks the fleet only when nothing
   * usable is known, and rejects when that fails.
   */
  async candidates(): Promise<Candidate[]> {
    const { knowledge } = this.#shelf;
    const now = this.#clock();
    if (knowledge === null || now - knowledge.receivedAt > USABLE_MS) return listOf(await this.#ask());
    if (now - knowledge.receivedAt > FRESH_MS && now - knowledge.refreshingSince > FRESH_MS) {
      knowledge.refreshingSince = now;
      const refreshed = this.#ask().catch((error: unknown) => console.error('the fleet could not be asked', error));
      this.#options.background(refreshed);
    }
    return listOf(knowledge);
  }

  /** The same, asked for after this call began: when what was known has just turned out to be wrong. */
  async refreshed(): Promise<Candidate[]> {
    // One that is under way may have been answered before.
    await this.#flight?.catch(() => undefined);
    return listOf(await this.#ask());
  }

  /** A session was sent there: it counts until the node's next word. */
  sent(node: NodeId): void {
    const candidate = this.#shelf.knowledge?.candidates.get(node);
    if (candidate !== undefined) candidate.pending += 1;
  }

  #ask(): Promise<Knowledge> {
    this.#flight ??= this.#fetch().finally(() => {
      this.#flight = null;
    });
    return this.#flight;
  }

  async #fetch(): Promise<Knowledge> {
    const { takenAt, nodes } = await this.#options.ask();
    const now = this.#clock();
    const before = this.#shelf.knowledge;
    const candidates = new Map<NodeId, Candidate>();
    const heardAt = new Map<NodeId, number>();
    for (const snapshot of nodesIn(nodes)) {
      const { node, seenAt } = snapshot;
      const isSilent = before?.heardAt.get(node) === seenAt;
      const pending = isSilent ? (before?.candidates.get(node)?.pending ?? 0) : 0;
      // The fleet's clock is another machine's: ages travel, times do not.
      candidates.set(node, candidateOf({ ...snapshot, seenAt: seenAt + now - takenAt }, pending));
      heardAt.set(node, seenAt);
    }
    const knowledge: Knowledge = { candidates, heardAt, receivedAt: now, refreshingSince: 0 };
    this.#shelf.knowledge = knowledge;
    return knowledge;
  }
}

function listOf(knowledge: Knowledge): Candidate[] {
  return [...knowledge.candidates.values()];
}

const nodesSchema = z.array(z.custom<NodeSnapshot>((value) => typeof value === 'object' && value !== null));

/** Written by our own object a moment ago: believed but for its outermost shape. */
function nodesIn(json: string): NodeSnapshot[] {
  return nodesSchema.parse(JSON.parse(json));
}
