/** Carries what a node reports to the lobbies concerned, in order for each, and to the fleet. */
import { type BootId, type LobbyId, type NodeId, streamOfLobby } from '../../shared/ids.ts';
import type {
  DesiredLobby,
  DesiredStream,
  IngressReport,
  LiveReport,
  LobbyLoad,
  NodeLoad,
  RelayReport,
  Report,
} from '../../shared/protocol/control.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import type { NodeSnapshot } from '../fleet/rpc.ts';
import { type About, snapshotOf } from './link-socket.ts';

/** With a thousand nodes, five hundred words a second reach the one fleet; counts of viewers are still seconds old at most. */
const FLEET_INTERVAL_MS = 2_000;
/** Nothing new is said again after this long. Well below the time after which a node gets no more sessions. */
const FLEET_QUIET_MS = 5_000;

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
  #draining = false;
  /** What the fleet was told last, and when. */
  #said = '';
  #saidAt = 0;
  #later: ReturnType<typeof setTimeout> | null = null;

  /** `onLost`: a lobby could not be told what was reported on this connection. */
  constructor(env: Env, onLost: (connection: number) => void) {
    this.#env = env;
    this.#onLost = onLost;
  }

  /** `told`: lobbies that hear of this report though it does not name them, because the node begins or ends to drain. */
  async report(connection: number, about: About, report: Report, told: readonly LobbyId[]): Promise<void> {
    this.#load = report.load;
    this.#lobbies = report.lobbies;
    const groups = byLobby(report);
    for (const lobby of told) if (!groups.has(lobby)) groups.set(lobby, NO_WORDS);
    const isUrgent = told.length > 0 || about.draining !== this.#draining;
    this.#draining = about.draining;
    await Promise.all([this.#tellLobbies(connection, about, groups), this.refresh(about, isUrgent)]);
  }

  /** These lobbies hear that the node drains. */
  drains(connection: number, about: About, lobbies: readonly LobbyId[]): Promise<void> {
    return this.#tellLobbies(connection, about, new Map(lobbies.map((lobby) => [lobby, NO_WORDS])));
  }

  async #tellLobbies(connection: number, about: About, groups: ReadonlyMap<LobbyId, Words>): Promise<void> {
    const { node, boot, draining } = about;
    const told = [...groups].map(async ([lobby, words]) => {
      try {
        await this.#inOrder(lobby, () => this.#lobby(lobby).nodeReported({ node, boot, draining, ...words }));
      } catch {
        this.#onLost(connection);
      }
    });
    await Promise.all(told);
  }

  /**
   * Tells the fleet that the node is alive, with the last load that is known. One fleet hears all nodes: each speaks once
   * in `FLEET_INTERVAL_MS`, and when it has nothing new to say, just often enough to be believed alive.
   */
  refresh(about: About, isUrgent = false): Promise<void> {
    const word = { snapshot: snapshotOf(about, this.#load, Date.now()), lobbies: this.#lobbies };
    // After an eviction the counts are not known until the next report: silence is better than zeros.
    if (word.lobbies === null) return Promise.resolve();
    const sinceMs = Date.now() - this.#saidAt;
    const isOld = sinceMs >= FLEET_QUIET_MS;
    if (!isUrgent && !isOld && contentOf(word.snapshot, word.lobbies) === this.#said) return Promise.resolve();
    if (isUrgent || sinceMs >= FLEET_INTERVAL_MS) return this.introduce(word.snapshot, word.lobbies);
    // What comes meanwhile is said with it.
    this.#later ??= setTimeout(() => void this.refresh(about, true), FLEET_INTERVAL_MS - sinceMs);
    return Promise.resolve();
  }

  introduce(snapshot: NodeSnapshot, lobbies: LobbyLoad[]): Promise<void> {
    this.#forgetLater();
    this.#load = snapshot.load;
    this.#lobbies = lobbies;
    this.#said = contentOf(snapshot, lobbies);
    this.#saidAt = Date.now();
    const isFirst = this.#waiting === null;
    this.#waiting = { snapshot, lobbies };
    if (!isFirst) return this.#fleetQueue;
    return this.#sayToFleet(async () => {
      const word = this.#waiting;
      this.#waiting = null;
      if (word !== null) await this.#fleet().nodeUpdated(word);
    });
  }

  #forgetLater(): void {
    if (this.#later !== null) clearTimeout(this.#later);
    this.#later = null;
  }

  unlinked(input: { node: NodeId; boot: BootId }): Promise<void> {
    this.#forgetLater();
    return this.#sayToFleet(() => this.#fleet().nodeUnlinked({ node: input.node, boot: input.boot }));
  }

  gone(input: { node: NodeId; boot: BootId }): Promise<void> {
    this.#forgetLater();
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

function contentOf(snapshot: NodeSnapshot, lobbies: readonly LobbyLoad[]): string {
  return JSON.stringify([{ ...snapshot, seenAt: 0 }, lobbies]);
}

/** What a node says about one lobby. Rooms have no pushes. */
export interface Words {
  ingress: IngressReport[];
  lives: LiveReport[];
  relays: RelayReport[];
}

export const NO_WORDS: Words = { ingress: [], lives: [], relays: [] };

/** Groups reports by lobby and keeps their order. */
export function byLobby(said: {
  ingress: readonly IngressReport[];
  lives?: readonly LiveReport[] | undefined;
  relays?: readonly RelayReport[] | undefined;
}): Map<LobbyId, Words> {
  const groups = new Map<LobbyId, Words>();
  const groupOf = (lobby: LobbyId): Words => {
    const group = groups.get(lobby) ?? { ingress: [], lives: [], relays: [] };
    groups.set(lobby, group);
    return group;
  };
  for (const report of said.ingress) groupOf(report.lobby).ingress.push(report);
  for (const report of said.lives ?? []) groupOf(report.lobby).lives.push(report);
  for (const report of said.relays ?? []) groupOf(report.lobby).relays.push(report);
  return groups;
}
