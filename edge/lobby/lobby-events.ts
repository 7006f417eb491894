/** What can happen to a room and what comes of it: the words of `lobby-machine.ts`. */
import type { Problem } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { DesiredLobby, IngressReport, TrackReport } from '../../shared/protocol/control.ts';
import type { Carrier, LobbyState } from './lobby-state.ts';

export interface LobbyPolicy {
  /** How long viewers wait for a lost publisher. */
  publisherGraceMs: number;
}

export type LobbyEvent =
  | { type: 'publish'; lobby: LobbyId; session: SessionId }
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
  | ({ type: 'reported'; ingress: IngressReport[] } & Carrier)
  /** All that a node carries for this room: what it does not name is not there. */
  | ({ type: 'reconcile'; ingress: IngressReport[] } & Carrier)
  | ({ type: 'node-lost' } & Carrier)
  | { type: 'deadline' };

export type LobbyEffect =
  | ({ type: 'apply'; desired: DesiredLobby } & Carrier)
  /** For the room list. */
  | { type: 'announce'; lobby: LobbyId; hasPublisher: boolean; tracks: number }
  | { type: 'ended'; lobby: LobbyId };

export interface LobbyStep {
  state: LobbyState | null;
  effects: LobbyEffect[];
  /** Why the caller does not get what it asked for. */
  refusal: Problem | null;
}
