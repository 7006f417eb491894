/** What an `Audience` remembers of the lobby's answers, and for how long. No clock of its own, no calls. */
import type { Problem } from '../../shared/errors.ts';
import { ROUTE_LIFE_MS } from '../lobby/askers.ts';
import type { Route } from '../lobby/rpc.ts';

/** A refusal is kept for others only when so many ask within a second: a viewer who comes again at once gets the truth. */
const STORM_REFUSALS = 20;
const REFUSAL_LIFE_MS = 1_000;
const SECOND_MS = 1_000;
/** Viewers per second whom one object lets in before they are spread over more. */
const BUSY_PER_SECOND = 100;

export class RouteMemory {
  #route: { route: Route; at: number; used: number } | null = null;
  #refusal: { problem: Problem; at: number } | null = null;
  /** Grows whenever what was known has turned out to be wrong. */
  #version = 0;
  readonly #refusals = new PerSecond();
  readonly #joins = new PerSecond();

  get version(): number {
    return this.#version;
  }

  /** One more viewer comes; true: more than one object should take. */
  joined(now: number): boolean {
    return this.#joins.count(now) > BUSY_PER_SECOND;
  }

  /** The route to use for one more viewer, the refusal to give, or null: ask the lobby. */
  recall(now: number): { route: Route } | { problem: Problem } | null {
    const known = this.#route;
    if (known !== null && now - known.at < ROUTE_LIFE_MS && known.used < known.route.seats) {
      known.used += 1;
      return { route: known.route };
    }
    if (this.#refusal !== null && now - this.#refusal.at < REFUSAL_LIFE_MS) {
      const { problem, at } = this.#refusal;
      const { retryAfterSeconds } = problem;
      if (retryAfterSeconds === undefined) return { problem };
      const leftSeconds = Math.ceil(retryAfterSeconds - (now - at) / SECOND_MS);
      return { problem: { ...problem, retryAfterSeconds: Math.max(1, leftSeconds) } };
    }
    return null;
  }

  /** `version`: when the lobby was asked. An answer from before `forget` is good for those who asked and no one else. */
  learned(route: Route, version: number, now: number): void {
    if (version !== this.#version) return;
    this.#refusal = null;
    this.#route = { route, at: now, used: 1 };
  }

  refused(problem: Problem, now: number): void {
    if (this.#refusals.count(now) > STORM_REFUSALS) this.#refusal = { problem, at: now };
  }

  forget(): void {
    this.#version += 1;
    this.#route = null;
    this.#refusal = null;
  }

  /** This route was no good; what has been learned since stays. */
  drop(route: Route): void {
    if (this.#route?.route === route) this.forget();
  }
}

/** Counts in windows of a second. */
class PerSecond {
  #since = 0;
  #count = 0;

  count(now: number): number {
    if (now - this.#since >= SECOND_MS) {
      this.#since = now;
      this.#count = 0;
    }
    this.#count += 1;
    return this.#count;
  }
}
