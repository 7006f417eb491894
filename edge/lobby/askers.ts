/**
 * The `Audience` objects that use a route of this lobby: they hear when one is no good any more. In memory only, for a
 * lobby that has slept longer than a route lives has nobody left to tell.
 */
import type { Env } from '../env.ts';

/** An `Audience` uses a route for so long without asking again. */
export const ROUTE_LIFE_MS = 10_000;

export class Askers {
  readonly #env: Env;
  /** Unix ms of the last question, by the object's name. */
  readonly #askedAt = new Map<string, number>();

  constructor(env: Env) {
    this.#env = env;
  }

  add(name: string): void {
    // The oldest first, so that the old are found at once.
    this.#askedAt.delete(name);
    this.#askedAt.set(name, Date.now());
    this.#dropOld();
  }

  /** Tells all who may still use a route. One that cannot be told finds out when the node refuses. */
  forget(): void {
    this.#dropOld();
    for (const name of this.#askedAt.keys()) {
      this.#env.AUDIENCE.getByName(name)
        .forget()
        .catch((error: unknown) => console.error('an audience could not be told', error));
    }
    this.#askedAt.clear();
  }

  #dropOld(): void {
    const now = Date.now();
    for (const [name, at] of this.#askedAt) {
      if (now - at <= ROUTE_LIFE_MS) break;
      this.#askedAt.delete(name);
    }
  }
}
