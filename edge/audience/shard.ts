/**
 * Which `Audience` object a viewer is let in by: viewers from the same part of the world share one, for what is the best
 * node for one is the best for the other; when they are many, several.
 */
import type { LobbyId } from '../../shared/ids.ts';
import type { Coordinates } from '../../shared/protocol/control.ts';

/** Degrees: some hundred kilometres, about what a relay to a nearer node is worth. */
const CELL_DEGREES = 5;
export const MAX_SHARDS = 16;
/** After a busy answer the others of the same moment say the same: doubling once a second is enough. */
const DOUBLE_AFTER_MS = 1_000;
/** So long without a busy answer, and half as many are enough. */
const HALVE_AFTER_MS = 10_000;
/** Rooms that are remembered to be spread; others begin with one object. */
const MAX_REMEMBERED = 1_000;

export interface Spread {
  shards: number;
  /** Unix ms of the last change. */
  changedAt: number;
  /** Unix ms of the last busy answer. */
  busyAt: number;
}

const ONE: Spread = { shards: 1, changedAt: 0, busyAt: 0 };

/** How many objects are used after an answer. */
export function nextSpread(spread: Spread, busy: boolean, now: number): Spread {
  if (busy) {
    if (now - spread.changedAt < DOUBLE_AFTER_MS) return { ...spread, busyAt: now };
    return { shards: Math.min(MAX_SHARDS, spread.shards * 2), changedAt: now, busyAt: now };
  }
  if (spread.shards === 1 || now - Math.max(spread.busyAt, spread.changedAt) < HALVE_AFTER_MS) return spread;
  return { ...spread, shards: spread.shards / 2, changedAt: now };
}

/** The room and the part of the world; null: nobody knows where the viewer is. */
export function cellName(lobby: LobbyId, near: Coordinates | null): string {
  if (near === null) return `${lobby}|any`;
  return `${lobby}|${Math.floor(near.latitude / CELL_DEGREES)},${Math.floor(near.longitude / CELL_DEGREES)}`;
}

/** Of this isolate: each finds out by itself where many come. */
export class Spreads {
  readonly #spreads = new Map<string, Spread>();

  /** The name of the object for one more viewer. `random`: in [0, 1). */
  pick(cell: string, random: number): string {
    const { shards } = this.#spreads.get(cell) ?? ONE;
    return `${cell}|${Math.floor(random * shards)}`;
  }

  answered(cell: string, busy: boolean, now: number): void {
    const before = this.#spreads.get(cell) ?? ONE;
    const after = nextSpread(before, busy, now);
    if (after === before) return;
    this.#spreads.delete(cell);
    if (after.shards === 1) return;
    this.#spreads.set(cell, after);
    const oldest = this.#spreads.keys().next();
    if (this.#spreads.size > MAX_REMEMBERED && !oldest.done) this.#spreads.delete(oldest.value);
  }
}
