/**
 * Opens a member's session on the node that is best for it: near the member, and one that carries the lobby already rather
 * than another that is hardly nearer.
 */

import { failed, type Outcome, type Problem, succeeded } from '../../shared/errors.ts';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import { type Coordinates, FLEET_PROTOCOL_VERSION, type NodeResult } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import { type Candidate, placeViewer } from '../fleet/placement.ts';
import type { FleetView } from '../fleet/snapshot-cache.ts';
import { openOnSomeNode } from '../lobby/opening.ts';
import { NO_MEDIA_NODE } from '../problems.ts';
import type { FleetSurroundings } from '../relay/fleet-surroundings.ts';
import type { StreamEvent } from './stream-events.ts';
import { memberPlaces, nameOf } from './stream-places.ts';
import { LOBBY_CLOSED } from './stream-problems.ts';
import type { Member, StreamState } from './stream-state.ts';

/** The object whose members and audience are placed. */
export interface PlacingHost {
  readonly env: Env;
  readonly fleet: FleetView;
  readonly around: FleetSurroundings;
  state(): StreamState | null;
  /** Steps and starts what comes of it. */
  feed(event: StreamEvent): Problem | null;
}

interface Joining {
  lobby: LobbyId;
  session: SessionId;
  fixed: boolean;
  offer: string;
  /** Where the member is; null: nobody knows. */
  near: Coordinates | null;
}

export class StreamPlacing {
  readonly #host: PlacingHost;
  /** The choice that is being made now: the next one is to know of it. */
  #choosing: Promise<unknown> = Promise.resolve();

  constructor(host: PlacingHost) {
    this.#host = host;
  }

  /** Leaves no trace of the member when it fails. */
  open(joining: Joining): Promise<Outcome<NodeResult<'join'>>> {
    const { lobby, session } = joining;
    return openOnSomeNode<unknown, NodeResult<'join'>>({
      choose: (refused) => this.#inTurn(() => this.#target(joining, refused)),
      ask: (target, deadlineMs) => this.#ask(target, joining, deadlineMs),
      opened: ({ node, boot }, { tracks }) => this.#host.feed({ type: 'opened', lobby, session, tracks, node, boot }),
      failed: (uncertain) => this.#host.feed({ type: 'open-failed', session, uncertain }),
    });
  }

  /** Who come at the same time are to come to the same node. */
  #inTurn<T>(choose: () => Promise<T>): Promise<T> {
    const chosen = this.#choosing.then(choose);
    this.#choosing = chosen.catch(() => undefined);
    return chosen;
  }

  async #target(joining: Joining, exclude: readonly NodeId[]): Promise<Outcome<Carrier>> {
    const chosen = await this.#choose(joining, exclude);
    if (!chosen.ok) return chosen;
    const { node, boot } = chosen.value;
    const refusal = this.#host.feed({ type: 'targeted', session: joining.session, node, boot });
    // The lobby was closed while the node was chosen.
    return refusal === null ? succeeded({ node, boot }) : failed(refusal);
  }

  async #choose({ lobby, near, session }: Joining, exclude: readonly NodeId[]): Promise<Outcome<Carrier>> {
    const { env, around, state } = this.#host;
    if (this.#member(session) === undefined) return failed(LOBBY_CLOSED);
    const places = memberPlaces(state()).filter(({ node }) => !exclude.includes(node));
    const home = places.find(({ node }) => !around.draining(node));
    // Nobody knows where this member is: where the others are is as good as any.
    if (near === null && home !== undefined) return succeeded(home);
    if (memberPlaces(state()).length === 0) {
      const placed = await env.FLEET.getByName(FLEET_NAME).place({ lobby, prefer: null, near, exclude: [...exclude] });
      return placed.ok ? succeeded({ ...placed.value }) : placed;
    }
    const nearest = await placeIn(this.#host, { near, carrying: memberPlaces(state()), exclude });
    const place = nearest ?? home ?? places[0];
    return place === undefined ? failed(NO_MEDIA_NODE) : succeeded(place);
  }

  #ask(target: Carrier, joining: Joining, deadlineMs: number): Promise<Outcome<NodeResult<'join'>>> {
    const state = this.#host.state();
    const { lobby, session, fixed, offer } = joining;
    const { generation = 0, lineage = null } = this.#member(session) ?? {};
    const revision = state?.revision ?? 0;
    const link = this.#host.env.NODE_LINK.getByName(target.node);
    return link.request<'join'>(
      { method: 'join', lobby, revision, session, generation, fixed, offer, ...(lineage === null ? {} : { lineage }) },
      deadlineMs,
      target.boot,
    );
  }

  #member(session: SessionId): Member | undefined {
    return this.#host.state()?.members.find((member) => member.session === session);
  }
}

export interface PlaceWish {
  near: Coordinates | null;
  /** Nodes that carry what is wanted. */
  carrying: readonly Carrier[];
  exclude: readonly NodeId[];
}

/** The best of all nodes, as of a moment ago; null: none that is known fits, or nothing is known. */
export async function placeIn(
  { fleet, around }: Pick<PlacingHost, 'fleet' | 'around'>,
  { near, carrying, exclude }: PlaceWish,
): Promise<Carrier | null> {
  let candidates: Candidate[] = [];
  try {
    candidates = await fleet.candidates();
    const isKnown = ({ node, boot }: Carrier) =>
      candidates.some(({ snapshot }) => snapshot.node === node && snapshot.boot === boot);
    if (!carrying.every(isKnown)) candidates = await fleet.refreshed();
  } catch (error) {
    console.error('the fleet could not be asked', error);
  }
  around.update(candidates);
  // Where one of them cannot relay, all have to be on the same node.
  const mayRelay = carrying.every(({ node }) =>
    candidates.some(({ snapshot }) => snapshot.node === node && snapshot.protocol >= FLEET_PROTOCOL_VERSION),
  );
  const wish = { near, carrying: new Set(carrying.map(nameOf)), exclude, mayRelay };
  const placed = placeViewer(candidates, wish, [Math.random(), Math.random()], Date.now());
  if (placed === null) return null;
  fleet.sent(placed.node);
  return { node: placed.node, boot: placed.boot };
}
