/**
 * The Durable Object that lets the viewers of one room from one part of the world in: it remembers where the lobby sends
 * them and asks the node itself, so that a storm of viewers reaches neither the lobby nor the fleet. It stores nothing.
 */
import { DurableObject } from 'cloudflare:workers';
import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import { type Coordinates, REQUEST_DEADLINE_MS } from '../../shared/protocol/control.ts';
import type { Env } from '../env.ts';
import type { Route } from '../lobby/rpc.ts';
import { RouteMemory } from './route-memory.ts';
import type { AudienceRpc } from './rpc.ts';

/** All that one viewer's call may take. */
const PLAY_BUDGET_MS = 7_500;
/** Less time than this is not worth another try. */
const MIN_TRY_MS = 1_000;
/** Nodes tried for one viewer, the remembered one among them. */
const MAX_TRIES = 3;
/** The node will not take this viewer, another one may. */
const ELSEWHERE: ReadonlySet<string> = new Set(['node_unreachable', 'node_full', 'node_draining']);

interface Viewer {
  lobby: LobbyId;
  session: SessionId;
  offer: string | null;
  near: Coordinates | null;
  asker: string;
}

type Admitted = Outcome<{ sdp: string; etag: string; node: NodeId }>;

export class Audience extends DurableObject<Env> implements AudienceRpc {
  readonly #memory = new RouteMemory();
  /** Questions to the lobby that are under way, by the nodes they exclude: who asks the same waits for the same answer. */
  readonly #asking = new Map<string, Promise<Outcome<Route>>>();

  async play(input: Viewer): Promise<Admitted & { busy: boolean }> {
    const busy = this.#memory.joined(Date.now());
    return { ...(await this.#admit(input)), busy };
  }

  async forget(): Promise<void> {
    this.#memory.forget();
  }

  async #admit(viewer: Viewer): Promise<Admitted> {
    const endsAt = Date.now() + PLAY_BUDGET_MS;
    const exclude: NodeId[] = [];
    let last: Admitted | null = null;
    for (let tried = 0; tried < MAX_TRIES && endsAt - Date.now() >= MIN_TRY_MS; tried += 1) {
      const known = tried === 0 ? this.#memory.recall(Date.now()) : null;
      if (known !== null && 'problem' in known) return failed(known.problem);
      const asked = known === null ? await this.#ask(viewer, exclude) : succeeded(known.route);
      // Where else to go was only a question: the answer is what the node said.
      if (!asked.ok) return last !== null && asked.problem.code === 'no_media_node' ? last : asked;
      const route = asked.value;
      last = await this.#play(route, viewer, endsAt - Date.now());
      if (last.ok || !isStale(last.problem)) return last;
      this.#memory.drop(route);
      // A remembered route may be as good as ever once the lobby has been asked; one that it has just named is not.
      if (known === null || ELSEWHERE.has(last.problem.code)) exclude.push(route.node);
    }
    return last ?? failed({ status: 504, code: 'node_timeout', detail: 'the media nodes took too long' });
  }

  async #ask({ lobby, near, asker }: Viewer, exclude: readonly NodeId[]): Promise<Outcome<Route>> {
    const key = exclude.join(' ');
    const asking = this.#asking.get(key) ?? this.#question(lobby, near, asker, [...exclude]);
    this.#asking.set(key, asking);
    try {
      return await asking;
    } finally {
      if (this.#asking.get(key) === asking) this.#asking.delete(key);
    }
  }

  async #question(lobby: LobbyId, near: Coordinates | null, asker: string, exclude: NodeId[]): Promise<Outcome<Route>> {
    const { version } = this.#memory;
    const outcome = await this.env.LOBBY.getByName(lobby).route({ lobby, near, exclude, asker });
    if (outcome.ok) this.#memory.learned(outcome.value, version, Date.now());
    else this.#memory.refused(outcome.problem, Date.now());
    return outcome;
  }

  async #play({ node, boot, maxSubscribers }: Route, viewer: Viewer, leftMs: number): Promise<Admitted> {
    const { lobby, session, offer } = viewer;
    const outcome = await this.env.NODE_LINK.getByName(node).request<'play'>(
      { method: 'play', lobby, session, offer, maxSubscribers },
      Math.min(REQUEST_DEADLINE_MS, leftMs),
      boot,
    );
    if (!outcome.ok) return outcome;
    const { sdp, etag } = outcome.value;
    return succeeded({ sdp, etag, node });
  }
}

/** The route was no good, or is not any more. */
function isStale({ code }: Problem): boolean {
  return code === 'no_publisher' || ELSEWHERE.has(code);
}
