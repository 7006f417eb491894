/** Carries out what the machine of a room decided: words to nodes and to the fleet. */
import { REQUEST_DEADLINE_MS } from '../../shared/protocol/control.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import type { LobbyEffect } from './lobby-events.ts';

export class LobbyEffects {
  readonly #env: Env;
  /** Words to the fleet go out one after the other: the last one said must be the last one heard. */
  #fleetQueue: Promise<void> = Promise.resolve();

  constructor(env: Env) {
    this.#env = env;
  }

  /** Starts them; resolves when they are done, however that went: what failed heals when the node or the fleet asks. */
  async run(effects: readonly LobbyEffect[]): Promise<void> {
    await Promise.allSettled(effects.map((effect) => this.#perform(effect)));
  }

  #perform(effect: LobbyEffect): Promise<unknown> {
    const fleet = this.#env.FLEET.getByName(FLEET_NAME);
    switch (effect.type) {
      case 'apply': {
        const link = this.#env.NODE_LINK.getByName(effect.node);
        return link.request<'apply'>({ method: 'apply', desired: effect.desired }, REQUEST_DEADLINE_MS, effect.boot);
      }
      case 'announce': {
        const { lobby, hasPublisher, tracks } = effect;
        return this.#tellFleet(() => fleet.lobbyUpdated({ lobby, hasPublisher, tracks }));
      }
      case 'ended':
        return this.#tellFleet(() => fleet.lobbyEnded({ lobby: effect.lobby }));
    }
  }

  #tellFleet(say: () => Promise<void>): Promise<void> {
    this.#fleetQueue = this.#fleetQueue.then(() =>
      say()
        .catch(say)
        .catch((error: unknown) => console.error('the fleet could not be told', error)),
    );
    return this.#fleetQueue;
  }
}
