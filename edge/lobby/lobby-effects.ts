/** Carries out what the machine of a room decided: words to nodes and to the fleet. */
import type { NodeId } from '../../shared/ids.ts';
import { type DesiredLobby, REQUEST_DEADLINE_MS } from '../../shared/protocol/control.ts';
import { FLEET_NAME } from '../env.ts';
import { hangUp, openRelay, type RelayHost } from '../relay/relay-opening.ts';
import type { LobbyEffect } from './lobby-events.ts';

export class LobbyEffects {
  readonly #host: RelayHost;
  readonly #completed: (desired: DesiredLobby) => DesiredLobby;
  /** Words to the fleet go out one after the other: the last one said must be the last one heard. */
  #fleetQueue: Promise<void> = Promise.resolve();
  /** The last thing that each node was told, as long as it has not answered: what builds upon it waits. */
  readonly #told = new Map<NodeId, Promise<unknown>>();

  /** `completed`: the desired state with what the machine does not decide. */
  constructor(host: RelayHost, completed: (desired: DesiredLobby) => DesiredLobby) {
    this.#host = host;
    this.#completed = completed;
  }

  /** Starts them; resolves when they are done, however that went: what failed heals when the node or the fleet asks. */
  async run(effects: readonly LobbyEffect[]): Promise<void> {
    await Promise.allSettled(effects.map((effect) => this.#perform(effect)));
  }

  #perform(effect: LobbyEffect): Promise<unknown> {
    const { env } = this.#host;
    const fleet = env.FLEET.getByName(FLEET_NAME);
    switch (effect.type) {
      case 'apply':
        return this.#apply(effect);
      case 'pull':
        return this.#pull(effect);
      case 'hang-up':
        return hangUp(env, effect, effect.session);
      case 'announce': {
        const { lobby, hasPublisher, tracks } = effect;
        return this.#tellFleet(() => fleet.lobbyUpdated({ lobby, hasPublisher, tracks }));
      }
      case 'ended':
        return this.#tellFleet(() => fleet.lobbyEnded({ lobby: effect.lobby }));
    }
  }

  async #apply({ node, boot, desired }: Extract<LobbyEffect, { type: 'apply' }>): Promise<void> {
    const link = this.#host.env.NODE_LINK.getByName(node);
    const told = link.request<'apply'>(
      { method: 'apply', desired: this.#completed(desired) },
      REQUEST_DEADLINE_MS,
      boot,
    );
    this.#told.set(node, told);
    try {
      await told;
    } finally {
      if (this.#told.get(node) === told) this.#told.delete(node);
    }
  }

  /** A node that has just lost its publisher to another node must know so before it pulls. */
  async #pull(effect: Extract<LobbyEffect, { type: 'pull' }>): Promise<void> {
    await this.#told.get(effect.node)?.catch(() => undefined);
    const { node, boot, lobby, revision, hop, tracks } = effect;
    await openRelay(this.#host, { node, boot, lobby, revision, hop, tracks, source: null });
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
