/** What an evening comes to, in numbers that are the same for the same seed. */
import type { SimNode } from './fleet.ts';
import { quantile } from './random.ts';

export interface Quantiles {
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

export interface EveningResult {
  viewers: {
    arrived: number;
    /** Came, found no place, and went away after some tries. */
    refused: number;
    /** Had to come a second time. */
    waited: number;
    movedByDeath: number;
    movedByDrain: number;
    /** Were still there when a drained node left, and came back elsewhere. */
    droppedByDrain: number;
    /** Answers `node_full` and the like: the edge knew too little, and asked another node. */
    saidNoByNodes: number;
  };
  /** From each viewer to its node. */
  distanceKm: Quantiles;
  /** The same, beyond the nearest node of all. */
  detourKm: Quantiles;
  peak: {
    viewers: number;
    relays: number;
    /** Relays of the biggest room. */
    largestTree: number;
    /** Relays by depth: 1 hangs on the publisher's node. */
    depths: Record<string, number>;
    /** Share of capacity in use, over nodes that have viewers. */
    load: Quantiles & { used: number; idle: number };
  };
  work: { placements: number; routeQuestions: number; relaysOpened: number; treeSteps: number };
  end: { viewers: number; relays: number };
}

export function summaryOfKm(values: Float32Array): Quantiles {
  const sorted = values.slice().sort();
  const at = (share: number) => Math.round(quantile(sorted, share));
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

export function spreadOf(nodes: readonly SimNode[]): EveningResult['peak']['load'] {
  const used = nodes.filter(({ alive, sessions }) => alive && sessions > 0);
  const shares = used.map(({ sessions, snapshot }) => sessions / snapshot.capacity.sessions).sort((a, b) => a - b);
  const at = (share: number) => Number(quantile(shares, share).toFixed(2));
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1), used: used.length, idle: nodes.length - used.length };
}

export function depthsOf(trees: readonly (readonly number[])[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const depth of trees.flat().sort((a, b) => a - b)) counts[depth] = (counts[depth] ?? 0) + 1;
  return counts;
}
