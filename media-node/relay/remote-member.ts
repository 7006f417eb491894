/** A member of a stream lobby whose tracks come from another node: to those here it is a member like all others. */
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { DesiredRelay, Lineage, RelayReport, TrackReport } from '../../shared/protocol/control.ts';
import { DEFAULT_TRACK_INFO } from '../../shared/track-info.ts';
import { canReplace } from '../session/codec-match.ts';
import type { NodeContext } from '../session/context.ts';
import type { MemberTrack } from '../session/member-track.ts';
import { namesOf } from '../session/track-key.ts';
import { RelayIntake } from './relay-intake.ts';

export interface RemoteMemberOptions {
  context: NodeContext;
  lobby: LobbyId;
  /** The member's session, on its own node. */
  session: SessionId;
  generation: number;
  /** Absent: it is the member's first session. */
  lineage?: Lineage | undefined;
  events: {
    /** Its tracks exist, are others, or do not flow any more. */
    onTracks(): void;
    onReport(report: RelayReport): void;
  };
  /** Somebody here gets its tracks. */
  wanted(): boolean;
}

export class RemoteMember {
  readonly id: SessionId;
  readonly generation: number;
  readonly lineage: Lineage;
  readonly intake: RelayIntake;
  #tracks: readonly MemberTrack[] = [];
  /** Since the first relay was up: what a lost one leaves behind is filled by the next. */
  #sending = false;

  constructor(options: RemoteMemberOptions) {
    this.id = options.session;
    this.generation = options.generation;
    this.lineage = options.lineage ?? { session: options.session, generation: options.generation };
    const { onTracks, onReport } = options.events;
    this.intake = new RelayIntake({
      ...options,
      events: {
        onReport,
        onTracks: () => {
          this.#sending ||= this.intake.connected;
          onTracks();
        },
      },
    });
  }

  get tracks(): readonly MemberTrack[] {
    return this.#tracks;
  }

  /** The others can have its tracks. */
  get sending(): boolean {
    return this.#sending;
  }

  get shows(): boolean {
    return this.intake.shows;
  }

  /**
   * @returns our answer, and whether the tracks are as before for those who get them
   * @throws ProblemError as `RelayIntake.pull`
   */
  pull(relay: DesiredRelay, offer: string, reports: readonly TrackReport[]): { answer: string; resumed: boolean } {
    const before = this.#tracks;
    const same = (sources: RelayIntake['sources']): boolean =>
      canReplace(before, sources) && canReplace(sources, before) && sources.length === before.length;
    const pulled = this.intake.pull(relay, offer, same);
    const resumed = same(pulled.sources);
    this.#tracks = pulled.sources.map(({ mid, kind, codec, stream }) => ({
      ...namesOf(this.lineage, { mid, stream }),
      mid,
      kind,
      codec,
      info: before.find((track) => track.mid === mid)?.info ?? DEFAULT_TRACK_INFO,
    }));
    this.update(reports);
    return { answer: pulled.answer, resumed };
  }

  /** Takes over what the member says of its tracks. @returns those whose words changed */
  update(reports: readonly TrackReport[]): MemberTrack[] {
    return this.#tracks.filter((track) => {
      const info = reports.find(({ mid }) => mid === track.mid)?.info;
      if (info === undefined || sameInfo(info, track.info)) return false;
      track.info = info;
      return true;
    });
  }

  /** Idempotent. */
  close(): void {
    this.intake.close();
  }
}

function sameInfo(a: MemberTrack['info'], b: MemberTrack['info']): boolean {
  return a.purpose === b.purpose && a.muted === b.muted && a.label === b.label;
}
