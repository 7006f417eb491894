/**
 * Who wants to be called when, for thousands who mostly want nothing: a hashed timing wheel. A deadline that moves later
 * costs nothing: whoever is called too early says when to be called again.
 */
export interface Scheduled {
  /** The wheel's own note; `NOT_SCHEDULED` at first. */
  dueTurn: number;
}
export const NOT_SCHEDULED = Number.POSITIVE_INFINITY;

/** How late a call may be. */
export const TURN_MS = 50;
/** Deadlines beyond all turns are looked at once per round. */
const TURNS = 256;

export class DeadlineWheel<T extends Scheduled> {
  readonly #slots = Array.from({ length: TURNS }, () => new Set<T>());
  /** The last one that was run. It is run again with the next: who is scheduled late for it is not missed. */
  #turn: number;
  #running = false;

  constructor(nowMs: number) {
    this.#turn = Math.floor(nowMs / TURN_MS);
  }

  /** Calls `item` within a turn of `atMs`, before or after it; sooner if that was asked before. Infinity: never mind. */
  schedule(item: T, atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY) return;
    const wanted = Math.min(Math.floor(atMs / TURN_MS), this.#turn + TURNS - 1);
    const turn = Math.max(wanted, this.#running ? this.#turn + 1 : this.#turn);
    if (item.dueTurn <= turn) return;
    this.remove(item);
    item.dueTurn = turn;
    this.#slots[turn % TURNS]?.add(item);
  }

  /** Forgets `item`. */
  remove(item: T): void {
    if (item.dueTurn !== NOT_SCHEDULED) this.#slots[item.dueTurn % TURNS]?.delete(item);
    item.dueTurn = NOT_SCHEDULED;
  }

  /** Calls everybody whose time has come; they are scheduled no longer then. `call` must not throw. */
  advance(nowMs: number, call: (item: T) => void): void {
    const until = Math.floor(nowMs / TURN_MS);
    if (until < this.#turn) this.#rewind(until);
    // A round comes by everybody.
    this.#turn = Math.max(this.#turn, until - TURNS);
    this.#running = true;
    for (; ; this.#turn += 1) {
      this.#runTurn(call);
      if (this.#turn >= until) break;
    }
    this.#running = false;
  }

  #runTurn(call: (item: T) => void): void {
    // Whoever is scheduled meanwhile is in another slot.
    for (const item of this.#slots[this.#turn % TURNS] ?? []) {
      this.remove(item);
      call(item);
    }
  }

  /** A clock that goes back (a test's): everybody is looked at in the next turn. */
  #rewind(turn: number): void {
    const all = this.#slots.flatMap((slot) => [...slot]);
    this.#turn = turn;
    for (const item of all) {
      this.remove(item);
      this.schedule(item, 0);
    }
  }
}
