/** What can happen to a room and what comes of it: the words of `lobby-machine.ts`. */

import type { Problem } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { DesiredLobby, IngressReport, RelayReport, TrackReport } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import type { TreeContext, TreeEffect, TreeEvent } from '../relay/relay-tree-events.ts';
import type { LobbyState } from './lobby-state.ts';

export interface LobbyPolicy {
  /** How long viewers wait for a lost publisher. */
  publisherGraceMs: number;
  /** What is known of the nodes. Without it no node can relay. */
  around?: TreeContext;
}

/** What happens to relays only. */
export type RelayEvent = Extract<TreeEvent, { type: 'grow' | 'offered' | 'pulled' | 'failed' | 'look' }>;

export type LobbyEvent =
  /** `replaces`: the present publisher, who has asked for this. */
  | { type: 'publish'; lobby: LobbyId; session: SessionId; replaces?: SessionId | null }
  /** A node was chosen for it, or another one after the first could not be reached. */
  | ({ type: 'placed'; session: SessionId } & Carrier)
  | ({ type: 'opened'; session: SessionId; revision: number; tracks: TrackReport[]; resumed: boolean } & Carrier & {
        lobby: LobbyId;
      })
  /** `uncertain`: the node may have opened it all the same (timeout, link lost). */
  | { type: 'open-failed'; session: SessionId; uncertain: boolean }
  /** The object woke up without the call that was opening a publisher. */
  | { type: 'recovered' }
  | { type: 'unpublish'; session: SessionId }
  | { type: 'close' }
  | ({ type: 'reported'; ingress: IngressReport[]; relays?: RelayReport[] } & Carrier)
  /** All that a node carries for this room: what it does not name is not there. */
  | ({ type: 'reconcile'; ingress: IngressReport[]; relays?: RelayReport[] } & Carrier)
  | ({ type: 'node-lost' } & Carrier)
  | { type: 'deadline' }
  | RelayEvent;

export type LobbyEffect =
  | ({ type: 'apply'; desired: DesiredLobby } & Carrier)
  | (Extract<TreeEffect, { type: 'pull' }> & { lobby: LobbyId; revision: number; tracks: TrackReport[] })
  | Extract<TreeEffect, { type: 'hang-up' }>
  /** For the room list. */
  | { type: 'announce'; lobby: LobbyId; hasPublisher: boolean; tracks: number }
  | { type: 'ended'; lobby: LobbyId };

export interface LobbyStep {
  state: LobbyState | null;
  effects: LobbyEffect[];
  /** Why the caller does not get what it asked for. */
  refusal: Problem | null;
}
