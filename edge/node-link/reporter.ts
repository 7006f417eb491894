/** Carries what a node reports to the lobbies concerned, in order for each, and to the fleet. */
import { type BootId, type LobbyId, type NodeId, streamOfLobby } from '../../shared/ids.ts';
import type {
  DesiredLobby,
  DesiredStream,
  IngressReport,
  LiveReport,
  LobbyLoad,
  NodeLoad,
  Report,
} from '../../shared/protocol/control.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import type { NodeSnapshot } from '../rpc.ts';
import { type Attachment, snapshotOf } from './link-socket.ts';

type About = NonNullable<Attachment['about']>;

export class Reporter {
  readonly #env: Env;
  readonly #onLost: (connection: number) => void;
  /** The last thing said to each lobby: the next one waits for it. */
  readonly #queues = new Map<LobbyId, Promise<unknown>>();
  /** The latest word for the fleet that has not been sent; a newer one replaces it, for each says everything. */
  #waiting: { snapshot: NodeSnapshot; lobbies: LobbyLoad[] } | null = null;
  #fleetQueue: Promise<void> = Promise.resolve();
  #load: NodeLoad | null = null;
  #lobbies: LobbyLoad[] | null = null;

  /** `onLost`: a lobby could not be told what was reported on this connection. */
  constructor(env: Env, onLost: (connection: number) => void) {
    this.#env = env;
    this.#onLost = onLost;
  }

  async report(connection: number, about: About, report: Report): Promise<void> {
    this.#load = report.load;
    this.#lobbies = report.lobbies;
    const { node, boot } = about;
    const told = [...byLobby(report.ingress, report.lives)].map(async ([lobby, words]) => {
      try {
        await this.#inOrder(lobby, () => this.#lobby(lobby).nodeReported({ node, boot, ...words }));
      } catch {
        this.#onLost(connection);
      }
    });
    await Promise.all([...told, this.refresh(about)]);
  }

  /** Tells the fleet that the node is alive, with the last load that is known. */
  refresh(about: About): Promise<void> {
    const word = { snapshot: snapshotOf(about, this.#load, Date.now()), lobbies: this.#lobbies };
    // After an eviction the counts are not known until the next report: silence is better than zeros.
    if (word.lobbies === null) return Promise.resolve();
    return this.introduce(word.snapshot, word.lobbies);
  }

  introduce(snapshot: NodeSnapshot, lobbies: LobbyLoad[]): Promise<void> {
    this.#load = snapshot.load;
    this.#lobbies = lobbies;
    const isFirst = this.#waiting === null;
    this.#waiting = { snapshot, lobbies };
    if (!isFirst) return this.#fleetQueue;
    return this.#sayToFleet(async () => {
      const word = this.#waiting;
      this.#waiting = null;
      if (word !== null) await this.#fleet().nodeUpdated(word);
    });
  }

  unlinked(input: { node: NodeId; boot: BootId }): Promise<void> {
    return this.#sayToFleet(() => this.#fleet().nodeUnlinked({ node: input.node, boot: input.boot }));
  }

  gone(input: { node: NodeId; boot: BootId }): Promise<void> {
    return this.#sayToFleet(() => this.#fleet().nodeGone({ node: input.node, boot: input.boot }));
  }

  reconcile(
    lobby: LobbyId,
    input: { node: NodeId; boot: BootId } & Words,
  ): Promise<DesiredLobby | DesiredStream | null> {
    return this.#inOrder<DesiredLobby | DesiredStream | null>(lobby, () => this.#lobby(lobby).reconcile(input));
  }

  lost(lobby: LobbyId, node: NodeId, boot: BootId): Promise<void> {
    return this.#inOrder(lobby, () => this.#lobby(lobby).nodeLost({ node, boot }));
  }

  #lobby(lobby: LobbyId) {
    return streamOfLobby(lobby) === null ? this.#env.LOBBY.getByName(lobby) : this.#env.STREAM_LOBBY.getByName(lobby);
  }

  #fleet() {
    return this.#env.FLEET.getByName(FLEET_NAME);
  }

  async #inOrder<T>(lobby: LobbyId, say: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(lobby) ?? Promise.resolve();
    // An object that is being moved or updated refuses once; the second call finds it in its new place.
    const said = before.then(() => say().catch(say));
    const settled = said.catch(() => undefined);
    this.#queues.set(lobby, settled);
    try {
      return await said;
    } finally {
      if (this.#queues.get(lobby) === settled) this.#queues.delete(lobby);
    }
  }

  #sayToFleet(say: () => Promise<void>): Promise<void> {
    this.#fleetQueue = this.#fleetQueue.then(() =>
      say()
        .catch(say)
        .catch((error: unknown) => console.error('the fleet could not be told', error)),
    );
    return this.#fleetQueue;
  }
}

/** What a node says about one lobby. Rooms have no pushes. */
export interface Words {
  ingress: IngressReport[];
  lives: LiveReport[];
}

/** Groups reports by lobby and keeps their order. */
export function byLobby(ingress: readonly IngressReport[], lives: readonly LiveReport[] = []): Map<LobbyId, Words> {
  const groups = new Map<LobbyId, Words>();
  const groupOf = (lobby: LobbyId): Words => {
    const group = groups.get(lobby) ?? { ingress: [], lives: [] };
    groups.set(lobby, group);
    return group;
  };
  for (const report of ingress) groupOf(report.lobby).ingress.push(report);
  for (const report of lives) groupOf(report.lobby).lives.push(report);
  return groups;
}
