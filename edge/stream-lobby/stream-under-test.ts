/** A lobby without an object around it: feeds events to the machine and remembers what came of them. */

import { type LobbyId, mintBootId, mintSessionId, type NodeId, type SessionId } from '../../shared/ids.ts';
import type { IngressReport, TrackReport } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import type { TreeContext } from '../relay/relay-tree-events.ts';
import type { StreamApply, StreamEffect, StreamEvent, StreamStep } from './stream-events.ts';
import { step } from './stream-machine.ts';
import type { Member, StreamState } from './stream-state.ts';

export const LOBBY = 'stream:s1/3b241101-e2bb-4255-8caf-4136c566a962' as LobbyId;
export const GRACE_MS = 15_000;
export const T0 = 1_700_000_000_000;
export const NODE_A: Carrier = { node: 'a' as NodeId, boot: mintBootId() };
export const NODE_A_RESTARTED: Carrier = { node: 'a' as NodeId, boot: mintBootId() };
export const NODE_B: Carrier = { node: 'b' as NodeId, boot: mintBootId() };
export const NODE_C: Carrier = { node: 'c' as NodeId, boot: mintBootId() };
export const LIVE_URL = 'rtmp://a.example.com/live/secret-key';

export const GUEST_TRACK: TrackReport = {
  mid: '0',
  kind: 'video',
  codec: 'VP8',
  rids: [],
  info: { purpose: 'guest', muted: false, label: 'Cam' },
};
export const MAIN_TRACK: TrackReport = { ...GUEST_TRACK, info: { purpose: 'main', muted: false, label: 'Cam' } };

/** Where every node can relay. */
export const AROUND: TreeContext = {
  distance: () => 0,
  canRelay: () => true,
  draining: () => false,
  expected: () => false,
  mint: mintSessionId,
};

/** What nodes are told. */
export function applies(effects: readonly StreamEffect[]): StreamApply[] {
  return effects.filter((effect) => effect.type === 'apply');
}

interface Joining {
  fixed?: boolean;
  tracks?: TrackReport[];
  carrier?: Carrier;
  replaces?: SessionId;
}

export class LobbyUnderTest {
  state: StreamState | null = null;
  now = T0;
  around = AROUND;
  /** As the object remembers it. */
  floor = 0;
  effects: StreamEffect[] = [];

  feed(event: StreamEvent): StreamStep {
    const { floor: revisionFloor, around } = this;
    const stepped = step(this.state, event, this.now, { memberGraceMs: GRACE_MS, revisionFloor, around });
    const told = applies(stepped.effects).map(({ desired }) => desired.revision);
    this.floor = Math.max(this.floor, stepped.state?.revision ?? 0, ...told);
    this.state = stepped.state;
    this.effects.push(...stepped.effects);
    return stepped;
  }

  begin(
    user: string,
    session: SessionId = mintSessionId(),
    fixed = false,
    replaces: SessionId | null = null,
  ): StreamStep {
    const tokenHash = fixed ? null : replaces === null ? `first-${user}` : `first-${session}`;
    return this.feed({ type: 'join', lobby: LOBBY, user, session, fixed, tokenHash, replaces });
  }

  /** Joins and is answered by the node; the session's id. */
  join(user: string, changes: Joining = {}): SessionId {
    const { fixed = false, tracks = [GUEST_TRACK], carrier = NODE_A, replaces = null } = changes;
    const session = mintSessionId();
    this.begin(user, session, fixed, replaces);
    this.feed({ type: 'targeted', session, ...carrier });
    this.feed({ type: 'opened', lobby: LOBBY, session, tracks, ...carrier });
    return session;
  }

  /** Joins, is answered and connects. */
  enter(user: string, changes: Joining = {}): SessionId {
    const session = this.join(user, changes);
    this.report(session, 'connected', {}, changes.carrier);
    return session;
  }

  member(session: SessionId): Member | undefined {
    return this.state?.members.find((one) => one.session === session);
  }

  reportOf(session: SessionId, state: IngressReport['state'], changes: Partial<IngressReport> = {}): IngressReport {
    const { generation = 1, tracks = [] } = this.member(session) ?? {};
    return { lobby: LOBBY, session, generation, state, tracks, ...changes };
  }

  report(
    session: SessionId,
    state: IngressReport['state'],
    changes: Partial<IngressReport> = {},
    carrier: Carrier = NODE_A,
  ): StreamStep {
    return this.feed({ type: 'reported', ingress: [this.reportOf(session, state, changes)], lives: [], ...carrier });
  }

  listen(member: SessionId): SessionId {
    const listener = mintSessionId();
    this.feed({ type: 'listen', member, listener });
    this.feed({ type: 'listening', listener });
    return listener;
  }

  wait(ms: number): StreamStep {
    this.now += ms;
    return this.feed({ type: 'deadline' });
  }
}
