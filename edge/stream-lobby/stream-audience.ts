/**
 * Lets the audience of a lobby in: whoever only watches is sent to a node nearby, which gets the main tracks by relays when
 * it does not have them yet.
 */

import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import { type Coordinates, REQUEST_DEADLINE_MS } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import type { Changes } from '../lobby/changes.ts';
import { isElsewherePossible } from '../lobby/opening.ts';
import { NO_MEDIA_NODE } from '../problems.ts';
import { canBeWatchedOn, isHopeless, isSentFrom, showingPlaces, showsAllOn } from './stream-places.ts';
import { type PlacingHost, placeIn } from './stream-placing.ts';
import { NOTHING_ON } from './stream-problems.ts';
import { hasMainTrack } from './stream-state.ts';

/** A viewer waits this long for a node that is just getting the tracks, and is sent to one that has them when it fails. */
const GROW_WAIT_MS = 3_000;
const MAX_NODES_TRIED = 3;
/** The audience may be of any size. */
const NO_LIMIT = 0;

interface AudienceHost extends PlacingHost {
  readonly changes: Changes;
}

interface Watching {
  lobby: LobbyId;
  session: SessionId;
  offer: string;
  near: Coordinates | null;
}

type Watched = Outcome<{ sdp: string; etag: string; node: NodeId }>;

export class StreamAudience {
  readonly #host: AudienceHost;

  constructor(host: AudienceHost) {
    this.#host = host;
  }

  /** Opens the session of somebody in the audience. */
  async watch(watching: Watching): Promise<Watched> {
    const refused: NodeId[] = [];
    let problem: Problem = NO_MEDIA_NODE;
    while (refused.length < MAX_NODES_TRIED) {
      const place = await this.#choose(watching.near, refused);
      if (!hasMainTrack(this.#host.state())) return failed(NOTHING_ON);
      if (place === null) break;
      if (await this.#ready(place)) {
        const outcome = await this.#ask(place, watching);
        if (outcome.ok) return succeeded({ ...outcome.value, node: place.node });
        problem = { ...outcome.problem };
        // A node whose relay has just broken may not know anything that could be shown.
        const mayBeElsewhere = problem.status === NOTHING_ON.status && !isSentFrom(this.#host.state(), place);
        if (!isElsewherePossible(problem) && !mayBeElsewhere) break;
      }
      refused.push(place.node);
    }
    return failed(problem);
  }

  async #choose(near: Coordinates | null, exclude: readonly NodeId[]): Promise<Carrier | null> {
    const { state, around } = this.#host;
    const places = showingPlaces(state());
    const open = places.filter(({ node }) => !exclude.includes(node) && !around.draining(node));
    // Nobody knows where the viewer is: where the tracks come from is as good as any.
    if (near === null && open[0] !== undefined) return open[0];
    if (places.length === 0) return null;
    return (await placeIn(this.#host, { near, carrying: places, exclude })) ?? open[0] ?? null;
  }

  /** The node has what is shown, or gets it now. False: it did not get it. */
  async #ready(place: Carrier): Promise<boolean> {
    const { state, feed, changes, around } = this.#host;
    around.sent(place);
    feed({ type: 'watched', ...place });
    const isSettled = (): boolean => showsAllOn(state(), place) || isHopeless(state(), place) || !hasMainTrack(state());
    await changes.until(isSettled, GROW_WAIT_MS);
    if (canBeWatchedOn(state(), place)) return true;
    feed({ type: 'unwatched', ...place });
    return false;
  }

  #ask({ node, boot }: Carrier, { lobby, session, offer }: Watching) {
    const request = { method: 'play', lobby, session, offer, maxSubscribers: NO_LIMIT } as const;
    return this.#host.env.NODE_LINK.getByName(node).request<'play'>(request, REQUEST_DEADLINE_MS, boot);
  }
}
