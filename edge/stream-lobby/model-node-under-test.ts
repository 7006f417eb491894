/** A media node of the model: carries what was opened there, and drops what a newer wish does not list. */

import { mintBootId, type NodeId, type SessionId } from '../../shared/ids.ts';
import type { DesiredStream, RelayReport, TrackReport } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import type { Hop } from '../relay/relay-tree.ts';
import { LOBBY } from './stream-under-test.ts';

export interface ModelRelay extends Pick<Hop, 'session' | 'generation' | 'upstream'> {
  connected: boolean;
  /** As this node was told last. */
  tracks: readonly TrackReport[];
}

export class ModelNode {
  readonly node: NodeId;
  boot = mintBootId();
  /** Members, and what they listen with. */
  readonly members = new Map<SessionId, SessionId | null>();
  /** Members on other nodes, and the relay that brings their tracks. */
  readonly remotes = new Map<SessionId, ModelRelay>();
  live: string | null = null;
  /** Somebody of the audience is here. */
  watched = false;
  revision = 0;

  constructor(name: string) {
    this.node = name as NodeId;
  }

  get carrier(): Carrier {
    return { node: this.node, boot: this.boot };
  }

  has(source: SessionId): boolean {
    return this.members.has(source) || this.remotes.get(source)?.connected === true;
  }

  /** Every wish is obeyed whole. */
  obey({ revision, members, remotes = [], live, audience = false }: DesiredStream): void {
    this.revision = revision;
    const listed = new Map(members.map(({ session, listener }) => [session, listener]));
    for (const [session, listener] of this.members) {
      const wanted = listed.get(session);
      if (wanted === undefined) this.members.delete(session);
      else if (listener !== null && listener !== wanted) this.members.set(session, null);
    }
    const named = new Map(remotes.map((remote) => [remote.session, remote]));
    for (const [source, relay] of this.remotes) {
      const wish = named.get(source);
      if (wish === undefined) this.remotes.delete(source);
      else relay.tracks = wish.tracks;
    }
    if (members.length + remotes.length === 0 && !audience) this.watched = false;
    this.live = live?.live ?? null;
  }

  /** `serves`: another node gets this member's tracks from here. */
  relayReports(serves: (source: SessionId) => boolean): RelayReport[] {
    const isBusy = this.watched || this.live !== null || [...this.members.values()].some((one) => one !== null);
    return [...this.remotes].map(([source, { session, generation, connected }]) => ({
      lobby: LOBBY,
      session,
      generation,
      state: connected ? 'connected' : 'connecting',
      idle: !isBusy && !serves(source),
    }));
  }

  restart(): void {
    this.boot = mintBootId();
    this.members.clear();
    this.remotes.clear();
    this.live = null;
    this.watched = false;
    this.revision = 0;
  }
}
