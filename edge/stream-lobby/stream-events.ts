/** What can happen to the lobby of a stream and what comes of it: the words of `stream-machine.ts`. */

import type { Problem } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type {
  DesiredStream,
  IngressReport,
  Lineage,
  LiveReport,
  RelayReport,
  TrackReport,
} from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import type { TreeContext, TreeEffect, TreeEvent } from '../relay/relay-tree-events.ts';
import type { StreamState } from './stream-state.ts';

export interface StreamPolicy {
  /** How long a member that fell silent keeps its place. */
  memberGraceMs: number;
  /** The highest revision that was ever told, so far as this object remembers: lives of a lobby may follow closely. */
  revisionFloor: number;
  /** What is known of the nodes. `expected`: somebody of the audience was sent there lately. */
  around: TreeContext;
}

/** How the opening of a relay goes. */
export type RelayNews = Extract<TreeEvent, { type: 'offered' | 'pulled' | 'failed' }>;

export type StreamEvent =
  | {
      type: 'join';
      lobby: LobbyId;
      user: string;
      session: SessionId;
      fixed: boolean;
      tokenHash: string | null;
      /** A session of the same user whose place this one is to take. */
      replaces?: SessionId | null;
    }
  /** The offer is about to be sent to this node; it may be the second one, after another could not take it. */
  | ({ type: 'targeted'; session: SessionId } & Carrier)
  | ({ type: 'opened'; lobby: LobbyId; session: SessionId; tracks: TrackReport[] } & Carrier)
  /** `uncertain`: the node may have opened it all the same (timeout, link lost). */
  | { type: 'open-failed'; session: SessionId; uncertain: boolean }
  /** The object woke up without the calls that were opening sessions. */
  | { type: 'recovered' }
  | {
      type: 'guard';
      session: SessionId;
      lobby: LobbyId;
      bearer: readonly string[] | null;
      presented: string;
      next: string;
    }
  | { type: 'listen'; member: SessionId; listener: SessionId }
  | { type: 'listening'; listener: SessionId }
  | { type: 'listen-failed'; listener: SessionId; uncertain: boolean }
  /** Of a member or of a listener. `whole`: of the member with all of its sessions, by any of them. */
  | { type: 'leave'; session: SessionId; whole?: boolean }
  | { type: 'start-live'; session: SessionId; live: string; url: string }
  /** The node cannot push at all. */
  | { type: 'live-refused'; live: string; error: string }
  | { type: 'stop-live'; live: string | null }
  | { type: 'close' }
  /** Nobody else belongs to the stream any more. */
  | { type: 'keep'; users: readonly string[] }
  /** Somebody of the audience is sent to this node. */
  | ({ type: 'watched' } & Carrier)
  /** The node did not get what there is to be watched. */
  | ({ type: 'unwatched' } & Carrier)
  /** Of the relay that brings the tracks of the member `source`. */
  | { type: 'relay'; lobby: LobbyId; source: SessionId; news: RelayNews }
  | ({ type: 'reported'; ingress: IngressReport[]; lives: LiveReport[]; relays?: RelayReport[] } & Carrier)
  /** All that a node carries for this lobby: what it does not name is not there. */
  | ({ type: 'reconcile'; ingress: IngressReport[]; lives: LiveReport[]; relays?: RelayReport[] } & Carrier)
  | ({ type: 'node-lost' } & Carrier)
  | { type: 'deadline' };

/** Tells a life of a node what it shall carry now. */
export type StreamApply = { type: 'apply'; desired: DesiredStream } & Carrier;
/** Opens a relay of a member's tracks. */
export type StreamPull = Extract<TreeEffect, { type: 'pull' }> & {
  lobby: LobbyId;
  source: { session: SessionId; generation: number; lineage?: Lineage };
};
export type StreamEffect = StreamApply | StreamPull | Extract<TreeEffect, { type: 'hang-up' }>;

export interface StreamStep {
  state: StreamState | null;
  effects: StreamEffect[];
  /** Why the caller does not get what it asked for. */
  refusal: Problem | null;
}
