/** Members of a stream lobby who are on other nodes, while this one gets their tracks or offers them on. */
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type { DesiredStream, NodeRequest, NodeResult, RelayReport } from '../../shared/protocol/control.ts';
import type { NodeContext } from '../session/context.ts';
import type { MemberTrack } from '../session/member-track.ts';
import { RemoteMember } from './remote-member.ts';

type Pull = Extract<NodeRequest, { method: 'relay-pull' }>;
type Source = NonNullable<Pull['source']>;

export interface RemoteMembersOptions {
  context: NodeContext;
  lobby: LobbyId;
  events: {
    /** Tracks of one of them came, went or flow again. */
    onTracks(): void;
    /** One of them muted or unmuted a track. */
    onMute(remote: RemoteMember, track: MemberTrack): void;
    /** It is not wanted any more, and was closed. */
    onDropped(remote: RemoteMember): void;
    onReport(report: RelayReport): void;
  };
  /** Somebody here takes the tracks of this member. */
  wanted(session: SessionId): boolean;
}

export class RemoteMembers {
  readonly #options: RemoteMembersOptions;
  readonly #remotes = new Map<SessionId, RemoteMember>();

  constructor(options: RemoteMembersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#remotes.size;
  }

  get all(): readonly RemoteMember[] {
    return [...this.#remotes.values()];
  }

  /** Relays that bring tracks, those included that are about to take the place of others. */
  get sessionCount(): number {
    return this.all.reduce((sum, { intake }) => sum + intake.sessionCount, 0);
  }

  /** Nodes that tracks come from, one for each relay. */
  get upstreams(): NodeId[] {
    return this.all.flatMap(({ intake }) => intake.upstreams);
  }

  reports(): RelayReport[] {
    return this.all.flatMap(({ intake }) => intake.reports());
  }

  find(session: SessionId): RemoteMember | undefined {
    return this.#remotes.get(session);
  }

  /** @throws ProblemError as `RemoteMember.pull`; who was not here before is not here then */
  pull(source: Source, { relay, offer, tracks }: Pull): NodeResult<'relay-pull'> {
    const remote = this.#remotes.get(source.session) ?? this.#open(source);
    const result = remote.pull(relay, offer, tracks);
    this.#remotes.set(remote.id, remote);
    return result;
  }

  /** Drops whom the edge does not want here, and takes what it says of the others. */
  apply(wishes: NonNullable<DesiredStream['remotes']>): void {
    const wanted = new Map(wishes.map((wish) => [wish.session, wish]));
    for (const remote of this.all) {
      const wish = wanted.get(remote.id);
      if (wish === undefined || wish.generation !== remote.generation) {
        this.#drop(remote);
        continue;
      }
      remote.intake.want(wish.relay);
      for (const track of remote.update(wish.tracks)) this.#options.events.onMute(remote, track);
    }
  }

  /** What is taken here may be more or less than before. */
  noteDemand(): void {
    for (const { intake } of this.#remotes.values()) intake.noteDemand();
  }

  close(): void {
    for (const remote of this.#remotes.values()) remote.close();
    this.#remotes.clear();
  }

  #open({ session, generation, lineage }: Source): RemoteMember {
    const { context, lobby, events, wanted } = this.#options;
    return new RemoteMember({
      context,
      lobby,
      session,
      generation,
      lineage,
      events: { onTracks: events.onTracks, onReport: events.onReport },
      wanted: () => wanted(session),
    });
  }

  #drop(remote: RemoteMember): void {
    if (!this.#remotes.delete(remote.id)) return;
    remote.close();
    this.#options.events.onDropped(remote);
  }
}
