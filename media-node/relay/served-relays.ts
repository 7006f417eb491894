/** The upstream end of relays: sessions by which other nodes get the tracks of publishers that this node has. */
import { ProblemError } from '../../shared/errors.ts';
import type { NodeId, SessionId } from '../../shared/ids.ts';
import type { NodeRequest } from '../../shared/protocol/control.ts';
import type { EgressTrackPlan, SourceTrackInfo } from '../negotiate/plan.ts';
import type { RelayedTrackInfo } from '../negotiate/relay-formats.ts';
import type { NodeContext } from '../session/context.ts';
import { toRelay } from '../session/egress-negotiation.ts';
import { EgressSession } from '../session/egress-session.ts';
import type { IceResource } from '../session/ice-resource.ts';
import { successorOf, type TrackSource } from '../session/track-source.ts';
import { RELAY_EXPIRY_MS } from './pulled-relay.ts';

type Wish = Pick<Extract<NodeRequest, { method: 'relay-offer' }>, 'session' | 'source' | 'downstream'>;

interface ServedRelay {
  readonly session: EgressSession;
  /** The node at the other end. */
  readonly downstream: NodeId;
  /** The member whose tracks they are; null: the room's publisher. */
  readonly source: SessionId | null;
  /** What was offered. */
  readonly offered: readonly SourceTrackInfo[];
}

export interface ServedRelaysOptions {
  context: NodeContext;
  /** Where the tracks come from at present; null: they are away for a while. */
  find(source: SessionId | null): TrackSource | null;
  /** The number of relays changed. */
  onChange(): void;
}

export class ServedRelays {
  readonly #options: ServedRelaysOptions;
  readonly #relays = new Map<SessionId, ServedRelay>();

  constructor(options: ServedRelaysOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#relays.size;
  }

  /** The nodes that they go to, one for each relay. */
  get downstreams(): NodeId[] {
    return [...this.#relays.values()].map(({ downstream }) => downstream);
  }

  /** Another node gets the tracks of this publisher. */
  serves(source: SessionId | null): boolean {
    for (const relay of this.#relays.values()) if (relay.source === source) return true;
    return false;
  }

  /**
   * Offers the tracks; the offer is dropped when nobody answers it.
   * @throws ProblemError 409 `session_exists`; 422 without tracks
   */
  offer({ session: id, source, downstream }: Wish, tracks: readonly RelayedTrackInfo[]): string {
    if (this.#relays.has(id)) throw new ProblemError(409, 'session_exists', 'this relay is here already');
    const session = new EgressSession({
      context: this.#options.context,
      session: id,
      negotiation: toRelay(tracks),
      keyframeReason: 'relay',
      // A node is never quiet for long: one that died must not be sent to as long as a person whose network comes back.
      patience: { expiryMs: RELAY_EXPIRY_MS },
      events: {
        onMedia: () => this.attach(),
        onEnded: () => {
          this.#relays.delete(id);
          this.#options.onChange();
        },
      },
    });
    this.#relays.set(id, { session, downstream, source, offered: tracks });
    this.#options.onChange();
    return session.sdp;
  }

  /** False when the session is not here. @throws ProblemError 422 when no answer is awaited, 400 or 422 for a bad one */
  acceptAnswer(id: SessionId, answer: string): boolean {
    const relay = this.#relays.get(id);
    relay?.session.acceptAnswer(answer);
    return relay !== undefined;
  }

  ice(id: SessionId): IceResource | null {
    return this.#relays.get(id)?.session.ice ?? null;
  }

  /** False when the session is not here. */
  close(id: SessionId): boolean {
    const relay = this.#relays.get(id);
    if (relay === undefined) return false;
    this.#relays.delete(id);
    relay.session.close();
    this.#options.onChange();
    return true;
  }

  /** Ends those that get the tracks of `source`, or all. */
  end(source?: SessionId | null): void {
    for (const [id, relay] of [...this.#relays]) {
      if (source === undefined || relay.source === source) this.close(id);
    }
  }

  /**
   * Sends each track from where it comes at present. A relay goes on when a publisher returns with tracks of the same
   * codecs, whatever their mids, and without layers that it cannot tell apart; otherwise it ends, and the other node gets
   * another.
   */
  attach(): void {
    for (const [id, { session, source, offered }] of [...this.#relays]) {
      const from = this.#options.find(source);
      if (from !== null && !fits(offered, from.sources, source !== null)) {
        this.close(id);
        continue;
      }
      session.attach((track) => (from === null ? null : trackFor(track, offered, from)));
    }
  }
}

/** @param isMember of a member's track one layer is relayed, whatever layers it has */
function fits(offered: readonly SourceTrackInfo[], sources: readonly SourceTrackInfo[], isMember: boolean): boolean {
  return offered.every((track) => {
    const successor = successorOf(track, offered, sources);
    return successor !== null && (isMember || !hasNewLayers(track, successor));
  });
}

/** There is a choice that viewers behind the relay would not have. Fewer layers need no other relay: one stands for all. */
function hasNewLayers({ rids: before = [] }: SourceTrackInfo, { rids = [] }: SourceTrackInfo): boolean {
  return rids.length > 1 && rids.some((rid) => !before.includes(rid));
}

function trackFor(track: EgressTrackPlan, offered: readonly SourceTrackInfo[], from: TrackSource) {
  const successor = successorOf({ ...track, mid: track.sourceMid }, offered, from.sources);
  return successor === null ? null : from.sourceTrack(successor.mid);
}
