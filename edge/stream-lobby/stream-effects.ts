/** Carries out what the machine of a stream's lobby decided: words to nodes, and relays between them. */
import { failed, type Outcome, type Problem } from '../../shared/errors.ts';
import { type DesiredStream, REQUEST_DEADLINE_MS } from '../../shared/protocol/control.ts';
import type { Env } from '../env.ts';
import { BUSY } from '../problems.ts';
import { hangUp, openRelay } from '../relay/relay-opening.ts';
import { relayOn } from '../relay/relay-tree.ts';
import type { StreamApply, StreamEffect, StreamEvent, StreamPull } from './stream-events.ts';
import { type Member, type StreamState, treeOf } from './stream-state.ts';

/** How a node says that it has no ffmpeg. */
const CANNOT_PUSH = 501;

/** The object whose effects these are. */
interface Host {
  readonly env: Env;
  state(): StreamState | null;
  /** Steps and starts what comes of it. */
  feed(event: StreamEvent): Problem | null;
}

export class StreamEffects {
  readonly #host: Host;
  readonly #completed: (desired: DesiredStream) => DesiredStream;

  /** `completed`: the desired state with what the machine does not decide. */
  constructor(host: Host, completed: (desired: DesiredStream) => DesiredStream) {
    this.#host = host;
    this.#completed = completed;
  }

  /**
   * Starts them; resolves when they are done, with the problem of a node that cannot push at all, which the machine has been
   * told then. What failed otherwise heals when the node links again.
   */
  async run(effects: readonly StreamEffect[]): Promise<Problem | null> {
    const done = await Promise.all(effects.map((effect) => this.#perform(effect)));
    return done.find((problem) => problem !== null) ?? null;
  }

  async #perform(effect: StreamEffect): Promise<Problem | null> {
    switch (effect.type) {
      case 'apply':
        return this.#apply(effect);
      case 'pull':
        await this.#pull(effect);
        return null;
      case 'hang-up':
        await hangUp(this.#host.env, effect, effect.session);
        return null;
    }
  }

  async #apply({ node, boot, desired }: StreamApply): Promise<Problem | null> {
    const link = this.#host.env.NODE_LINK.getByName(node);
    const request = { method: 'apply-stream', desired: this.#completed(desired) } as const;
    const outcome: Outcome<unknown> = await link
      .request<'apply-stream'>(request, REQUEST_DEADLINE_MS, boot)
      .catch((error: unknown) => {
        console.error('a node’s link could not be asked', error);
        return failed(BUSY);
      });
    if (outcome.ok || desired.live === null || outcome.problem.status !== CANNOT_PUSH) return null;
    // A copy: what came over RPC and is passed on keeps both calls, and so both objects, from ending.
    const problem = { ...outcome.problem };
    this.#host.feed({ type: 'live-refused', live: desired.live.live, error: problem.detail });
    return problem;
  }

  /** What it is to be opened with may change while the upstream is asked: revision and tracks are those of the moment. */
  #pull({ lobby, source, hop, node, boot }: StreamPull): Promise<void> {
    const { env, state, feed } = this.#host;
    const member = (): Member | null => state()?.members.find(({ session }) => session === source.session) ?? null;
    return openRelay(
      {
        env,
        feed: (news) => feed({ type: 'relay', lobby, source: source.session, news }),
        wants: (place, generation) => {
          const known = member();
          return known !== null && relayOn(treeOf(known), place)?.hop.generation === generation;
        },
      },
      {
        lobby,
        source,
        hop,
        node,
        boot,
        get revision() {
          return state()?.revision ?? 0;
        },
        get tracks() {
          return member()?.tracks ?? [];
        },
      },
    );
  }
}
